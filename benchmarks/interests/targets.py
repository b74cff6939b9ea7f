"""What the rows must be, on two cores."""

from __future__ import annotations

from benchmarks.interests.sizes import Sizes
from benchmarks.rows import Target

SECONDS = "seconds"
PROCESSORS = "seconds of processors"

STAGE = "stage"
WARM = "stage, warm"
AGAIN = "stage, one post more"
WEIGHTED = "stage, label_score and log_odds"


def subject(words: int) -> str:
    """How rows call a lake."""
    return f"{words:,} labels and tags"


def targets(sizes: Sizes) -> tuple[Target, ...]:
    """Every target. sizes: name the subject."""
    return (Target("labels and tags to ranked profiles, s", STAGE, subject(sizes.words), SECONDS, 90, above=False),)
