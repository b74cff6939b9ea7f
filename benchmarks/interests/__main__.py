"""`make bench-interests`: measure, write benchmarks/out/interests.json and .png, print what was found."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.command import OUT, arguments, publish, sized
from benchmarks.interests.cases import Bench, run_all
from benchmarks.interests.plot import save
from benchmarks.interests.sizes import FULL, SMALL
from benchmarks.interests.targets import targets
from benchmarks.rows import Rows


def main(argv: Sequence[str] | None = None) -> None:
    given = arguments("interests", __doc__, "2,000 posts", None, argv)
    sizes = sized(given, FULL, SMALL)
    rows = Rows()
    run_all(Bench(sizes, OUT / "interests", rows))
    publish("interests", rows.rows(), given.out, save, targets(sizes))


if __name__ == "__main__":
    main()
