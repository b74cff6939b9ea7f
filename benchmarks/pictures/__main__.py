"""`make bench-pictures`: measure, write benchmarks/out/pictures.json and .png, print what was found."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.command import OUT, arguments, publish, sized
from benchmarks.overlay import overlay_or_none
from benchmarks.pictures import targets
from benchmarks.pictures.cases import PARTS, Bench, run_all
from benchmarks.pictures.peers import Peers
from benchmarks.pictures.photographs import photographs
from benchmarks.pictures.plot import save
from benchmarks.pictures.spark_cases import CORES, SparkCases
from benchmarks.pictures.subjects import FULL, SMALL, Sizes, random_resnet
from benchmarks.rows import Rows
from profilelake import config as configuration
from profilelake.session import session


def main(argv: Sequence[str] | None = None) -> None:
    given = arguments("pictures", __doc__, "64 pictures", "Daft", argv, tuple(PARTS))
    rows = measure(sized(given, FULL, SMALL), OUT / "pictures", given.only, with_daft=not given.no_daft)
    targets.add_ratios(rows)
    publish("pictures", rows.rows(), given.out, save, targets.TARGETS)
    print("\nResNet-50 has random weights here: they take as much time as trained ones, and its vectors mean nothing.")


def measure(sizes: Sizes, cache: Path, parts: Collection[str], *, with_daft: bool) -> Rows:
    """Every case of some parts, in rounds. cache: folder that keeps the photographs from one call to the next."""
    cache.mkdir(parents=True, exist_ok=True)
    made, resnet = photographs(cache, sizes.all, sizes.part), random_resnet(cache)
    config = configuration.load(arguments=[f"spark.master=local[{CORES}]"])
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-pictures-")))
        loops = stack.enter_context(Peers(Path(sys.executable), "benchmarks.pictures.loops", CORES))
        daft = overlay_or_none("daft", "Daft") if with_daft else None
        spark = SparkCases(stack.enter_context(session(config, "bench-pictures")), made, scratch, resnet)
        bench = Bench(sizes, made, resnet, spark, loops, daft, Rows())
        run_all(bench, parts)
    return bench.rows


if __name__ == "__main__":
    main()
