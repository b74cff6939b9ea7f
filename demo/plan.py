"""What the crawl will hold, before any picture is drawn: pictures, posts, favourites, faults.

Everything is drawn from generators of its own, seeded by the crawl's seed and a name, so that no part depends on the
order in which the others are made.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np

from demo.captions import VOCABULARY, Caption, write
from demo.encoded import ENCODINGS
from demo.faults import MAX_BYTES, PICTURE_REASONS, PICTURES_EACH, RECORD_REASONS, RECORDS_EACH, bad_path
from demo.kinds import BY_NAME, KIND_NAMES, KINDS
from demo.likes import COMMENTS, LOOK_APPEAL, Terms, terms
from demo.photographs import LOOKS
from demo.users import User, draw_users

SOURCE = "demo"
BEGIN = datetime(2023, 1, 1, tzinfo=UTC)
DAYS = 730
CRAWLED = datetime(2025, 1, 10, 6, 0, tzinfo=UTC)
CRAWLED_BEFORE = datetime(2025, 1, 3, 6, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a crawl is. `pictures`: factor on `Kind.pictures`, or None for three of each kind."""

    name: str
    users: int
    posts: int
    favourites: int
    pictures: float | None
    copies: int
    superseded: int
    files: int


FULL = Scale("full", 128, 7_000, 640, 1.0, 16, 110, 8)
SMALL = Scale("small", 12, 150, 16, None, 1, 3, 3)
_SMALL_EACH = 3


def generator(seed: int, name: str, number: int = 0) -> np.random.Generator:
    """The generator of one part of the crawl."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), number])


def _token(seed: int, name: str, number: int) -> str:
    return hashlib.sha256(f"{seed}/{name}/{number}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Picture:
    """A good picture to be drawn; `copy_of`: the number of the picture whose bytes it repeats under another path."""

    number: int
    path: str
    kind: str
    look: str
    encoding: str
    appeal: float
    copy_of: int | None = None


@dataclass(frozen=True, slots=True)
class BadPicture:
    """A picture that is bad for `reason`, made from the kind of its post."""

    reason: str
    number: int
    path: str
    kind: str


@dataclass(slots=True)
class Post:
    """A post as planned; `pictures` are good ones, `extra` what is listed after them."""

    native_id: str
    user: User
    posted_at: datetime
    pictures: list[Picture]
    caption: Caption
    terms: Terms
    likes: int
    comments: int
    extra: list[BadPicture] = field(default_factory=list)
    videos: bool = False
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class Favourite:
    """`user` favourites `post`."""

    user: User
    post: Post
    board: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    scale: Scale
    seed: int
    users: list[User]
    pictures: list[Picture]
    posts: list[Post]
    favourites: list[Favourite]
    bad_pictures: list[BadPicture]


def plan(seed: int, scale: Scale) -> Plan:
    """The whole crawl; pictures that no post lists are left out."""
    users = draw_users(scale.users, scale.posts, generator(seed, "users"))
    pictures = plan_pictures(seed, scale)
    pool = _Pool(pictures)
    posts = [
        post for number, user in enumerate(users) for post in _posts_of(user, pool, generator(seed, "posts", number))
    ]
    native_ids = generator(seed, "native ids").permutation(10 * len(posts)) + 10**9
    for number, post in enumerate(posts):
        post.native_id = f"p{int(native_ids[number])}" if number % 4 else str(int(native_ids[number]) * 1_000)
    favourites = _favourites(scale, users, posts, generator(seed, "favourites"))
    bad = _spoil(seed, scale, posts, {id(favourite.post) for favourite in favourites})
    listed = {picture.number for post in posts for picture in post.pictures}
    originals = {picture.copy_of for picture in pictures if picture.number in listed and picture.copy_of is not None}
    kept = [picture for picture in pictures if picture.number in listed | originals]
    return Plan(scale, seed, users, kept, posts, favourites, bad)


def plan_pictures(seed: int, scale: Scale) -> list[Picture]:
    """Kind, look, encoding and path of every good picture."""
    rng = generator(seed, "pictures")
    names = list(ENCODINGS)
    shares = np.array([ENCODINGS[name][0] for name in names])
    pictures: list[Picture] = []
    for kind in KINDS:
        count = _SMALL_EACH if scale.pictures is None else round(kind.pictures * scale.pictures)
        for _ in range(count):
            number = len(pictures)
            look = LOOKS[rng.integers(len(LOOKS))].name if kind.graded else "natural"
            # The first pictures show every encoding, so that a small crawl has them all.
            encoding = names[number] if number < len(names) else names[rng.choice(len(names), p=shares / shares.sum())]
            if encoding == "jpeg_grey" and kind.name.startswith(("selfie", "group")):
                encoding = "jpeg"
            pictures.append(
                Picture(number, _path(seed, number, encoding), kind.name, look, encoding, _appeal(kind.name, look))
            )
    for original in rng.choice(len(pictures), size=scale.copies, replace=False):
        one, number = pictures[int(original)], len(pictures)
        path = _path(seed, number, one.encoding)
        pictures.append(Picture(number, path, one.kind, one.look, one.encoding, one.appeal, one.number))
    return pictures


def _path(seed: int, number: int, encoding: str) -> str:
    token = _token(seed, "picture", number)
    return f"images/{token[0]}/{token}{ENCODINGS[encoding][1]}"


def _appeal(kind: str, look: str) -> float:
    return BY_NAME[kind].appeal + LOOK_APPEAL[look]


class _Pool:
    """The pictures of every kind, and how often each was posted."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self.by_kind = {name: [one for one in pictures if one.kind == name] for name in KIND_NAMES}
        self.looks = {
            name: np.array([_LOOK_INDEX[one.look] for one in ones], dtype=int) for name, ones in self.by_kind.items()
        }
        self.posted = {name: np.zeros(len(ones)) for name, ones in self.by_kind.items()}

    def pick(self, kind: str, user: User, own: set[int], rng: np.random.Generator) -> Picture:
        """A picture in the looks that the user likes; what nobody or not this user has posted is likelier."""
        ones = self.by_kind[kind]
        weights = np.asarray(user.looks)[self.looks[kind]] + 0.002
        weights = np.where(self.posted[kind] == 0, 3.0, 1.0) * weights
        weights = weights * np.array([0.05 if one.number in own else 1.0 for one in ones])
        index = int(rng.choice(len(ones), p=weights / weights.sum()))
        self.posted[kind][index] += 1
        own.add(ones[index].number)
        return ones[index]


_LOOK_INDEX = {look.name: index for index, look in enumerate(LOOKS)}


def _posts_of(user: User, pool: _Pool, rng: np.random.Generator) -> list[Post]:
    first, last = user.begins * DAYS, user.ends * DAYS
    days = np.sort(rng.uniform(first, last, user.posts))
    zone = timezone(timedelta(minutes=user.offset_minutes))
    own: set[int] = set()
    previous: list[str] = []
    posts = []
    for day in days:
        hour = rng.uniform(*user.hours)
        local = (BEGIN + timedelta(days=int(day))).replace(tzinfo=zone) + timedelta(seconds=int(hour * 3600))
        kinds = _kinds_shown(user, rng)
        pictures: list[Picture] = []
        for kind in kinds:
            picture = pool.pick(kind, user, own, rng)
            if picture not in pictures:
                pictures.append(picture)
        caption = write([one.kind for one in pictures], user.language, user.chattiness, rng)
        main = pictures[0].kind if pictures else None
        rule = terms(user.followers, [one.appeal for one in pictures], caption.words, main, previous, rng)
        comments = int(rng.poisson(COMMENTS * rule.likes))
        posts.append(
            Post("", user, local, pictures, caption, rule, rule.likes, comments, videos=bool(rng.random() < 0.004))
        )
        if main is not None:
            previous.append(main)
    return posts


def _kinds_shown(user: User, rng: np.random.Generator) -> list[str]:
    """The kind of every picture of a post: mostly one picture, else two to nine; one post in 200 is words alone."""
    draw = rng.random()
    if draw < 0.005:
        return []
    count = 1 if draw > user.several else min(9, 1 + int(rng.geometric(0.42)))
    main = int(rng.choice(len(KIND_NAMES), p=user.mix))
    others = rng.choice(len(KIND_NAMES), p=user.mix, size=count - 1)
    same = rng.random(count - 1) < user.same_kind
    return [
        KIND_NAMES[main],
        *(KIND_NAMES[main if keep else int(other)] for other, keep in zip(others, same, strict=True)),
    ]


def _favourites(
    scale: Scale, users: Sequence[User], posts: Sequence[Post], rng: np.random.Generator
) -> list[Favourite]:
    """Posts of others that show what a user likes: kinds of the user's mix in the user's looks."""
    shown = [post for post in posts if post.pictures]
    kinds = np.array([KIND_NAMES.index(post.pictures[0].kind) for post in shown])
    looks = np.array([_LOOK_INDEX[post.pictures[0].look] for post in shown])
    likes = np.array([post.likes for post in shown], dtype=float)
    owners = np.array([post.user.user_id for post in shown])
    who = rng.choice(len(users), size=scale.favourites, p=rng.dirichlet(np.full(len(users), 0.6)))
    taken: set[tuple[str, int]] = set()
    favourites = []
    for number in who:
        user = users[int(number)]
        weights = np.asarray(user.mix)[kinds] * np.asarray(user.looks)[looks] * np.sqrt(1 + likes)
        weights[owners == user.user_id] = 0
        index = int(rng.choice(len(shown), p=weights / weights.sum()))
        if (user.user_id, index) in taken:
            continue
        taken.add((user.user_id, index))
        post = shown[index]
        board = VOCABULARY[post.pictures[0].kind].board if rng.random() < 0.6 else None
        favourites.append(Favourite(user, post, board))
    return favourites


def _spoil(seed: int, scale: Scale, posts: Sequence[Post], favourited: set[int]) -> list[BadPicture]:
    """Chooses superseded posts, and lists bad pictures in others: each behind the good ones, a few alone."""
    rng = generator(seed, "faults")
    fit = [post for post in posts if post.pictures and id(post) not in favourited and post.user.posts > 10]
    order = [fit[index] for index in rng.permutation(len(fit))]
    for post in order[: scale.superseded]:
        post.superseded = True
    rest = iter(order[scale.superseded :])
    bad = []
    for reason in PICTURE_REASONS:
        for number in range(1 if scale.pictures is None else PICTURES_EACH[reason]):
            post = next(rest)
            path = bad_path(reason, number, _token(seed, reason, number))
            picture = BadPicture(reason, number, path, post.pictures[0].kind)
            post.extra.append(picture)
            bad.append(picture)
    return bad


# --- records ----------------------------------------------------------------------------------------------------------


def record(post: Post, rng: np.random.Generator, crawled_at: datetime = CRAWLED) -> dict[str, Any]:
    """The jsonl record of a post; what crawls leave open (form of a time, optional fields) differs by post."""
    images: list[str | None] = [picture.path for picture in post.pictures]
    images += [picture.path for picture in post.extra]
    if post.videos and images:
        images.insert(0, None)
    result: dict[str, Any] = {
        "post_id": int(post.native_id) if post.native_id.isdigit() else post.native_id,
        "user_id": post.user.user_id,
        "posted_at": _time(post.posted_at, rng),
        "source": SOURCE,
        "caption": post.caption.text,
        "likes": _count(post.likes, rng),
        "comments": post.comments,
        "crawled_at": crawled_at.isoformat().replace("+00:00", "Z"),
        "images": images,
    }
    kinds = list(dict.fromkeys(picture.kind for picture in post.pictures))
    draw = rng.random()
    if draw < 0.3:
        tags = dict.fromkeys(tag for kind in kinds for tag in VOCABULARY[kind].tags)
        result["tags"] = list(tags)
    elif draw < 0.33:
        result["tags"] = []
    if post.user.boards and kinds:
        result["board"] = VOCABULARY[kinds[0]].board
    if kinds and rng.random() < 0.06:
        result["hashtags"] = [f"#{VOCABULARY[kinds[0]].hashtags[0]}"]
    if rng.random() < 0.3:
        result["relation"] = "posted"
    if rng.random() < 0.004:
        result["camera"] = "phone"  # a key that profilelake does not know
    return result


def favourite_record(favourite: Favourite, rng: np.random.Generator) -> dict[str, Any]:
    """The record of somebody else's post that a user has favourited."""
    result = record(favourite.post, rng)
    result.update(relation="favourite", user_id=favourite.user.user_id, owner_id=favourite.post.user.user_id)
    result.pop("board", None)
    if favourite.board is not None:
        result["board"] = favourite.board
    return result


def earlier_record(post: Post, rng: np.random.Generator) -> dict[str, Any]:
    """The same post as it was a week before: fewer likes; superseded by `record`."""
    result = record(post, rng, CRAWLED_BEFORE)
    result["likes"] = int(post.likes * rng.uniform(0.6, 0.95))
    result["comments"] = int(post.comments * rng.uniform(0.5, 1.0))
    return result


def _time(moment: datetime, rng: np.random.Generator) -> str | int:
    draw = rng.random()
    if draw < 0.15:
        return int(moment.timestamp())
    if draw < 0.4:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return moment.isoformat()


def _count(likes: int, rng: np.random.Generator) -> int | str | float:
    """Mostly a number; sometimes lossless text or a float, and one in a hundred is hidden (-1)."""
    draw = rng.random()
    if draw < 0.01:
        return -1
    if draw < 0.02:
        return str(likes)
    return float(likes) if draw < 0.03 else likes


def bad_records(scale: Scale) -> list[tuple[str, int]]:
    """(reason, variant) of every bad line."""
    each = 1 if scale.pictures is None else RECORDS_EACH
    return [(reason, number) for reason in RECORD_REASONS for number in range(each)]


__all__ = [
    "FULL",
    "MAX_BYTES",
    "SMALL",
    "Plan",
    "Scale",
    "bad_records",
    "earlier_record",
    "favourite_record",
    "plan",
    "record",
]
