"""How many vectors and which k."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """rows: of the sweep; few, many: for how time grows; widths: of vectors; ks: of the sweep; modelled: the k that a
    peer is measured for, of which its whole sweep is reckoned; single: the k of one fit; iterations: at most, for all;
    rounds: of what targets rest on."""

    rows: int
    few: int
    many: int
    widths: tuple[int, int]
    ks: tuple[int, ...]
    modelled: tuple[int, int, int]
    single: int
    iterations: int
    rounds: int


FULL = Sizes(40_000, 10_000, 160_000, (1280, 2048), tuple(range(10, 101)), (10, 55, 100), 60, 20, 2)
SMALL = Sizes(1500, 1000, 3000, (32, 48), tuple(range(2, 9)), (2, 5, 8), 4, 5, 1)
