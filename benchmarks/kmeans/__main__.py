"""`make bench-kmeans`: measure, write benchmarks/out/kmeans.json and .png, print what was found."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.command import OUT, arguments, keep, publish, sized
from benchmarks.kmeans.cases import PARTS, Bench, run_all
from benchmarks.kmeans.plot import save
from benchmarks.kmeans.sizes import FULL, SMALL
from benchmarks.kmeans.targets import targets
from benchmarks.overlay import overlay_or_none
from benchmarks.rows import Rows


def main(argv: Sequence[str] | None = None) -> None:
    given = arguments("kmeans", __doc__, "some 1,000 rows", "faiss", argv, PARTS)
    sizes = sized(given, FULL, SMALL)
    rows = Rows()
    faiss = None if given.no_faiss else overlay_or_none("faiss", "faiss")
    bench = Bench(sizes, OUT / "kmeans", faiss, rows, lambda: keep("kmeans", rows.rows(), given.out))
    run_all(bench, given.only)
    publish("kmeans", rows.rows(), given.out, save, targets(sizes))


if __name__ == "__main__":
    main()
