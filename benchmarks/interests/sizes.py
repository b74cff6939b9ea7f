"""How many posts."""

from __future__ import annotations

from dataclasses import dataclass

# Of every post: a picture with a label by each network, and tags.
NETWORKS = ("efficientnet_lite0",)
TAGS_A_POST = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """posts, users: of the lake that the target rests on; tiny: posts that cost only the start-up; rounds: of both."""

    posts: int
    users: int
    tiny: int
    rounds: int

    @property
    def words(self) -> int:
        """Labels and tags of all posts."""
        return self.posts * (len(NETWORKS) + TAGS_A_POST)


FULL = Sizes(2_000_000, 200_000, 200, 3)
SMALL = Sizes(2_000, 200, 200, 1)
