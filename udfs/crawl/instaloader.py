"""The `instaloader` format: a sidecar a post, its pictures and caption beside it. Runs on executors, no I/O.

Shapes are those of instaloader/instaloader, `instaloader/structures.py` (`Post`, `get_json_structure`) and
`instaloader/instaloader.py` (`download_post`: file names; `save_caption`: the text file).
"""

import lzma
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from udfs.crawl.records import Bad, Defaults, Fault, Ignored, Images, Record, build, dig, is_blank, load_object

SITE = Defaults(source="instagram")
# Bytes that a sidecar may have unpacked; a post with all its comments and related profiles stays below 10 MiB.
MAX_JSON_BYTES = 64 * 2**20
# Bytes that the unpacker itself may use; the strongest preset needs 65 MiB.
_XZ_MEMORY = 128 * 2**20
# What instagram serves as a picture; formats that ingest does not take are listed all the same and get their reason.
PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "heic", "heif", "avif")
_SIDECARS = (".json.xz", ".json")
_MAGIC = b"\xfd7zXZ\x00"

_FILE = re.compile(
    rf"(?P<stem>.+?)(?P<end>\.json\.xz|\.json|\.txt|\.(?:{'|'.join(PICTURES)}))", re.IGNORECASE | re.DOTALL
)
_NUMBER = re.compile(r"_[0-9]{1,2}\Z")
_NUMBERS = re.compile(r"(?:_[0-9]{1,2})+\Z")
_POST_STEM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}_UTC")
_COMMENTS = "_comments.json"


@dataclass(slots=True)
class PostFiles:
    """The files of one post in one folder, by name: `sidecar` is None where instaloader wrote no metadata."""

    stem: str
    sidecar: str | None = None
    text: str | None = None
    pictures: list[str] = field(default_factory=list)


def group_key(name: str) -> str | None:
    """What all files of one post, in one folder, have in common; None for a file that can be none of a post's.

    Coarser than a post: with file names that end in a number themselves (a date with underscores), many posts share a
    key. `posts_of` parts them.
    """
    split = _split(name)
    return None if split is None else _NUMBERS.sub("", split[0])


def posts_of(names: Sequence[str]) -> list[PostFiles]:
    """The posts among the file names of one folder that share a `group_key`, sorted by stem.

    A post is a sidecar with what belongs to it. Pictures and captions without one are posts too, if they are named
    `<UTC time>_UTC[_N].jpg`; others (profile pictures, covers, strangers) are no posts. `_N` belongs to the sidecar
    of the stem before it unless there is a sidecar of the whole name.
    """
    split = {name: parts for name in sorted(names) if (parts := _split(name)) is not None}
    posts: dict[str, list[PostFiles]] = {}
    for name, (stem, end) in split.items():
        if end in _SIDECARS:
            posts.setdefault(stem, []).append(PostFiles(stem, name))
    for name, (stem, end) in split.items():
        if end in _SIDECARS:
            continue
        base = _NUMBER.sub("", stem)
        if stem in posts:
            owner = stem
        elif (base in posts and end != ".txt") or _POST_STEM.fullmatch(base):
            owner = base
        else:
            continue
        for post in posts.setdefault(owner, [PostFiles(owner)]):
            if end == ".txt":
                post.text = name
            else:
                post.pictures.append(name)
    return sorted(
        (post for found in posts.values() for post in found), key=lambda post: (post.stem, post.sidecar or "")
    )


def _split(name: str) -> tuple[str, str] | None:
    found = _FILE.fullmatch(name)
    if found is None or name.startswith((".", "_")):
        return None
    return found["stem"], found["end"].lower()


def parse_sidecar(
    raw: bytes, path: str, file: str, names: Sequence[str], text: bytes | None = None
) -> Record | Fault | Ignored:
    """The post of a sidecar, its first fault, or `Ignored` for a profile, story, hashtag, comments and the like.

    `raw` is the file as it is (JSON or xz); `path` its place below the crawl root; `file` its name in record ids;
    `names` the picture files in its folder that share its stem (`PostFiles.pictures`); `text` the bytes of the caption
    file, used where the sidecar has no caption of its own. The user is the post's owner. A picture that the sidecar
    promises and that is not there is listed all the same; a video is listed where its thumbnail was saved. Never
    raises for any bytes.
    """
    record_id = f"{file}:1"
    if path.endswith(_COMMENTS):
        return Ignored("comments", record_id)
    try:
        data = load_object(_unpack(raw))
    except Bad as bad:
        return Fault(bad.reason, bad.detail, record_id)
    kind = dig(data, "instaloader", "node_type")
    if kind is not None and kind != "Post":
        return Ignored(kind if isinstance(kind, str) else "unknown node_type", record_id)
    folder, _, name = path.rpartition("/")
    node = data.get("node", data)
    if kind is None and "node" not in data and _first(node, ("shortcode",), ("code",)) is None:
        stem = _split(name)
        if not names and not (stem and _POST_STEM.fullmatch(stem[0])):
            return Ignored("no instaloader file", record_id)
    caption = _caption(node)
    if caption is None and text is not None:
        # `save_caption` adds one line feed, and on Windows writes each line feed as two characters.
        caption = text.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").removesuffix("\n")
    code = _first(node, ("shortcode",), ("code",), ("iphone_struct", "code"))
    user_id = _first(node, ("owner", "id"), ("owner", "pk"), ("iphone_struct", "user", "pk"))
    fields = {
        "post_id": code,
        "user_id": user_id,
        "user_name": _first(node, ("owner", "username"), ("iphone_struct", "user", "username")),
        "owner_id": user_id,
        "owner_name": _first(node, ("owner", "username"), ("iphone_struct", "user", "username")),
        "followers": _first(node, ("owner", "edge_followed_by", "count"), ("iphone_struct", "user", "follower_count")),
        "posted_at": _first(node, ("date",), ("taken_at_timestamp",), ("taken_at",), ("iphone_struct", "taken_at")),
        "caption": caption,
        "likes": _likes(node),
        "comments": _first(
            node,
            ("edge_media_to_comment", "count"),
            ("edge_media_to_parent_comment", "count"),
            ("comments",),
            ("iphone_struct", "comment_count"),
        ),
        "url": f"https://www.instagram.com/p/{code}/" if isinstance(code, str) else None,
    }
    listed = _pictures(node, name, names)
    prefix = f"{folder}/" if folder else ""
    return build(
        fields,
        file=file,
        line=1,
        defaults=SITE,
        images=lambda _: Images([(position, prefix + picture) for position, picture in listed]),
        hints={
            "post_id": "the node's shortcode",
            "user_id": "the node's owner.id",
            "posted_at": "the node's date or taken_at_timestamp",
        },
    )


def _unpack(raw: bytes) -> bytes:
    if not raw.startswith(_MAGIC):
        if len(raw) > MAX_JSON_BYTES:
            raise Bad("bad_json", f"{len(raw):,} bytes, more than {MAX_JSON_BYTES:,}")
        return raw
    out: list[bytes] = []
    size = 0
    rest = raw
    try:
        while rest:
            unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
            piece = unpacker.decompress(rest, MAX_JSON_BYTES + 1 - size)
            out.append(piece)
            size += len(piece)
            if size > MAX_JSON_BYTES:
                raise Bad("bad_json", f"unpacks to more than {MAX_JSON_BYTES:,} bytes")
            if not unpacker.eof:
                raise Bad("bad_json", "the xz data ends too early")
            # xz allows several streams, and zero padding between and behind them.
            rest = unpacker.unused_data.lstrip(b"\0")
    except lzma.LZMAError as error:
        raise Bad("bad_json", f"the xz data is damaged ({error})") from None
    return b"".join(out)


def _first(node: Any, *paths: tuple[str | int, ...]) -> Any:
    return next((value for path in paths if not is_blank(value := dig(node, *path))), None)


def _caption(node: Any) -> Any:
    """The sidecar's own caption as given; None where it has none, "" stays ""."""
    for path in (
        ("edge_media_to_caption", "edges", 0, "node", "text"),
        ("caption", "text"),
        ("caption",),
        ("iphone_struct", "caption", "text"),
    ):
        value = dig(node, *path)
        if value is not None and not isinstance(value, dict):
            return value
    return None


def _likes(node: Any) -> Any:
    # A hidden count is written as -1; then the other places hold a leftover of public likers, not the count.
    if dig(node, "iphone_struct", "like_and_view_counts_disabled") is True:
        return -1
    return _first(
        node, ("edge_media_preview_like", "count"), ("edge_liked_by", "count"), ("iphone_struct", "like_count")
    )


def _pictures(node: Any, sidecar: str, names: Sequence[str]) -> list[tuple[int, str]]:
    """(position, file name): the files that are there, and the default name of a picture that should be there."""
    split = _split(sidecar)
    stem = split[0] if split else sidecar
    children = dig(node, "edge_sidecar_to_children", "edges")
    if isinstance(children, list) and children:
        videos = [dig(child, "node", "is_video") is True for child in children]
    else:
        items = dig(node, "iphone_struct", "carousel_media")
        videos = [dig(item, "media_type") == 2 for item in items] if isinstance(items, list) else []
    is_carousel = bool(videos) or str(dig(node, "__typename")).endswith("Sidecar")
    if not is_carousel:
        is_video = dig(node, "is_video") is True or str(dig(node, "__typename")).endswith("Video")
        there = _named(stem, names)
        return [(0, there)] if there else [] if is_video else [(0, f"{stem}.jpg")]
    listed = []
    for number in range(1, max(len(videos), _highest(stem, names)) + 1):
        there = _named(f"{stem}_{number}", names)
        if there:
            listed.append((number - 1, there))
        elif number <= len(videos) and not videos[number - 1]:
            listed.append((number - 1, f"{stem}_{number}.jpg"))
    return listed


def _named(stem: str, names: Sequence[str]) -> str | None:
    found = {split[1]: name for name in names if (split := _split(name)) is not None and split[0] == stem}
    return next((found[end] for kind in PICTURES if (end := f".{kind}") in found), None)


def _highest(stem: str, names: Sequence[str]) -> int:
    numbers = [_NUMBER.search(split[0]) for name in names if (split := _split(name)) and split[0] != stem]
    return max((int(number[0][1:]) for number in numbers if number), default=0)
