"""`make bench-behaviour`: measure, write benchmarks/out/behaviour.json and .png, print what was found."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.behaviour.cases import Bench, run_all
from benchmarks.behaviour.plot import save
from benchmarks.behaviour.sizes import FULL, SMALL
from benchmarks.behaviour.targets import targets
from benchmarks.command import OUT, arguments, publish, sized
from benchmarks.overlay import overlay_or_none
from benchmarks.rows import Rows


def main(argv: Sequence[str] | None = None) -> None:
    given = arguments("behaviour", __doc__, "3,000 posts", "DuckDB", argv)
    sizes = sized(given, FULL, SMALL)
    rows = Rows()
    run_all(Bench(sizes, OUT / "behaviour", None if given.no_duckdb else overlay_or_none("duckdb", "DuckDB"), rows))
    publish("behaviour", rows.rows(), given.out, save, targets(sizes))


if __name__ == "__main__":
    main()
