"""Make a study: a lake of its own with a sample of the posts and all that is known of their pictures.

Every job runs on it unchanged (lake.path=FOLDER), and no picture is embedded again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from profilelake import cli, study
from profilelake.session import session

JOB = "make_study"


def _parser() -> argparse.ArgumentParser:
    parser = cli.base_parser(JOB, str(__doc__))
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the study's lake, local or a Hadoop URI")
    parser.add_argument("--from", dest="since", metavar="WHEN", help="posts from this date (UTC) or instant on")
    parser.add_argument("--to", dest="until", metavar="WHEN", help="posts before this date (UTC) or instant")
    parser.add_argument("--users", metavar="FILE", help="only these users: a text file, one user_id a line")
    parser.add_argument("--sources", metavar="A,B", default="", help="only posts of these sites")
    parser.add_argument(
        "--min-posts", metavar="N", type=int, default=0, help="leave out users with fewer posts that meet the rest (0)"
    )
    parser.add_argument(
        "--refit", action="store_true", help="find the study's own categories instead of taking the lake's along"
    )
    cli.shared_arguments(parser)
    return parser


def _work(arguments: argparse.Namespace) -> dict[str, Any]:
    study.check(arguments.out, arguments.since, arguments.until, arguments.min_posts)
    resolved = cli.resolve(arguments)
    if arguments.dry_run:
        print(resolved.to_yaml(), end="")
    with session(resolved, f"profilelake {JOB}") as spark:
        counts = study.make_study(
            spark,
            resolved,
            arguments.out,
            since=arguments.since,
            until=arguments.until,
            users=arguments.users,
            sources=[name.strip() for name in arguments.sources.split(",") if name.strip()],
            min_posts=arguments.min_posts,
            refit=arguments.refit,
            dry_run=arguments.dry_run,
        )
    status = "dry run" if arguments.dry_run else "done"
    return {"job": JOB, "status": status, "exit_code": 0, "lake": arguments.out, "rows": counts}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; --help says what the arguments are."""
    return cli.guarded(JOB, lambda: _work(_parser().parse_args(argv)))


def console() -> None:
    cli.leave(main())


if __name__ == "__main__":
    console()
