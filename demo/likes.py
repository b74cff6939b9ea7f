"""The rule by which a post of the demo is liked.

    ln(1 + likes) = level + picture + words + novelty + noise

    level    0.7 ln(followers) - 0.6
    picture  mean over the post's pictures of: appeal of the kind + appeal of the look
    words    sum of the terms of the feelings in the caption (`captions.FEELINGS`)
    novelty  0.5 x the share of the author's last five posts whose main picture is of another kind (none yet: 1)
    noise    normal, mean 0, standard deviation 0.25

Only `level` tells users apart, so whether a post does well among its author's own posts hangs on picture, words and
novelty. Likes are rounded; comments are Poisson with mean 0.04 likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LOOK_APPEAL = {"natural": 0.0, "warm": 0.2, "cool": 0.05, "faded": -0.25, "vivid": 0.35, "moody": -0.2}
NOVELTY = 0.5
MEMORY = 5
NOISE = 0.25
COMMENTS = 0.04


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of the rule for one post (natural logarithms)."""

    level: float
    picture: float
    words: float
    novelty: float
    noise: float

    @property
    def likes(self) -> int:
        return max(0, round(float(np.expm1(self.level + self.picture + self.words + self.novelty + self.noise))))


def terms(
    followers: int,
    appeals: Sequence[float],
    words: float,
    main_kind: str | None,
    previous: Sequence[str],
    rng: np.random.Generator,
) -> Terms:
    """The rule for a post with pictures of `appeals`; `previous`: main kinds of the author's earlier posts, in time."""
    memory = list(previous)[-MEMORY:]
    other = sum(kind != main_kind for kind in memory) / len(memory) if memory else 1.0
    return Terms(
        level=0.7 * float(np.log(followers)) - 0.6,
        picture=float(np.mean(appeals)) if len(appeals) else 0.0,
        words=words,
        novelty=NOVELTY * other,
        noise=float(rng.normal(0, NOISE)),
    )
