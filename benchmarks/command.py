"""What the commands of all benchmarks share: their arguments, and what they leave in the folder of the results."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.overlay import ROOT
from benchmarks.rows import Row, Target, table, verdicts

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    SizesT = TypeVar("SizesT", bound=DataclassInstance)

OUT = ROOT / "benchmarks" / "out"


def arguments(
    name: str, about: str | None, small: str, peer: str | None, argv: Sequence[str] | None, parts: Sequence[str] = ()
) -> argparse.Namespace:
    """`small`, `rounds`, `no_<peer>`, `out` and, of a benchmark that has parts, `only`, as they were given.

    Args:
        name: of the benchmark.
        about: what --help says of it.
        small: what --small measures.
        peer: whose environment needs the network, and which can be left out; None: there is none.
        argv: the arguments; None: those of this process.
        parts: that can be measured alone.
    """
    parser = argparse.ArgumentParser(prog=f"make bench-{name}", description=about)
    parser.add_argument("--small", action="store_true", help=f"{small}, one round: whether it works, not how fast")
    parser.add_argument("--rounds", type=_positive, help="how often to measure what targets rest on")
    if peer is not None:
        parser.add_argument(
            f"--no-{peer.lower()}", action="store_true", help=f"leave {peer} out, whose environment needs the network"
        )
    if parts:
        parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="measure these parts alone")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    return parser.parse_args(argv)


def sized(given: argparse.Namespace, full: SizesT, small: SizesT) -> SizesT:
    """The sizes that were asked for. full, small: dataclasses with `rounds`."""
    chosen = small if given.small else full
    return chosen if given.rounds is None else replace(chosen, rounds=given.rounds)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def keep(name: str, found: Sequence[Row], out: Path) -> None:
    """Write <name>.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps([asdict(row) for row in found], indent=1), encoding="utf-8")


def publish(
    name: str, found: Sequence[Row], out: Path, save: Callable[[Sequence[Row], Path], None], targets: Sequence[Target]
) -> None:
    """Write <name>.json and what `save` draws as <name>.png, and print all rows and what became of the targets."""
    keep(name, found, out)
    save(found, out / f"{name}.png")
    print(table(found), verdicts(found, targets), sep="\n\n")
