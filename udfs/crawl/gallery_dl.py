"""The `gallery_dl` format: a metadata file beside each picture. Runs on executors, no I/O.

Names are those of mikf/gallery-dl, `gallery_dl/postprocessor/metadata.py` (`MetadataPP._filename`: `x.jpg.json`; with
its `extension-format` option `x.json`), fields those of `gallery_dl/extractor/<category>.py`.

A file is a picture, not a post: a post of several pictures is several records with `part` set, each with its picture
under its own position, which are merged by post_id.
"""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from udfs.crawl.records import (
    Bad,
    Defaults,
    Fault,
    Ignored,
    Images,
    Record,
    as_count,
    build,
    dig,
    is_blank,
    load_object,
)

# Bytes that a metadata file may have.
MAX_JSON_BYTES = 64 * 2**20
PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif")

_PICTURE = re.compile(rf".+\.(?:{'|'.join(PICTURES)})", re.IGNORECASE | re.DOTALL)
# `str(datetime)` of gallery-dl (`gallery_dl/util.py`, `json_default`): always UTC, without saying so.
_NAIVE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# RFC 2822 (Pinterest) and the year at the end (Weibo: `Mon Oct 10 13:30:10 +0800 2022`).
_CLOCK = r"(?P<clock>[0-9]{2}:[0-9]{2}:[0-9]{2})"
_ZONE = r"(?P<zone>[+-][0-9]{4}|GMT|UTC)"
_MAIL_TIME = re.compile(
    rf"(?:[A-Z][a-z]{{2}}, )?(?P<day>[0-9]{{1,2}}) (?P<month>[A-Z][a-z]{{2}}) (?P<year>[0-9]{{4}}) {_CLOCK} {_ZONE}"
)
_WEIBO_TIME = re.compile(
    rf"[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[0-9]{{1,2}}) {_CLOCK} {_ZONE} (?P<year>[0-9]{{4}})"
)
# No HTML parser: the standard one raises on some malformed text, and needs quadratic time for other.
_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)[^<>]*>")
_ALT = re.compile(r"""\balt=(?:"([^"<>]{0,200})"|'([^'<>]{0,200})'|([^\s"'<>]{1,200}))""", re.IGNORECASE)

Fields = dict[str, Any]


def group_key(name: str) -> str | None:
    """What a metadata file and its picture, in one folder, have in common: the name up to its last extension.

    `x.json`, `x.jpg.json`, `x.jpg` and `x.mp4.json` share `x`. None for other files.
    """
    if name.startswith((".", "_")) and name.lower().endswith(".json"):
        return None
    if name.lower().endswith(".json"):
        name = name[: -len(".json")]
        return (
            name.rpartition(".")[0] if _PICTURE.fullmatch(name) or re.fullmatch(r".+\.[A-Za-z0-9]{2,4}", name) else name
        )
    return name.rpartition(".")[0] if _PICTURE.fullmatch(name) else None


def parse_metadata(raw: bytes, path: str, file: str, names: Sequence[str]) -> Record | Fault | Ignored:
    """The record of one metadata file, its first fault, or `Ignored` for what is no post (a story, an avatar).

    `path` is the file's place below the crawl root, `file` its name in record ids, `names` the file names in its
    folder that share its `group_key`. The picture is the one beside it; where the metadata speaks of a picture that is
    not there, it is listed all the same; videos and other files are not listed. `source` is the metadata's `category`.
    Never raises for any bytes.
    """
    record_id = f"{file}:1"
    try:
        if len(raw) > MAX_JSON_BYTES:
            raise Bad("bad_json", f"{len(raw):,} bytes, more than {MAX_JSON_BYTES:,}")
        data = load_object(raw)
        category = data.get("category")
        if is_blank(category):
            raise Bad("missing_field", "category is missing: not the metadata of a picture that gallery-dl saved")
        if not isinstance(category, str):
            raise Bad("bad_value", "category is no text")
    except Bad as bad:
        return Fault(bad.reason, bad.detail, record_id)
    if category == "instagram" and data.get("type") in ("story", "highlight", "avatar"):
        return Ignored(str(data["type"]), record_id)
    reading, hints = SITES.get(category, (_generic, GENERIC_HINTS))
    fields = reading(data)
    fields["source"] = re.sub(r"[^a-z0-9_]", "_", category.lower())
    fields["posted_at"] = _moment(fields.get("posted_at"))
    listed = _picture(data, path, names)
    return build(fields, file=file, line=1, defaults=Defaults(), images=lambda _: listed, hints=hints, part=True)


def _picture(data: Mapping[str, Any], path: str, names: Sequence[str]) -> Images:
    folder, slash, name = path.rpartition("/")
    beside = name[: -len(".json")] if name.lower().endswith(".json") else name
    if _PICTURE.fullmatch(beside):
        picture = beside
    else:
        extension = data.get("extension")
        own = f"{beside}.{extension}" if isinstance(extension, str) and extension else None
        there = [other for other in sorted(names) if _PICTURE.fullmatch(other) and other.rpartition(".")[0] == beside]
        if own is not None and (own in there or not there):
            picture = own
        else:
            picture = there[0] if there else ""
    if not _PICTURE.fullmatch(picture):
        return Images([])
    return Images([(_position(data.get("num")), folder + slash + picture)])


def _position(number: Any) -> int:
    """From 0; gallery-dl's `num` counts a post's files from 1, and is absent where there is one."""
    try:
        count, _ = as_count(number)
    except Bad:
        return 0
    return min(max((count or 1) - 1, 0), 2**31 - 1)


# --- sites ------------------------------------------------------------------------------------------------------------


def _flickr(data: Mapping[str, Any]) -> Fields:
    """`extractor/flickr.py`: `FlickrAPI._extract_format`; `user` is whose page was crawled, `owner` who posted."""
    owner = data.get("owner")
    owner_id = owner if isinstance(owner, str) else _first(data, ("owner", "nsid"), ("owner", "id"))
    owner_name = _first(data, ("owner", "username"), ("ownername",))
    favourite = data.get("subcategory") == "favorite"
    title, description = _content(data.get("title")), _content(data.get("description"))
    texts = [part for part in (title, description) if not is_blank(part)]
    tags = data.get("tags")
    alias = _first(data, ("owner", "path_alias"), ("owner", "nsid"))
    return {
        "relation": "favourite" if favourite else "posted",
        "post_id": data.get("id"),
        "user_id": _first(data, ("user", "nsid"), ("user", "id")) if favourite else owner_id,
        "user_name": dig(data, "user", "username") if favourite else owner_name,
        "owner_id": owner_id,
        "owner_name": owner_name,
        "posted_at": _first(data, ("date",), ("dateupload",), ("dateuploaded",)),
        "caption": _joined(texts),
        "tags": tags.split() if isinstance(tags, str) else tags,
        "board": dig(data, "album", "title"),
        "likes": _lenient(_first(data, ("count_faves",), ("faves",))),
        "comments": _lenient(_first(data, ("comments",), ("count_comments",))),
        "url": f"https://www.flickr.com/photos/{alias}/{data.get('id')}/" if isinstance(alias, str) else None,
    }


def _pinterest(data: Mapping[str, Any]) -> Fields:
    """`extractor/pinterest.py`: the pin as the site gives it, with `board` and `user` of the crawl.

    A pin on a board belongs to the board's owner, any other pin to its pinner; who drew it first is the owner.
    """
    by_board = data.get("subcategory") in ("board", "section")
    pinner = (("pinner", "id"), ("pinner", "username"))
    holder = (("board", "owner", "id"), ("board", "owner", "username"))
    user = None
    for id_path, name_path in (holder, pinner) if by_board else (pinner, holder):
        user = (_first(data, id_path), _first(data, name_path))
        if user != (None, None):
            break
    if user in (None, (None, None)):
        user = (None, data.get("user") if isinstance(data.get("user"), str) else None)
    reactions = data.get("reaction_counts")
    counts = [value for value in reactions.values() if isinstance(value, int)] if isinstance(reactions, dict) else []
    pin = data.get("id")
    return {
        "post_id": pin,
        "user_id": user[0],
        "user_name": user[1],
        "owner_id": _first(data, ("native_creator", "id")) or user[0],
        "owner_name": _first(data, ("native_creator", "username")) or user[1],
        "posted_at": _first(data, ("created_at",), ("date",)),
        "caption": _first(
            data, ("description",), ("closeup_unified_description",), ("grid_title",), ("title",), ("seo_alt_text",)
        ),
        "hashtags": data.get("hashtags") if isinstance(data.get("hashtags"), list) else None,
        "board": dig(data, "board", "name"),
        "likes": sum(counts) if counts else None,
        "comments": _lenient(_first(data, ("comment_count",), ("aggregated_pin_data", "comment_count"))),
        "url": f"https://www.pinterest.com/pin/{pin}/" if isinstance(pin, str | int) else None,
    }


def _instagram(data: Mapping[str, Any]) -> Fields:
    """`extractor/instagram.py`: `_parse_post_rest` and `_parse_post_graphql`; `tags` are the caption's own."""
    owner = data.get("owner_id")
    profile = data.get("user")
    is_owner = owner is not None and str(_first(profile, ("id",), ("pk",))) == str(owner)
    return {
        "post_id": _first(data, ("post_shortcode",), ("sidecar_shortcode",), ("shortcode",)),
        "user_id": owner,
        "user_name": data.get("username"),
        "owner_id": owner,
        "owner_name": data.get("username"),
        "followers": _lenient(_first(profile, ("edge_followed_by", "count"), ("follower_count",)))
        if is_owner
        else None,
        "posted_at": _first(data, ("post_date",), ("date",)),
        "caption": data.get("description"),
        "likes": data.get("likes"),
        "comments": _lenient(_first(data, ("comments",), ("comment_count",))),
        "url": data.get("post_url"),
    }


def _weibo(data: Mapping[str, Any]) -> Fields:
    """`extractor/weibo.py`: the post is under `status`; `text` is HTML, `text_raw` is what its writer wrote."""
    status = data["status"] if isinstance(data.get("status"), dict) else data
    user = _first(status, ("user", "id"), ("user", "idstr"))
    name = dig(status, "user", "screen_name")
    plain = status.get("text_raw")
    code = status.get("mblogid")
    text = status.get("text")
    return {
        "post_id": _first(status, ("idstr",), ("id",), ("mid",)),
        "user_id": user,
        "user_name": name,
        "owner_id": user,
        "owner_name": name,
        "followers": _lenient(dig(status, "user", "followers_count")),
        "posted_at": _first(status, ("created_at",), ("date",)),
        "caption": plain if plain is not None else strip_html(text) if isinstance(text, str) else text,
        "likes": status.get("attitudes_count"),
        "comments": status.get("comments_count"),
        "url": f"https://weibo.com/{user}/{code}" if isinstance(code, str) and isinstance(user, str | int) else None,
    }


# For a site without a reading of its own: field to the keys that sites use for it, in this order.
GENERIC: Mapping[str, str] = {
    "post_id": "post_id tweet_id status_id id shortcode",
    "user_id": "owner_id user_id author_id author.id user.id owner.id account.id uploader_id",
    "user_name": (
        "author.name author.username user.username user.name owner.username account.username "
        "username author user owner uploader artist"
    ),
    "posted_at": "date created_at published_at timestamp",
    "caption": "content description caption text title",
    "likes": "favorite_count likes like_count favourites_count favorites",
    "comments": "reply_count comment_count comments_count replies_count comments",
    "url": "post_url url",
}


def _paths(field: str) -> list[tuple[str, ...]]:
    return [tuple(path.split(".")) for path in GENERIC[field].split()]


def _generic(data: Mapping[str, Any]) -> Fields:
    """Any other site: the first of the names in `GENERIC` that has a value of the right shape."""
    fields: Fields = {name: _first(data, *_paths(name)) for name in GENERIC if name != "user_name"}
    names = (value for path in _paths("user_name") if isinstance(value := dig(data, *path), str))
    fields["user_name"] = next((value for value in names if not is_blank(value)), None)
    fields["owner_id"], fields["owner_name"] = fields["user_id"], fields["user_name"]
    for count in ("likes", "comments"):
        fields[count] = _lenient(fields[count])
    tags = data.get("tags")
    fields["tags"] = tags.split() if isinstance(tags, str) else tags
    if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)) and not isinstance(tags, str):
        fields["tags"] = None
    return fields


GENERIC_HINTS = {
    "post_id": f"none of {GENERIC['post_id']}",
    "user_id": f"none of {GENERIC['user_id']} {GENERIC['user_name']}",
    "posted_at": f"none of {GENERIC['posted_at']}",
}

SITES: Mapping[str, tuple[Callable[[Mapping[str, Any]], Fields], Mapping[str, str]]] = {
    "flickr": (
        _flickr,
        {"post_id": "id", "user_id": "owner.nsid, or user.nsid for a favourite", "posted_at": "date or dateupload"},
    ),
    "pinterest": (
        _pinterest,
        {"post_id": "id", "user_id": "pinner or board.owner", "posted_at": "created_at"},
    ),
    "instagram": (
        _instagram,
        {"post_id": "post_shortcode", "user_id": "owner_id or username", "posted_at": "post_date or date"},
    ),
    "weibo": (
        _weibo,
        {"post_id": "status.id", "user_id": "status.user.id", "posted_at": "status.created_at"},
    ),
}


# --- values -----------------------------------------------------------------------------------------------------------


def _first(value: Any, *paths: tuple[str, ...]) -> Any:
    return next((found for path in paths if not is_blank(found := dig(value, *path))), None)


def _content(value: Any) -> Any:
    """Flickr's own API wraps texts: {"_content": text}."""
    return value.get("_content") if isinstance(value, dict) else value


def _joined(parts: Sequence[Any]) -> Any:
    """Title and description under each other; a single part as it is, so that a wrong type is still seen."""
    if not parts:
        return None
    return "\n".join(parts) if all(isinstance(part, str) for part in parts) else parts[0]


def _lenient(value: Any) -> Any:
    """A count that some settings of gallery-dl replace by something else (a list of comments, "1.2万"): then absent."""
    try:
        as_count(value)
    except Bad:
        return None
    return value


def _moment(value: Any) -> Any:
    """gallery-dl's own times, which are UTC and don't say so, and mail-like ones, as what the shared rule reads."""
    if not isinstance(value, str):
        return value
    if _NAIVE.fullmatch(value):
        return value + "+00:00"
    found = _MAIL_TIME.fullmatch(value) or _WEIBO_TIME.fullmatch(value)
    if found is None or found["month"] not in _MONTHS:
        return value
    hours, minutes, seconds = (int(part) for part in found["clock"].split(":"))
    zone = found["zone"]
    offset = timedelta(0)
    if zone[0] in "+-":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:])) * (-1 if zone[0] == "-" else 1)
    month = _MONTHS.index(found["month"]) + 1
    try:
        return datetime(int(found["year"]), month, int(found["day"]), hours, minutes, seconds, tzinfo=timezone(offset))
    except ValueError:
        return value


def strip_html(text: str) -> str:
    """The text that a browser would show: tags dropped, `<br>` a line feed, a picture (Weibo's emoticons) by its
    alternative text, character references decoded.
    """
    return html.unescape(_TAG.sub(_shown, text))


def _shown(tag: re.Match[str]) -> str:
    name = tag[1].lower()
    if name == "img":
        alt = _ALT.search(tag[0])
        return next((part for part in alt.groups() if part is not None), "") if alt else ""
    return "\n" if name == "br" else ""
