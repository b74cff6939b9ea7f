"""The raw record that every crawl format yields, and the rules that all formats share. Runs on executors, no I/O.

A rule takes a raw value and returns the clean one, or raises `Bad` with one of the four reasons for a record; `build`
applies them all and keeps the first fault in the order of `REASONS`.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from numbers import Integral
from typing import Any, NamedTuple, TypeVar

from udfs.crawl.hashtags import clean_hashtag, hashtags_in

T = TypeVar("T")

# The closed set of reasons for a record; of two faults the first in this order is kept.
REASONS = ("bad_json", "missing_field", "bad_timestamp", "bad_value")
RELATIONS = ("posted", "favourite")

# Deeper JSON is refused: a Python parser recurses, and no crawler nests half as deep.
MAX_DEPTH = 200
# Counts are stored as 64-bit integers.
MAX_COUNT = 2**63 - 1
# Longer numbers are no ids, and would cost quadratic time to write out.
_MAX_ID_DIGITS = 400
_MAX_COUNT_DIGITS = 19
_NO_COUNT: tuple[int | None, bool] = (None, False)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(2101, 1, 1, tzinfo=UTC)

# The default context would round up what has more than 28 digits.
_CUT = Context(prec=60, rounding=ROUND_FLOOR)

_SOURCE = re.compile(r"[a-z0-9_]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = re.compile(r"[+-]?[0-9]{1,40}(?:\.0{1,40})?")
# Text of fewer digits is more likely a date (20221010) than an instant in the early seventies.
_EPOCH_TEXT = re.compile(r"[0-9]{9,10}(?:\.[0-9]{1,40})?")
_ISO = re.compile(
    r"[0-9]{4}-?(?:W[0-9]{2}-?[0-9]|[0-9]{2}-?[0-9]{2})"
    r"[Tt ][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]{1,40})?)?)?"
    r"(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)"
)

# Strings (the last one may be open) and brackets; possessive, so that the work grows with the text only.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)


class Bad(Exception):
    """A value breaks a rule. `reason` is one of `REASONS`; the detail is a sentence that quotes nobody's words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a record takes where it says nothing itself: `source` is `crawl.source`."""

    source: str = "jsonl"


@dataclass(frozen=True, slots=True)
class Record:
    """One crawled post of one user, or (where `part`) one file of such a post.

    - `post_id`: `<source>:<native_post_id>`, for a favourite `<source>:<native_post_id>:favourite:<user_id>`.
    - `user_id`, `owner_id`: `<source>:<native id>`, or `<source>:@<name>` where the record has only a name.
      `user_name` and `owner_name` are the bare names where known, so that a name can be resolved to an id over the
      whole crawl; the post_id of a favourite is then built again with `post_id_of`.
    - `owner_id`: who posted, as the record says it; None where it does not.
    - `posted_at`, `crawled_at`: aware datetimes in UTC, to the microsecond; `crawled_at` only if the record says it.
    - `caption` is untouched but for lone surrogates (U+FFFD); None when not given.
    - `hashtags` are clean and without repeats, [] when there are none; `tags` is None when not given.
    - `likes`, `comments`, `followers`: None when not given or hidden; `hidden_likes`: a negative count was given.
    - `images`: (position from 0, path) pairs. The path is relative to the crawl root with `/`, as listed: it may leave
      the crawl (`udfs.pictures.resolve` says so). It may be None where the bytes are in a column (`has_bytes`).
      Positions may have gaps (videos). `n_images` is the number of pairs.
    - `source_ref`: `<file>:<line>`, also the record's id in `quarantine`; `line` is 1 in a file of one record.
    - `unknown_keys`: keys that the jsonl format does not know.
    - `part`: the post's other pictures are in other files; records of one post_id are merged by position, and none
      supersedes another.
    """

    post_id: str
    native_post_id: str
    source: str
    relation: str
    user_id: str
    user_name: str | None
    owner_id: str | None
    owner_name: str | None
    followers: int | None
    posted_at: datetime
    caption: str | None
    hashtags: list[str]
    tags: list[str] | None
    board: str | None
    likes: int | None
    comments: int | None
    hidden_likes: bool
    url: str | None
    crawled_at: datetime | None
    images: list[tuple[int, str | None]]
    n_images: int
    source_ref: str
    line: int
    unknown_keys: int = 0
    part: bool = False
    has_bytes: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """A record that is quarantined.

    `reason` is one of `REASONS`, `detail` a sentence without captions, names or ids. `record_id` is `<file>:<line>`;
    `user_id` is `<source>:<id>` where it could be read.
    """

    reason: str
    detail: str
    record_id: str
    line: int = 1
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file of the crawl that is no post (a profile, a story, ...): counted, not quarantined. `kind` names it."""

    kind: str
    record_id: str


R = TypeVar("R", Record, Fault)


class Images(NamedTuple):
    """What a record lists: (position, path) pairs, and whether the bytes are in a column."""

    listed: list[tuple[int, str | None]]
    has_bytes: bool = False


# --- JSON -------------------------------------------------------------------------------------------------------------


def _integer(text: str) -> int | Decimal:
    # int() refuses more than 4,300 digits with a ValueError that would read as broken JSON.
    return int(text) if len(text) <= _MAX_ID_DIGITS else Decimal(text)


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond Decimal's range is still JSON; no rule accepts an infinity
        return Decimal("Infinity")


def _constant(text: str) -> None:
    raise Bad("bad_json", f"{text} is no JSON value")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Bad("bad_json", "a key occurs twice in one JSON object")
    return found


# Numbers stay exact: whole ones as int, others as Decimal. Raw control characters in strings are refused (strict).
_DECODER = json.JSONDecoder(
    parse_float=_fraction, parse_int=_integer, parse_constant=_constant, object_pairs_hook=_unique, strict=True
)


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Bad("bad_json", f"nested more than {MAX_DEPTH} levels deep")
        elif token[0] in "]}":
            depth -= 1


def load_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw` (UTF-8, a BOM ignored). Whole numbers are int, others Decimal, all exact.

    Raises `Bad("bad_json")` for invalid UTF-8 or JSON, NaN and infinities, control characters, a repeated key, more
    than `MAX_DEPTH` levels, and for any JSON value that is no object.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Bad("bad_json", f"invalid UTF-8 at byte {error.start}") from None
    text = text.removeprefix("\ufeff").strip(" \t\r\n")
    _check_depth(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Bad("bad_json", f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise Bad("bad_json", "nested too deep") from None
    if not isinstance(value, dict):
        raise Bad("bad_json", "the JSON value is no object")
    return value


def dig(value: Any, *keys: str | int) -> Any:
    """The value under nested keys and list indices, None where any step is absent or of another shape."""
    for key in keys:
        if isinstance(key, str):
            value = value.get(key) if isinstance(value, dict) else None
        else:
            value = value[key] if isinstance(value, list) and -len(value) <= key < len(value) else None
    return value


# --- rules for one value ----------------------------------------------------------------------------------------------


def is_blank(value: Any) -> bool:
    """Null, or text of nothing but white space."""
    return value is None or (isinstance(value, str) and not value.strip())


def clean(text: str) -> str:
    """The text with every lone surrogate, which UTF-8 cannot hold, as U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def as_text(value: Any) -> str | None:
    """Text untouched but for lone surrogates; None is absent; anything else is a `bad_value`."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise Bad("bad_value", "is no text")
    return clean(value)


def as_id(value: Any) -> str | None:
    """An id as text: a number as its exact decimal text (12.0 is "12"), text as it is, blank text as absent (None).

    A fraction, a boolean, a list or an object is a `bad_value`, and so is a binary float above 2**53, whose last
    digits are lost.
    """
    if is_blank(value):
        return None
    if isinstance(value, str):
        return clean(value)
    number = _number(value)
    if number is None or not number.is_finite():
        raise Bad("bad_value", "is neither text nor a number")
    if isinstance(value, float) and abs(value) > 2**53:
        raise Bad("bad_value", "is a floating-point number too large to be exact")
    if number.adjusted() > _MAX_ID_DIGITS:
        raise Bad("bad_value", "is a number too long for an id")
    if number != number.to_integral_value():
        raise Bad("bad_value", "is a fraction")
    return str(int(number))


def as_count(value: Any) -> tuple[int | None, bool]:
    """(count, hidden). "12" and 12.0 are 12; a negative count is hidden: (None, True); None is absent.

    A fraction, a boolean, other text, and numbers beyond 64 bits are a `bad_value`.
    """
    if value is None:
        return None, False
    if isinstance(value, str):
        number = Decimal(value) if _WHOLE.fullmatch(value) else None
    else:
        number = _number(value)
    if (
        number is None
        or not number.is_finite()
        or number.adjusted() >= _MAX_COUNT_DIGITS
        or number != number.to_integral_value()
    ):
        raise Bad("bad_value", "is no whole number")
    count = int(number)
    if count < 0:
        return None, True
    if count > MAX_COUNT:
        raise Bad("bad_value", "is too large")
    return count, False


def as_time(value: Any) -> datetime | None:
    """An instant in UTC, to the microsecond (finer digits are cut): ISO 8601 with an offset, or epoch seconds.

    Epoch seconds may be a number, or text of nine or ten digits (and a fraction): shorter text could be a date. An
    aware datetime is taken too. None is absent; everything else, a time without offset included, and what is outside
    the years 1970-2100 (UTC), is a `bad_timestamp`.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        moment = _epoch(Decimal(value)) if _EPOCH_TEXT.fullmatch(value) else _iso(value)
    else:
        number = _number(value)
        if number is None:
            raise Bad("bad_timestamp", "is neither ISO 8601 text nor epoch seconds")
        moment = _epoch(number)
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise Bad("bad_timestamp", "has no offset from UTC")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise Bad("bad_timestamp", "is outside the years 1970-2100") from None
    if not EPOCH <= moment < END:
        raise Bad("bad_timestamp", "is outside the years 1970-2100")
    return moment


def _iso(text: str) -> datetime:
    if not _ISO.fullmatch(text):
        raise Bad("bad_timestamp", "is no ISO 8601 time with an offset")
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        raise Bad("bad_timestamp", "is no time of the calendar") from None


def _epoch(seconds: Decimal) -> datetime:
    if not seconds.is_finite() or not 0 <= seconds < Decimal((END - EPOCH).total_seconds()):
        raise Bad("bad_timestamp", "is outside the years 1970-2100")
    return EPOCH + timedelta(microseconds=int(_CUT.multiply(seconds, 1_000_000)))


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        return value
    if isinstance(value, Integral):
        return Decimal(int(value))
    if isinstance(value, float):
        return Decimal(repr(float(value)))
    return None


def as_texts(value: Any) -> list[str] | None:
    """A list of texts; null elements are absent and left out; None is absent; anything else is a `bad_value`."""
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        raise Bad("bad_value", "is no list")
    if any(element is not None and not isinstance(element, str) for element in value):
        raise Bad("bad_value", "holds something that is no text")
    return [clean(element) for element in value if element is not None]


def as_images(value: Any) -> Images:
    """The paths of a list under their positions; a null keeps its place (a video) and is not listed."""
    if value is None:
        return Images([])
    if not isinstance(value, list | tuple):
        raise Bad("bad_value", "is no list")
    if any(element is not None and not isinstance(element, str) for element in value):
        raise Bad("bad_value", "holds something that is no path")
    return Images([(position, clean(path)) for position, path in enumerate(value) if path is not None])


def as_relation(value: Any) -> str:
    """`posted` (also for None) or `favourite`; anything else is a `bad_value`."""
    if value is None:
        return "posted"
    if not isinstance(value, str) or value not in RELATIONS:
        raise Bad("bad_value", f"is none of {', '.join(RELATIONS)}")
    return value


def as_source(value: Any, default: str) -> str:
    """A site's name of small letters, digits and underscores, `default` for None; anything else is a `bad_value`."""
    if value is None:
        return default
    if not isinstance(value, str) or not _SOURCE.fullmatch(value):
        raise Bad("bad_value", "is no name of small letters, digits and underscores")
    return value


# --- a whole record ---------------------------------------------------------------------------------------------------


def post_id_of(source: str, native_post_id: str, relation: str, user_id: str) -> str:
    """The key of `posts`: a favourite belongs to the one who favourites, so that its key names that user too."""
    plain = f"{source}:{native_post_id}"
    return f"{plain}:favourite:{user_id}" if relation == "favourite" else plain


class _Faults:
    """Applies rules and keeps their faults in the order in which they were found."""

    def __init__(self) -> None:
        self.found: list[Bad] = []

    def take(self, name: str, rule: Callable[[Any], T], value: Any, otherwise: T) -> T:
        try:
            return rule(value)
        except Bad as bad:
            self.found.append(Bad(bad.reason, f"{name} {bad.detail}"))
            return otherwise

    def first(self) -> Bad | None:
        return min(self.found, key=lambda bad: REASONS.index(bad.reason), default=None)


def build(
    fields: Mapping[str, Any],
    *,
    file: str,
    line: int,
    defaults: Defaults,
    images: Callable[[Any], Images] = as_images,
    key: str | None = None,
    hints: Mapping[str, str] | None = None,
    unknown_keys: int = 0,
    part: bool = False,
) -> Record | Fault:
    """A record of raw values, or its first fault.

    `fields` has the keys of the jsonl format and `user_name`, `owner_name`, `followers`, `url`; a missing key is
    null. `images` is the rule that reads the field `images`. `key` stands for `line` in the record's id where a
    format has no lines. `hints` says, for a required field, where the format would have it.
    """
    record_id = f"{file}:{line if key is None else key}"
    faults = _Faults()

    def get(name: str, rule: Callable[[Any], T], otherwise: T) -> T:
        return faults.take(name, rule, fields.get(name), otherwise)

    source = get("source", lambda value: as_source(value, defaults.source), "")
    relation = get("relation", as_relation, "posted")
    native_post_id = get("post_id", as_id, None)
    native_user_id = get("user_id", as_id, None)
    native_owner_id = get("owner_id", as_id, None)
    user_name = _name(get("user_name", as_text, None), native_user_id)
    owner_name = _name(get("owner_name", as_text, None), native_owner_id)
    posted_at = get("posted_at", as_time, None) if not is_blank(fields.get("posted_at")) else None
    caption = get("caption", as_text, None)
    own = get("hashtags", as_texts, None) or []
    tags = get("tags", as_texts, None)
    board = get("board", as_text, None)
    likes, likes_hidden = get("likes", as_count, _NO_COUNT)
    comments, comments_hidden = get("comments", as_count, _NO_COUNT)
    followers, _ = get("followers", as_count, _NO_COUNT)
    url = get("url", as_text, None)
    crawled_at = get("crawled_at", as_time, None)
    listed, has_bytes = get("images", images, Images([]))

    user_id = _qualified(source, native_user_id, user_name)
    missing = {
        "post_id": is_blank(fields.get("post_id")),
        "user_id": is_blank(fields.get("user_id")) and user_name is None,
        "posted_at": is_blank(fields.get("posted_at")),
    }
    for name, absent in missing.items():
        if absent:
            hint = (hints or {}).get(name)
            faults.found.append(Bad("missing_field", f"{name} is missing" + (f" ({hint})" if hint else "")))
    fault = faults.first()
    if fault is not None:
        return Fault(fault.reason, fault.detail, record_id, line, user_id)
    # Each of these is a fault where it is absent.
    assert native_post_id is not None
    assert user_id is not None
    assert posted_at is not None

    return Record(
        post_id=post_id_of(source, native_post_id, relation, user_id),
        native_post_id=native_post_id,
        source=source,
        relation=relation,
        user_id=user_id,
        user_name=user_name,
        owner_id=_qualified(source, native_owner_id, owner_name),
        owner_name=owner_name,
        followers=followers,
        posted_at=posted_at,
        caption=caption,
        hashtags=join_hashtags(caption, own, topics=source == "weibo"),
        tags=tags,
        board=board,
        likes=likes,
        comments=comments,
        hidden_likes=likes_hidden or comments_hidden,
        url=url,
        crawled_at=crawled_at,
        images=listed,
        n_images=len(listed),
        source_ref=record_id,
        line=line,
        unknown_keys=unknown_keys,
        part=part,
        has_bytes=has_bytes,
    )


def join_hashtags(caption: str | None, own: Sequence[str], topics: bool) -> list[str]:
    """The caption's hashtags, then the record's own, each once, in the order of first occurrence."""
    found = hashtags_in(caption or "", topics) + [clean_hashtag(tag) for tag in own]
    return list(dict.fromkeys(tag for tag in found if tag))


def _name(name: str | None, native_id: str | None) -> str | None:
    # An id of the form @name is how a name without an id is written, so that such records meet the others of the name.
    if is_blank(name) and native_id is not None and native_id.startswith("@") and len(native_id) > 1:
        return native_id[1:]
    return None if is_blank(name) else name


def _qualified(source: str, native_id: str | None, name: str | None) -> str | None:
    if not source or (native_id is None and name is None):
        return None
    return f"{source}:{native_id}" if native_id is not None else f"{source}:@{name}"


# --- pseudonyms -------------------------------------------------------------------------------------------------------


def pseudonym(user_id: str, key: bytes) -> str:
    """`<source>:<hex>`: HMAC-SHA256 of the whole user_id (UTF-8), 64 hex digits. Raises ValueError for an empty key."""
    if not key:
        raise ValueError("the pseudonym key is empty: set a secret of at least 16 bytes")
    source, _, _ = user_id.partition(":")
    return f"{source}:{hmac.new(key, user_id.encode('utf-8'), hashlib.sha256).hexdigest()}"


def pseudonymise(item: R, key: bytes) -> R:
    """The record or fault with its users' ids hashed and without what names them.

    Hashed: user_id, owner_id, and the user_id within a favourite's post_id. Dropped: user_name, owner_name and url
    (which holds a name or leads to it). Names must be resolved to ids before: afterwards they cannot be. Captions,
    and the crawl's own folder and file names in `source_ref` and image paths, stay as they are.
    """
    if isinstance(item, Fault):
        return replace(item, user_id=None if item.user_id is None else pseudonym(item.user_id, key))
    user_id = pseudonym(item.user_id, key)
    return replace(
        item,
        post_id=post_id_of(item.source, item.native_post_id, item.relation, user_id),
        user_id=user_id,
        user_name=None,
        owner_id=None if item.owner_id is None else pseudonym(item.owner_id, key),
        owner_name=None,
        url=None,
    )
