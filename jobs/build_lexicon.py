"""Write a lexicon: which word belongs to which domains of interest.

wordnet   build the packaged lexicon from WordNet and WordNet Domains (`make lexicon` fetches them and calls this)
babelnet  ask BabelNet's HTTP API for a list of words; the key is in the environment variable PROFILELAKE_BABELNET_KEY
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from profilelake import cli
from profilelake.config import conf_dir

JOB = "build_lexicon"


def _parser() -> argparse.ArgumentParser:
    parser = cli.base_parser(JOB, str(__doc__))
    parser.add_argument("--help", "-h", action="help", help="this text")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command", parser_class=type(parser))
    wordnet = commands.add_parser("wordnet", add_help=False, formatter_class=parser.formatter_class)
    wordnet.add_argument(
        "--sources",
        required=True,
        metavar="FOLDER",
        help="with WordNet's files, wordnet_domains.txt, imagenet_synsets.txt",
    )
    wordnet.add_argument("--out", metavar="FOLDER", help="where to write; by default conf/lexicons of the checkout")
    babelnet = commands.add_parser("babelnet", add_help=False, formatter_class=parser.formatter_class)
    babelnet.add_argument("--words", required=True, metavar="FILE", help="the words to ask for, one a line, UTF-8")
    babelnet.add_argument("--out", required=True, metavar="FILE", help="the lexicon to write, .tsv, .tsv.gz or .tsv.xz")
    babelnet.add_argument("--url", default="https://babelnet.io/v9", help="the API's address (default: %(default)s)")
    babelnet.add_argument(
        "--max-requests",
        type=int,
        default=1000,
        help="requests of one run, the free day's quota (default: %(default)s)",
    )
    babelnet.add_argument("--timeout", type=float, default=30.0, help="seconds for an answer (default: %(default)s)")
    for command in (wordnet, babelnet):
        command.add_argument("--help", "-h", action="help", help="this text")
    return parser


def _work(arguments: argparse.Namespace) -> dict[str, Any]:
    # not at the top: whether `udfs` is ours is checked first (cli.guarded)
    from profilelake.interests import babelnet, build
    from profilelake.interests.babelnet import Api
    from profilelake.interests.domains import domains

    if arguments.command == "wordnet":
        out = Path(arguments.out) if arguments.out else conf_dir() / "lexicons"
        done: dict[str, Any] = build.write_all(Path(arguments.sources), out)
    else:
        api = Api(arguments.url, babelnet.key(), arguments.timeout, arguments.max_requests)
        built = babelnet.build(babelnet.read_words(Path(arguments.words)), api, Path(arguments.out), domains())
        done = {
            "words": built.words,
            "with_domain": built.with_domain,
            "requests": built.requests,
            "unmapped_domains": built.unmapped,
        }
    return {"job": JOB, "command": arguments.command, "status": "done", "exit_code": 0, **done}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; --help says what the arguments are."""
    return cli.guarded(JOB, lambda: _work(_parser().parse_args(argv)))


def console() -> None:
    cli.leave(main())


if __name__ == "__main__":
    console()
