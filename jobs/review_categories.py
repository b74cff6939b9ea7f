"""Look at the categories, name them, and judge them.

export        write a CSV and a contact sheet a cluster; edit the column category, equal names merge clusters
apply         read the edited CSV and use its names
judge-export  draw pictures of every category for people to judge
judge-apply   read the judges' CSVs and write how good the categories are
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from profilelake import cli
from profilelake.session import session

JOB = "review_categories"


def _parser() -> argparse.ArgumentParser:
    parser = cli.base_parser(JOB, str(__doc__))
    cli.add_help(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command", parser_class=type(parser))
    for name in ("export", "apply", "judge-export", "judge-apply"):
        command = commands.add_parser(name, add_help=False, formatter_class=parser.formatter_class)
        if name in ("export", "apply"):
            command.add_argument("--purpose", choices=["categories", "selfie"], default="categories")
        if name.endswith("export"):
            command.add_argument("--out", required=True, metavar="FOLDER", help="where to write, local or a Hadoop URI")
        else:
            command.add_argument(
                "--csv", required=True, action="append", metavar="FILE", help="an edited CSV; judge-apply takes several"
            )
        cli.shared_arguments(command)
    return parser


def _work(arguments: argparse.Namespace) -> dict[str, Any]:
    # not at the top: they import udfs, and whether that is ours is checked first (cli.guarded)
    from profilelake.clusters import judge, review

    config = cli.resolve(arguments)
    with session(config, f"profilelake {JOB}") as spark:
        if arguments.command == "export":
            done = review.export(spark, config, arguments.out, arguments.purpose)
        elif arguments.command == "apply":
            done = review.apply(spark, config, arguments.csv[-1], arguments.purpose)
        elif arguments.command == "judge-export":
            done = judge.judge_export(spark, config, arguments.out)
        else:
            done = judge.judge_apply(spark, config, arguments.csv)
    return {"job": JOB, "command": arguments.command, "status": "done", "exit_code": 0, **done}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; --help says what the arguments are."""
    return cli.guarded(JOB, lambda: _work(_parser().parse_args(argv)))


def console() -> None:
    cli.leave(main())


if __name__ == "__main__":
    console()
