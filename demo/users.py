"""Who posts: archetypes with habits, and the users drawn around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo.captions import LANGUAGES
from demo.kinds import KIND_NAMES
from demo.photographs import LOOKS


@dataclass(frozen=True, slots=True)
class Archetype:
    """`mix`: share of each favourite kind; what is left to 1 is spread over all kinds alike."""

    name: str
    mix: dict[str, float]
    several: float
    same_kind: float
    hours: tuple[int, int]


ARCHETYPES = (
    Archetype(
        "selfie_lover",
        {"selfie_indoor": 0.34, "selfie_mask": 0.16, "selfie_outdoor": 0.12, "selfie_holding": 0.1, "motto": 0.08},
        0.25,
        0.8,
        (17, 24),
    ),
    Archetype(
        "traveller",
        {
            "temple": 0.3,
            "selfie_outdoor": 0.2,
            "meadow": 0.1,
            "photographer": 0.08,
            "group_small": 0.08,
            "rocket": 0.06,
        },
        0.55,
        0.5,
        (9, 20),
    ),
    Archetype("foodie", {"coffee": 0.42, "selfie_holding": 0.2, "flower": 0.1, "group_small": 0.08}, 0.3, 0.6, (7, 21)),
    Archetype("cat_person", {"cat": 0.48, "flower": 0.1, "horse": 0.1, "selfie_holding": 0.1}, 0.35, 0.85, (6, 23)),
    Archetype(
        "sociable",
        {"group_small": 0.32, "group_large": 0.22, "selfie_outdoor": 0.1, "coffee": 0.08, "uniform": 0.08},
        0.45,
        0.4,
        (18, 24),
    ),
    Archetype(
        "scientist",
        {"galaxies": 0.2, "microscope": 0.2, "rocket": 0.16, "retina": 0.12, "handwriting": 0.08, "coins": 0.06},
        0.3,
        0.5,
        (8, 19),
    ),
    Archetype(
        "sharer",
        {"chat": 0.26, "motto": 0.22, "long": 0.2, "handwriting": 0.06, "selfie_mask": 0.06},
        0.2,
        0.7,
        (10, 24),
    ),
    Archetype(
        "street",
        {"photographer": 0.2, "pavement": 0.18, "gravel": 0.12, "meadow": 0.1, "uniform": 0.14, "coins": 0.1},
        0.4,
        0.6,
        (11, 18),
    ),
)
# How close a user keeps to the archetype: the sum of the Dirichlet's parameters.
_LOYALTY = 25.0
# UTC offsets, in minutes, of where users live.
_OFFSETS = (0, 60, 120, 480, 540, 330, -300, -480, 180)
_NAMES = (
    "mila",
    "noor",
    "kai",
    "lena",
    "yusuf",
    "ines",
    "hana",
    "omar",
    "lucia",
    "jonas",
    "mei",
    "aiko",
    "tariq",
    "nora",
    "felix",
    "xin",
    "ana",
    "paul",
    "rui",
    "sofia",
    "emil",
    "yara",
    "leo",
    "ida",
    "marta",
    "ken",
    "zoe",
    "amir",
    "clara",
    "tom",
)


@dataclass(frozen=True, slots=True)
class User:
    """A user's habits. `mix` and `looks` are probabilities, in the order of `KIND_NAMES` and of `LOOKS`."""

    user_id: str
    archetype: str
    posts: int
    mix: tuple[float, ...]
    looks: tuple[float, ...]
    several: float
    same_kind: float
    language: str
    chattiness: float
    hours: tuple[int, int]
    offset_minutes: int
    followers: int
    boards: bool
    begins: float
    ends: float


def archetype_mix(archetype: Archetype) -> npt.NDArray[np.float64]:
    """The archetype's mean share of every kind (float64, sums to 1, in the order of `KIND_NAMES`)."""
    rest = 1 - sum(archetype.mix.values())
    return np.array([archetype.mix.get(name, 0.0) + rest / len(KIND_NAMES) for name in KIND_NAMES])


def post_counts(users: int, posts: int, rng: np.random.Generator) -> list[int]:
    """How many posts each user has, `posts` in all: a twelfth hardly post, a quarter post a lot, the others 54-60."""
    idle = users // 12
    busy = users // 4
    usual = users - idle - busy
    low, high = (54, 60) if posts >= 50 * users else (8, 12)
    counts = [int(rng.integers(4, high - 20 if high > 40 else 8)) for _ in range(idle)]
    counts += [int(rng.integers(low, high + 1)) for _ in range(usual)]
    rest = posts - sum(counts)
    shares = rng.dirichlet(np.full(busy, 40.0))
    heavy = [int(share * rest) for share in shares]
    heavy[0] += rest - sum(heavy)
    return counts + heavy


def draw_users(users: int, posts: int, rng: np.random.Generator) -> list[User]:
    """`users` users, the archetypes in turn, with `posts` posts in all."""
    counts = post_counts(users, posts, rng)
    order = rng.permutation(users)
    drawn = []
    for number in range(users):
        archetype = ARCHETYPES[number % len(ARCHETYPES)]
        mix = rng.dirichlet(_LOYALTY * archetype_mix(archetype))
        looks = rng.dirichlet(np.full(len(LOOKS), 0.25))
        looks = 0.9 * looks + 0.1 / len(LOOKS)
        begins = float(rng.uniform(0, 0.35))
        drawn.append(
            User(
                user_id=f"{_NAMES[number % len(_NAMES)]}_{int(rng.integers(10, 99))}{number:02d}",
                archetype=archetype.name,
                posts=counts[order[number]],
                mix=tuple(mix.tolist()),
                looks=tuple(looks.tolist()),
                several=float(np.clip(archetype.several + rng.normal(0, 0.1), 0.05, 0.8)),
                same_kind=float(np.clip(archetype.same_kind + rng.normal(0, 0.12), 0.05, 0.97)),
                language=LANGUAGES[int(rng.choice(len(LANGUAGES), p=(0.4, 0.15, 0.15, 0.15, 0.08, 0.07)))],
                chattiness=float(rng.beta(2, 2)),
                hours=archetype.hours,
                offset_minutes=_OFFSETS[int(rng.integers(len(_OFFSETS)))],
                followers=int(np.exp(rng.normal(6.2, 1.1))) + 20,
                boards=bool(rng.random() < 0.2),
                begins=begins,
                ends=float(rng.uniform(max(0.6, begins + 0.3), 1.0)),
            )
        )
    return drawn
