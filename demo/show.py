"""Say what a build found and where its results are: `python -m demo.show --config conf/demo.yaml [key=value ...]`.

Reads the report's summary.json alone, so it starts no Spark.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from profilelake import config


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("settings", nargs="*")
    arguments = parser.parse_args(argv)
    resolved = config.load(arguments.config, arguments.settings)
    file = Path(resolved.report.path, "summary.json")
    if not file.exists():
        print(f"there is no {file}: has jobs/build_profiles.py run?", file=sys.stderr)
        return 1
    summary = json.loads(file.read_text(encoding="utf-8"))
    print()
    print(f"run {summary['run_id']}: {summary['status']}")
    for stage in summary["stages"]:
        told = f"skipped: {stage['reason']}" if stage["status"] == "skipped" else _counts(stage)
        print(f"  {stage['stage']:<10} {stage['seconds']:>7.1f} s   {told}")
    for warning in summary["warnings"]:
        print(f"  warning: {warning}")
    print()
    print(f"report  {summary['report']}")
    print(f"tables  {summary['lake']}/<table>  (Delta; docs/tables.md says what they hold)")
    # `make sql` asks the demo's lake unless it is told of another.
    elsewhere = (
        "" if resolved.lake.path == config.load(arguments.config).lake.path else f" ARGS=lake.path={resolved.lake.path}"
    )
    print(
        f'query   make sql Q="select user_name, posts, behaviour_top_category from user_profiles limit 10"{elsewhere}'
    )
    return 0


def _counts(stage: dict[str, object]) -> str:
    named = {"rows_in": "in", "rows_out": "out", "rows_superseded": "superseded", "rows_quarantined": "quarantined"}
    counts = [f"{stage[key]:,} {word}" for key, word in named.items() if stage[key] or key in ("rows_in", "rows_out")]
    counters = stage["counters"]
    assert isinstance(counters, dict)
    return ", ".join([*counts, *(f"{value:,} {name.replace('_', ' ')}" for name, value in counters.items() if value)])


if __name__ == "__main__":
    sys.exit(main())
