"""How many posts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """posts: of the lake that targets rest on; few: for how time and memory grow; tiny: what costs only the start-up;
    rounds: of what targets rest on."""

    posts: int
    few: int
    tiny: int
    rounds: int


FULL = Sizes(1_000_000, 100_000, 200, 3)
SMALL = Sizes(3000, 1000, 200, 1)
