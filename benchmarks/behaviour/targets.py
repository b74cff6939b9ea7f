"""What the rows must be, on two cores."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.behaviour.sizes import Sizes
from benchmarks.rows import RATIO, Target

SECONDS = "seconds"
PROCESSORS = "seconds of processors"
MEMORY = "memory of the driver"

STAGE = "stage"
WARM = "stage, warm"
FRAMES = "stage, nothing written"
WITHOUT_TYPES = "stage, nothing written, no types"
DUCKDB = "DuckDB"
DRIVER = "driver"


def subject(posts: int) -> str:
    """How rows call a crawl."""
    return f"{posts:,} posts"


def grown(sizes: Sizes) -> str:
    """How rows call what became of the few posts."""
    return f"{sizes.posts:,} / {subject(sizes.few)}"


def growth(many: Sequence[float], few: Sequence[float], start: Sequence[float]) -> list[float]:
    """By round the seconds of many posts over those of few, the start-up off both; without the rounds in which few
    posts took no longer than the start-up."""
    rounds = zip(many, few, start, strict=True)
    return [(most - base) / (least - base) for most, least, base in rounds if least > base]


def targets(sizes: Sizes) -> tuple[Target, ...]:
    """Every target. sizes: name the subjects."""
    return (
        Target("measures, features, types and attributes, s", STAGE, subject(sizes.posts), SECONDS, 30, above=False),
        Target("ten times the posts, start-up off: time", STAGE, grown(sizes), RATIO, 12, above=False),
        Target("ten times the posts: driver memory", DRIVER, grown(sizes), RATIO, 1.1, above=False),
    )
