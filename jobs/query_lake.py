"""Ask a lake in SQL and print the answer: a statement, a file, or one of the queries that come with profilelake.

Only reading statements run (SELECT, WITH, SHOW, DESCRIBE). Standard output holds the answer and nothing else.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from profilelake import cli, config, queries
from profilelake.errors import ConfigError
from profilelake.session import session

JOB = "query_lake"
_SETTING = re.compile(r"\w+(\.\w+)+=")


def _parser() -> argparse.ArgumentParser:
    parser = cli.base_parser(JOB, str(__doc__))
    parser.usage = f"spark-submit jobs/{JOB}.py ('select ...' | --file FILE | --list) [options] [key=value ...]"
    parser.add_argument("--file", metavar="FILE", help="a file with one statement, or a name that --list shows")
    parser.add_argument("--list", action="store_true", help="list the queries that come with profilelake")
    parser.add_argument(
        "--param", metavar="NAME=VALUE", action="append", default=[], help="the value of :NAME in the statement"
    )
    parser.add_argument("--limit", metavar="ROWS", type=_limit, default=50, help="print at most so many rows (50)")
    parser.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    cli.shared_arguments(parser)
    return parser


def _limit(text: str) -> int:
    limit = int(text)
    if limit < 1:
        raise argparse.ArgumentTypeError("at least one row")
    return limit


def _text(file: str | None, statements: Sequence[str]) -> str:
    """The statement of a call."""
    if (file is None) + (not statements) != 1 or len(statements) > 1:
        raise ConfigError("give one statement, or --file with one, or --list to see what there is")
    if file is None:
        return statements[0]
    packaged = {query.name: query.text for query in queries.packaged()}
    try:
        return packaged[file] if file in packaged else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the query file {file} cannot be read ({error}); queries that come with profilelake: {', '.join(packaged)}"
        ) from error


def _work(arguments: argparse.Namespace) -> None:
    if arguments.list:
        print(queries.listing())
        return
    settings = [text for text in arguments.settings if _SETTING.match(text)]
    text = _text(arguments.file, [text for text in arguments.settings if text not in settings])
    queries.statement(text)
    parameters = queries.parameters_of(arguments.param)
    resolved = config.load(arguments.config, settings)
    if arguments.dry_run:
        print(resolved.to_yaml() + text)
        return
    with session(resolved, f"profilelake {JOB}") as spark:
        found = queries.answer(queries.run_query(spark, resolved, text, parameters), arguments.limit)
    print(queries.as_csv(found) if arguments.csv else queries.as_table(found), end="" if arguments.csv else "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; --help says what the arguments are."""
    return cli.guarded(JOB, lambda: _work(_parser().parse_args(argv)))


def console() -> None:
    cli.leave(main())


if __name__ == "__main__":
    console()
