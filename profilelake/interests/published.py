"""What paper 2 printed: its table 1, to stand beside what is measured here. Networks are spelt as in the house."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# Section 3: 300 users with 200 favourites each; a label is looked up by its word, and occurrences are counted as such.
USERS, PICTURES = 300, 200
RELATION = "favourite"
SETTING: Mapping[str, str] = MappingProxyType({"lookup": "word", "weighting": "none", "domain_weighting": "none"})


@dataclass(frozen=True)
class Printed:
    """A column of table 1: users by number of matches (0 to 5), their mean, and the mean F1."""

    users: tuple[int, int, int, int, int, int]
    matches: float
    f1: float


TABLE_1: Mapping[str, Printed] = MappingProxyType(
    {
        "alexnet": Printed((2, 38, 143, 107, 10, 0), 2.28, 0.4567),
        "vgg16": Printed((5, 46, 156, 89, 4, 0), 2.14, 0.4273),
        "vgg19": Printed((3, 48, 151, 94, 4, 0), 2.16, 0.4320),
        "googlenet": Printed((4, 51, 151, 90, 4, 0), 2.13, 0.4260),
        "resnet50": Printed((1, 41, 139, 109, 9, 1), 2.29, 0.4580),
    }
)
