"""`make bench-kmeans`: measure, write benchmarks/out/kmeans.json and .png, print what was found."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.kmeans.cases import Bench, run_all
from benchmarks.kmeans.plot import save
from benchmarks.kmeans.sizes import FULL, SMALL
from benchmarks.kmeans.targets import targets
from benchmarks.overlay import ROOT, overlay_or_none
from benchmarks.rows import Rows, table, verdicts

OUT = ROOT / "benchmarks" / "out"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make bench-kmeans", description=__doc__)
    parser.add_argument("--small", action="store_true", help="some 1,000 rows, one round: whether it works, no more")
    parser.add_argument("--no-faiss", action="store_true", help="leave faiss out, whose environment needs the network")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    given = parser.parse_args(argv)
    sizes = SMALL if given.small else FULL
    rows = Rows()
    run_all(Bench(sizes, OUT / "kmeans", None if given.no_faiss else overlay_or_none("faiss", "faiss"), rows))
    found = rows.rows()
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "kmeans.json").write_text(json.dumps([asdict(row) for row in found], indent=1), encoding="utf-8")
    save(found, given.out / "kmeans.png")
    print(table(found), verdicts(found, targets(sizes)), sep="\n\n")


if __name__ == "__main__":
    main()
