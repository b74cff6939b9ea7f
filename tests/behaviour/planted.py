"""Made-up users whose category mix tells their selfie habits as well as a given strength allows, and no better.

Every user has seven latent numbers z, one a behaviour, that shape what they post beside selfies: each raises the share
of its own group of categories, and those of inertia and singleness the features I and S, too. A habit is strength * z
+ sqrt(1 - strength^2) * noise, and shapes how they post selfies. Selfies are added to what is there, in proportion, so
at strength 0 nothing of either tells the other.

`python -m tests.behaviour.planted --out LAKE` lays a lake of them, to be studied with jobs/train_selfie.py.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw
from sklearn.linear_model import LogisticRegression

from profilelake import config as configuration
from profilelake import ledger
from profilelake.behaviour import stage as behaviour
from profilelake.behaviour.published import TABLE_1
from profilelake.lake import Lake
from profilelake.session import session
from tests.lakes import FIT, day, lay

Doubles = npt.NDArray[np.float64]

KINDS = ("Indoor Ordinary Selfie", "Outdoor Selfie", "Holding Something Selfie", "Face Mask Selfie")
# Table 1 with the four kinds added up: 46 and Selfie.
CATEGORIES = tuple(sorted({"Selfie", *TABLE_1} - set(KINDS)))

# The paper's table 5, spelt as in table 1.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "Travel": ("Landscape Photo", "Tourist Photo", "Building"),
    "Cosmetic": ("Cosmetic", "Cosmetics Ad", "Cosmetic Tips"),
    "Children": ("Child", "Baby"),
    "Living Goods": ("Shoes", "Clothes", "Sunglass & Handbag", "Necklace & Bracelet"),
    "WeChat": (
        "WeChat Moment", "Motto", "WeChat Expression", "QR-code", "WeChat Wallet", "Chat Screenshot", "Other Ad",
        "Comic", "Essay",
    ),
    "Food": ("Snack", "Fruit & Cake", "Meal"),
}  # fmt: skip

# Which categories each latent number raises; so measures tell attributes, too (R7).
GROUPS: Mapping[str, tuple[str, ...]] = {
    "frequency": ATTRIBUTES["Cosmetic"],
    "inertia": ATTRIBUTES["Living Goods"],
    "singleness": ATTRIBUTES["WeChat"],
    "group": ATTRIBUTES["Children"],
    "outdoor": ATTRIBUTES["Travel"],
    "holding_something": ATTRIBUTES["Food"],
    "face_mask": ("Bed", "Pink Goods", "Hand & Leg", "Beauty Ad"),
}
BEHAVIOURS = tuple(GROUPS)

MEASURES: Mapping[str, str] = {
    "frequency": "selfie_frequency",
    "inertia": "selfie_inertia",
    "singleness": "selfie_singleness",
    "group": "group_tendency",
    "outdoor": "outdoor_tendency",
    "holding_something": "holding_something_tendency",
    "face_mask": "face_mask_tendency",
}

# How much a latent number of 1 raises the log of its categories' shares, and the log odds of a habit.
_GAIN = 1.5
_SLOPE = 1.5
# Pictures of a category in a post, or of selfies, at most.
_MOST = 4
# Different pictures of one category, or of one kind of selfie with one number of faces.
_PICTURES = 20

_SELFIE_WORDS = ("me", "smile", "mirror", "hair", "自拍", "lipstick", "today's face", "😊")
_OTHER_WORDS = ("dinner", "sale", "recipe", "street", "风景", "delivery", "screenshot", "☕")
_PLAIN_WORDS = ("the", "a", "so", "good", "day", "with", "again", "今天", "really", "and", "love", "new")


@dataclass(frozen=True)
class Planted:
    """Users and what they post.

    Attributes:
        users: (n,) ids, ascending.
        shown: (n, 7) z, by `BEHAVIOURS`.
        habits: (n, 7).
        posts: post_id, user_id, caption (None for some), has_selfie.
        pictures: user_id, post_id, position, image, category, kind (None but for selfies), faces (0 but for selfies);
            `image` names one of a few pictures of its category, kind and faces.
    """

    users: npt.NDArray[np.str_]
    shown: Doubles
    habits: Doubles
    posts: pd.DataFrame
    pictures: pd.DataFrame


@dataclass(frozen=True)
class Frames:
    """The tables of users, with NaN for NULL."""

    user_categories: pd.DataFrame
    user_features: pd.DataFrame
    selfie_measures: pd.DataFrame
    user_attributes: pd.DataFrame


def _odds(log_odds: Doubles) -> Doubles:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def plant(
    users: int = 300,
    posts: int = 60,
    strength: float = 0.9,
    seed: int = 0,
    categories: Sequence[str] = CATEGORIES,
    caption_strength: float = 0.7,
) -> Planted:
    """Make users up.

    Args:
        users: how many.
        posts: of each that show something else than selfies.
        strength: correlation of latent number and habit, 0 to 1.
        seed: of everything.
        categories: that users post; without one of a group's, its latent number shows the less.
        caption_strength: how far a telling word can be trusted to tell a selfie, 0 to 1.
    """
    rng = np.random.default_rng(seed)
    shown = rng.standard_normal((users, len(BEHAVIOURS)))
    habits = strength * shown + np.sqrt(1 - strength**2) * rng.standard_normal(shown.shape)
    z, habit = dict(zip(BEHAVIOURS, shown.T, strict=True)), dict(zip(BEHAVIOURS, habits.T, strict=True))
    names = np.array([f"u{number:06d}" for number in range(users)])
    of = np.repeat(np.arange(users), posts)
    alone = rng.random(len(of)) < _odds(_SLOPE * z["singleness"])[of]
    others = _others(rng, of, np.where(alone, 1, 2 + (rng.random(len(of)) < 0.3)), z, shown, categories)

    # selfies by the others' number, not the posts', or a frequency would tell how many categories posts have
    occurrences = np.bincount(of[others["post"]], minlength=users)
    selfies = rng.binomial(occurrences, 0.6 * _odds(-0.5 + _SLOPE * habit["frequency"]))
    apart = np.maximum(rng.binomial(selfies, _odds(_SLOPE * habit["singleness"])), selfies - posts)
    place = np.argsort(rng.random((users, posts)), axis=1)
    beside = np.flatnonzero((place < (selfies - apart)[:, None]).ravel())
    own = len(of) + np.arange(apart.sum())
    of = np.concatenate([of, np.repeat(np.arange(users), apart)])
    posted = np.concatenate([beside, own])
    entries = [_selfies(rng, posted, of[posted], habit), others]
    pictures = pd.concat(entries, ignore_index=True)
    pictures = pictures.loc[pictures.index.repeat(pictures["images"])].sort_values("post", kind="stable")
    pictures = pictures.reset_index(drop=True)
    pictures["position"] = pictures.groupby("post").cumcount()
    one_of = pd.Series(rng.integers(_PICTURES, size=len(pictures))).astype(str)
    kind = pictures["kind"].fillna("") + "/" + pictures["faces"].astype(str)
    pictures["image"] = pictures["category"] + "/" + kind + "/" + one_of
    post_ids = np.array([f"p{number:07d}" for number in range(len(of))])
    pictures["user_id"], pictures["post_id"] = names[of[pictures["post"]]], post_ids[pictures["post"]]
    has_selfie = np.isin(np.arange(len(of)), posted)
    captions = _captions(rng, has_selfie, caption_strength)
    made = pd.DataFrame({"post_id": post_ids, "user_id": names[of], "caption": captions, "has_selfie": has_selfie})
    order = ["user_id", "post_id", "position", "image", "category", "kind", "faces"]
    return Planted(names, shown, habits, made, pictures[order].reset_index(drop=True))


def _selfies(
    rng: np.random.Generator, post: npt.NDArray[np.intp], user: npt.NDArray[np.intp], habit: Mapping[str, Doubles]
) -> pd.DataFrame:
    """A row a post with selfies: post, category, kind, faces, images. All selfies of a post are of one kind."""
    weights = np.stack(
        [np.zeros(len(user)), *(habit[name][user] for name in ("outdoor", "holding_something", "face_mask"))], axis=1
    )
    kind = (_SLOPE * weights + rng.gumbel(size=weights.shape)).argmax(axis=1)
    several = rng.random(len(post)) < _odds(-0.5 + _SLOPE * habit["group"])[user]
    images = 1 + rng.binomial(_MOST - 1, _odds(-0.5 + _SLOPE * habit["inertia"])[user])
    kinds = np.array(KINDS, dtype=object)[kind]
    return pd.DataFrame({"post": post, "category": "Selfie", "kind": kinds, "faces": 1 + several, "images": images})


def _others(
    rng: np.random.Generator,
    of: npt.NDArray[np.intp],
    number: npt.NDArray[np.intp],
    z: Mapping[str, Doubles],
    shown: Doubles,
    categories: Sequence[str],
) -> pd.DataFrame:
    """The same for the other categories: `number` different ones a post, drawn from the user's mix."""
    names = np.array([name for name in categories if name != "Selfie"], dtype=object)
    raised = np.array([[name in group for name in names] for group in GROUPS.values()], np.float64)
    mix = np.log([TABLE_1[name] for name in names]) + _GAIN * shown @ raised
    found = []
    for begin in range(0, len(of), 100_000):
        some = slice(begin, begin + 100_000)
        # the largest of weights with Gumbel noise are a draw without repeats
        best = np.argsort(-(mix[of[some]] + rng.gumbel(size=(len(of[some]), len(names)))), axis=1)[:, : number.max()]
        post, place = np.nonzero(np.arange(best.shape[1]) < number[some, None])
        found.append(pd.DataFrame({"post": begin + post, "category": names[best[post, place]]}))
    drawn = pd.concat(found, ignore_index=True)
    share = _odds(-0.5 + _SLOPE * z["inertia"])[of[drawn["post"]]]
    return drawn.assign(kind=None, faces=0, images=1 + rng.binomial(_MOST - 1, share))


def _captions(rng: np.random.Generator, has_selfie: npt.NDArray[np.bool_], strength: float) -> list[str | None]:
    """Up to eight words a post, two in five of them telling; of these so many tell the truth that they agree with it by
    `strength`. One post in ten has no caption."""
    words = rng.integers(0, 9, size=len(has_selfie))
    of = np.repeat(has_selfie, words)
    honest, telling, which = (rng.random(len(of)) for _ in range(3))
    about_selfies = of == (honest < (1 + strength) / 2)
    lists = (np.array(_PLAIN_WORDS, object), np.array(_OTHER_WORDS, object), np.array(_SELFIE_WORDS, object))
    kind = np.where(telling < 0.4, 1 + about_selfies, 0)
    said = np.choose(kind, [some[(which * len(some)).astype(int)] for some in lists])
    ends = np.cumsum(words)
    absent = rng.random(len(words)) < 0.1
    return [
        None if missing else " ".join(said[end - number : end])
        for missing, number, end in zip(absent, words, ends, strict=True)
    ]


def frames(pictures: pd.DataFrame) -> Frames:
    """The tables of users from their pictures, straight from the paper: definitions 1 to 8, section 4.2, table 5."""
    posted = pictures.groupby(["user_id", "post_id", "category"]).size().rename("images").reset_index()
    in_post = posted.groupby("post_id")["category"].transform("size")
    posted["alone"] = in_post == 1
    by = posted.groupby(["user_id", "category"])
    table = by.agg(images=("images", "sum"), occurrences=("images", "size"), alone=("alone", "sum")).reset_index()
    other = table["category"] != "Selfie"
    total = table.groupby("user_id")["occurrences"].transform("sum")
    without = table["occurrences"].where(other).groupby(table["user_id"]).transform("sum")
    table["frequency"] = table["occurrences"] / total
    table["inertia"] = table["images"] / table["occurrences"]
    table["singleness"] = table["alone"] / table["occurrences"]
    table["frequency_without_selfie"] = (table["occurrences"] / without).where(other)

    users = pd.DataFrame(index=pd.Index(sorted(pictures["user_id"].unique()), name="user_id"))
    users["posts"] = posted.groupby("user_id")["post_id"].nunique()
    users["occurrences"] = table.groupby("user_id")["occurrences"].sum()
    sums = table[other].groupby("user_id")[["images", "occurrences", "alone"]].sum().reindex(users.index, fill_value=0)
    selfies = table[~other].set_index("user_id")[["images", "occurrences", "alone"]].reindex(users.index, fill_value=0)
    features = users.assign(
        other_occurrences=sums["occurrences"],
        other_inertia=_ratio(sums["images"], sums["occurrences"]),
        other_singleness=_ratio(sums["alone"], users["posts"] - selfies["occurrences"]),
    )
    measures = pd.DataFrame(
        {
            "selfie_frequency": selfies["occurrences"] / users["occurrences"],
            "selfie_inertia": _ratio(selfies["images"], selfies["occurrences"]),
            "selfie_singleness": _ratio(selfies["alone"], selfies["occurrences"]),
            "selfie_occurrences": selfies["occurrences"],
            "one_face_occurrences": _posts(pictures["faces"] == 1, pictures, users.index),
            "multi_face_occurrences": _posts(pictures["faces"] > 1, pictures, users.index),
        }
    )
    for name, kind in zip(("indoor_ordinary", "outdoor", "holding_something", "face_mask"), KINDS, strict=True):
        measures[f"{name}_occurrences"] = _posts(pictures["kind"] == kind, pictures, users.index)
    several = measures["multi_face_occurrences"]
    measures["group_tendency"] = _ratio(several, several + measures["one_face_occurrences"])
    for name in ("outdoor", "holding_something", "face_mask"):
        count = measures[f"{name}_occurrences"]
        measures[f"{name}_tendency"] = _ratio(count, count + measures["indoor_ordinary_occurrences"])
    attributes = []
    for attribute, members in ATTRIBUTES.items():
        of = table[table["category"].isin(members)].groupby("user_id")
        value = of["frequency_without_selfie"].sum().reindex(users.index, fill_value=0.0)
        value = value.where(sums["occurrences"] > 0)
        count = of["occurrences"].sum().reindex(users.index, fill_value=0)
        attributes.append(pd.DataFrame({"attribute": attribute, "value": value, "occurrences": count}))
    return Frames(
        table.drop(columns="alone"),
        features.reset_index(),
        measures.reset_index(),
        pd.concat(attributes).reset_index(),
    )


def _ratio(above: pd.Series, below: pd.Series) -> pd.Series:
    return above / below.where(below > 0)


def _posts(which: pd.Series, pictures: pd.DataFrame, users: pd.Index) -> pd.Series:
    return pictures[which].groupby("user_id")["post_id"].nunique().reindex(users, fill_value=0)


def quarters(values: pd.Series) -> pd.Series:
    """1 for the top quarter of the values that are there, 0 for the bottom one, by user; the others are left out."""
    ranked = values.dropna().sort_index().sort_values(ascending=False, kind="stable")
    each = len(ranked) // 4
    return pd.concat([ranked.iloc[:each] * 0 + 1, ranked.iloc[len(ranked) - each :] * 0]).astype(int)


def labels(made: Frames, measure: str, drop_by: Sequence[str] = (), part: int | None = None) -> pd.Series:
    """The two sides of a task in the paper's words, by user; `measure` may be an attribute."""
    measures = made.selfie_measures.set_index("user_id")
    if measure in ATTRIBUTES:
        of = made.user_attributes
        values = of[of["attribute"] == measure].set_index("user_id")["value"]
    else:
        values = measures[measure]
    values = values.dropna().sort_index()
    if part is not None:
        least = measures.loc[values.index, list(drop_by)].sum(axis=1).sort_values(kind="stable")
        values = values.drop(least.index[: len(values) // part])
    return quarters(values)


def allowed(many: Planted, tables: Frames, measure: str, **drops: Any) -> float:
    """The accuracy that somebody reaches in a task who sees the latent numbers themselves, of which its features show
    traces: a linear decision by all seven of z (R7, whose features are the measures: of the habits), learnt on every
    other one of many users and tested on the rest.
    """
    side = labels(tables, measure, **drops).sort_index()
    seen = many.habits if measure in ATTRIBUTES else many.shown
    x = pd.DataFrame(seen, index=many.users).loc[side.index].to_numpy()
    y = side.to_numpy()
    decision = LogisticRegression().fit(x[::2], y[::2])
    return float(decision.score(x[1::2], y[1::2]))


def lay_planted(lake: Lake, planted: Planted) -> None:
    """Lay the users' posts and pictures as what the behaviour stage reads: categories, kinds of selfie and faces."""
    images = planted.pictures.drop_duplicates("image").sort_values("image", ignore_index=True)
    encoded = {row.image: _picture(row.image, row.category) for row in images.itertuples()}
    ids = {name: hashlib.sha256(content).hexdigest() for name, content in encoded.items()}
    counts = planted.pictures.groupby("post_id").size()
    posts = [
        {
            "post_id": row.post_id,
            "user_id": row.user_id,
            "caption": row.caption,
            "posted_at": day(number % 120),
            "n_images": int(counts[row.post_id]),
        }
        for number, row in enumerate(planted.posts.itertuples())
    ]
    lay(
        lake, "users", [{"user_id": str(user), "posts": int(len(posts) / len(planted.users))} for user in planted.users]
    )
    lay(lake, "posts", posts)
    lay(
        lake,
        "post_images",
        [
            {"post_id": row.post_id, "position": row.position, "image_id": ids[row.image]}
            for row in planted.pictures.itertuples()
        ],
    )
    lay(
        lake,
        "images",
        [
            {"image_id": ids[name], "content": bytearray(content), "format": "png", "width": 64, "height": 64,
             "n_bytes": len(content)}
            for name, content in encoded.items()
        ],
    )  # fmt: skip
    lay(
        lake,
        "image_faces",
        [
            {"image_id": ids[row.image], "faces": row.faces, "largest_face_share": 0.2 * (row.faces > 0)}
            for row in images.itertuples()
        ],
    )
    _lay_fit(lake, "categories", {ids[row.image]: row.category for row in images.itertuples()})
    _lay_fit(lake, "selfie", {ids[row.image]: row.kind for row in images.itertuples() if row.faces})


def _lay_fit(lake: Lake, purpose: str, names: Mapping[str, str]) -> None:
    numbers = {name: number for number, name in enumerate(sorted(set(names.values())))}
    common = {"purpose": purpose, "fit_id": f"{FIT}-{purpose}"}
    lay(lake, "cluster_fits", [{"k": len(numbers), "images": len(names)}], **common)
    centroids = []
    for name, number in numbers.items():
        members = sorted(image for image, of in names.items() if of == name)
        centroids.append(
            {"cluster_id": number, "category": name, "proposed_category": name, "size": len(members),
             "exemplar_image_ids": members[:12]}
        )  # fmt: skip
    lay(lake, "cluster_centroids", centroids, **common)
    lay(lake, "image_clusters", [{"image_id": i, "cluster_id": numbers[of]} for i, of in names.items()], **common)


def _picture(image: str, category: str) -> bytes:
    """A small PNG that shows its category's name, different for every `image`."""
    digest = hashlib.sha256(image.encode("utf-8")).digest()
    colour = tuple(64 + value // 2 for value in hashlib.sha256(category.encode("utf-8")).digest()[:3])
    picture = Image.new("RGB", (64, 64), colour)
    draw = ImageDraw.Draw(picture)
    draw.multiline_text((2, 2), category.replace(" ", "\n"), fill="black")
    draw.point([(60 + at % 4, 60 + at // 4) for at in range(16) if digest[at] & 1], fill="white")
    picture.putpixel((0, 0), (digest[0], digest[1], digest[2]))
    held = io.BytesIO()
    picture.save(held, "PNG")
    return held.getvalue()


def main(argv: Sequence[str] | None = None) -> None:
    """Lay a lake of planted users and measure them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", required=True, help="folder of the lake to make")
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--posts", type=int, default=60)
    parser.add_argument("--strength", type=float, default=0.9, help="0: selfies and other posts have nothing in common")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    config = configuration.load(arguments=[f"lake.path={given.out}"])
    with session(config) as spark, ledger.run(spark, config, "planted") as run:
        lay_planted(run.lake, plant(given.users, given.posts, given.strength, given.seed))
        behaviour.run(spark, config)
    print(f"spark-submit jobs/train_selfie.py lake.path={given.out}")


if __name__ == "__main__":
    main()
