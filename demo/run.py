"""All of the demo in one session: `spark-submit demo/run.py --config conf/demo.yaml [key=value ...]`.

Builds the profiles, trains the models of paper 1, and builds again, for the scores of those that went live. Each is the
job that anybody submits, jobs/build_profiles.py and jobs/train_selfie.py, with the same arguments; a job takes over the
session that runs, so Spark starts once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs import build_profiles, train_selfie
from profilelake import cli, config, pipeline
from profilelake.errors import ProfilelakeError
from profilelake.session import session

JOBS = (build_profiles, train_selfie, build_profiles)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of the first job that fails, or 0. With --help and --dry-run, and where the arguments or
    the configuration are wrong, the first job alone says so, before Spark starts."""
    argv = sys.argv[1:] if argv is None else argv
    parser = cli.base_parser("build_profiles", str(__doc__))
    cli.shared_arguments(parser)
    if {"--help", "-h", "--dry-run"} & {*argv}:
        return build_profiles.main(argv)
    try:
        given = parser.parse_args(argv)
        resolved = config.load(given.config, given.settings)
        pipeline.check(resolved, tuple(pipeline.STAGES))
    except ProfilelakeError:
        return build_profiles.main(argv)
    with session(resolved, "profilelake demo"):
        return next(filter(None, (job.main(argv) for job in JOBS)), 0)


if __name__ == "__main__":
    cli.leave(main())
