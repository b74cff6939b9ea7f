"""What every job shares: arguments, checks before Spark, logging, exit statuses and the JSON summary."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from profilelake import __version__, config, failures, ledger
from profilelake.config import Config
from profilelake.errors import ConfigError, ProfilelakeError
from profilelake.reports import publish
from profilelake.session import require_importable, session

log = logging.getLogger("profilelake")

EXIT_STATUSES = """exit status:
  0 done   1 failed   2 wrong argument, configuration, crawl, weights or lake format
  3 more bad records than quarantine.max_share allows   4 another run holds the lake"""


def base_parser(job: str, description: str) -> argparse.ArgumentParser:
    """A job's parser without any argument yet; mistakes raise ConfigError."""
    return _Parser(
        prog=f"spark-submit jobs/{job}.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,  # spark-submit's own --conf, given too late, is not --config
    )


def shared_arguments(made: argparse.ArgumentParser) -> None:
    """Add --config, --dry-run, --help and key=value to a (sub)parser."""
    made.add_argument("--config", metavar="FILE", action="append", default=[], help="YAML file; later ones win")
    made.add_argument(
        "--dry-run", action="store_true", help="print configuration, stages and pending rows; write nothing"
    )
    add_help(made)
    made.add_argument("settings", metavar="key=value", nargs="*", help="change one key; wins over files")


def add_help(made: argparse.ArgumentParser) -> None:
    """Add --help alone, for a parser whose commands have the other arguments."""
    made.add_argument("--help", "-h", action=_Help, help="this text, with every key, default, unit and source")


class _Help(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
        parser.epilog = EXIT_STATUSES + "\n\nkeys:\n" + keys_help()
        parser.print_help()
        parser.exit(0)


class _Parser(argparse.ArgumentParser):
    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but settings may stand before, between and behind options."""
        found, rest = self.parse_known_args(args, namespace)
        unknown = [text for text in rest if text.startswith("-") or not hasattr(found, "settings")]
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        if rest:
            found.settings = [*found.settings, *rest]
        return found

    def error(self, message: str) -> Any:
        raise ConfigError(f"{message}; --help lists the arguments")


def keys_help() -> str:
    """Every key with its default and its comment in conf/pipeline.yaml."""
    lines = []
    for knob in config.knobs():
        lines.append(f"  {knob.key}={json.dumps(knob.value)}")
        lines.append(textwrap.fill(knob.help, 100, initial_indent="      ", subsequent_indent="      "))
    return "\n".join(lines)


def set_up_logging() -> None:
    """Our progress lines on standard error, other libraries' warnings too; standard output is for results."""
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("profilelake").setLevel(logging.INFO)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    # Spark's own record of a query's failure, ten thousand characters of JSON; the failure itself reaches us.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)


def resolve(arguments: argparse.Namespace) -> Config:
    """The configuration of a call, logged."""
    resolved = config.load(arguments.config, arguments.settings)
    log.info("profilelake %s with\n%s", __version__, textwrap.indent(resolved.to_yaml().rstrip(), "  "))
    return resolved


def run_stages(job: str, stages: Sequence[str] | None, description: str, argv: Sequence[str] | None = None) -> int:
    """A job that is a row of stages (None: all): parse, check, run, and say in JSON what was done. Returns the exit
    status."""
    return guarded(job, lambda: _run_stages(job, stages, _parser(job, description).parse_args(argv)))


def _parser(job: str, description: str) -> argparse.ArgumentParser:
    made = base_parser(job, description)
    shared_arguments(made)
    return made


def _run_stages(job: str, stages: Sequence[str] | None, arguments: argparse.Namespace) -> dict[str, Any]:
    # not at the top: stages import udfs, and whether that is ours is checked first (guarded)
    from profilelake import pipeline

    resolved = resolve(arguments)
    stages = stages or tuple(pipeline.STAGES)
    pipeline.check(resolved, stages)
    if arguments.dry_run:
        return _dry_run(job, resolved, stages)
    with session(resolved, f"profilelake {job}") as spark:
        current: ledger.Run | None = None
        failure: BaseException | None = None
        try:
            with pipeline.start(spark, resolved, job, stages) as current:
                pipeline.go_on(current, stages)
        except (Exception, KeyboardInterrupt) as error:
            if current is None:
                raise  # there is no run to report on
            failure = error
            tell(error)
        done = summary(resolved, current, failure)
        text = json.dumps(done, indent=2, ensure_ascii=False) + "\n"
        try:
            publish.write_text(spark, resolved.report.path.rstrip("/") + "/summary.json", text)
        except Exception as error:
            if failure is None:
                raise
            log.warning("the summary could not be written: %s", explain(error))  # the failure itself is what counts
        return done


def summary(resolved: Config, current: ledger.Run, failure: BaseException | None) -> dict[str, Any]:
    """The JSON object of a run."""
    reported = any(report.stage == "report" for report in current.reports)
    return {
        "run_id": current.run_id,
        "job": current.job,
        "status": "done" if failure is None else "failed",
        "exit_code": exit_code(failure),
        "error": None if failure is None else explain(failure),
        "lake": current.lake.path or current.lake.schema,
        "report": resolved.report.path.rstrip("/") + "/index.html" if reported else None,
        "stages": [report.summary() for report in current.reports],
        "warnings": current.warnings,
    }


def _dry_run(job: str, resolved: Config, stages: Sequence[str]) -> dict[str, Any]:
    from profilelake import pipeline

    print(resolved.to_yaml(), end="")
    print(f"stages: {', '.join(stages)}")
    path = resolved.lake.path
    if path is not None and ":" not in path.split("/", 1)[0] and not Path(path).exists():
        print(f"the lake {path} does not exist yet: every stage would run on everything")
        found: dict[str, dict[str, int]] = {}
    else:
        with session(resolved, f"profilelake {job} --dry-run") as spark:
            found = pipeline.pending(spark, resolved, stages)
    for name, counts in found.items():
        for what, count in counts.items():
            print(f"{name}: {count:,} {what.replace('_', ' ')}")
    return {"run_id": None, "job": job, "status": "dry run", "exit_code": 0, "pending": found, "stages": list(stages)}


def guarded(job: str, work: Callable[[], dict[str, Any] | None]) -> int:
    """Do a job's work; turn its outcome into the last line of standard output and an exit status. Work that has printed
    all that was asked for itself, so that it can be piped, returns None.

    A failure that is not of profilelake's own errors is shown with its traceback: it is a defect or the platform's.
    """
    set_up_logging()
    try:
        require_importable()
        outcome = work()
        if outcome is None:
            return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the top: the failure becomes the exit status
        tell(error)
        outcome = {
            "run_id": None,
            "job": job,
            "status": "failed",
            "exit_code": exit_code(error),
            "error": explain(error),
            "stages": [],
        }
    print(json.dumps(outcome), flush=True)  # ASCII: a file name may hold what this terminal cannot show
    return int(outcome["exit_code"])


def tell(error: BaseException) -> None:
    """Say a failure to a person."""
    known = failures.is_full(error) or failures.is_interrupt(error) or failures.storage_fault(error)
    if isinstance(error, ProfilelakeError) or known:
        log.error("error: %s", explain(error))
    else:
        log.error("error: %s\n%s", explain(error), "".join(traceback.format_exception(error)))


def explain(error: BaseException) -> str:
    """An error in a sentence."""
    if failures.is_full(error):
        return "the disk is full: nothing half-written is kept, free some space and start the job again"
    if isinstance(error, ProfilelakeError):
        return str(error)
    if failures.is_interrupt(error):
        return "interrupted: nothing half-written is kept, start the job again and it goes on"
    storage = failures.storage_fault(error)
    if storage is not None:
        return f"the lake's files cannot be read or written: {storage}"
    return failures.one_line(error)


def exit_code(failure: BaseException | None) -> int:
    """The contract's exit status of a failure."""
    if failure is None:
        return 0
    return failure.exit_code if isinstance(failure, ProfilelakeError) else 1


def leave(status: int) -> None:
    """End the process with a status; a success returns, since some platforms take any SystemExit for a failure."""
    if status:
        sys.stdout.flush()
        sys.exit(status)
