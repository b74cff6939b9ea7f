"""From the bytes of a crawl to rows of one schema, whatever the format. Runs on executors, no I/O.

Each function takes the batches of a Spark `mapInArrow` and yields batches of `ITEM_DDL`. An item is a record, a fault,
an ignored file, or (`block`) the number of lines and bytes of one piece of a file that Spark has cut.
"""

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa

from udfs import pictures
from udfs.crawl import gallery_dl, instaloader, jsonl, table
from udfs.crawl.records import Defaults, Fault, Ignored, Record, pseudonym

RECORD, FAULT, IGNORED, BLOCK = "record", "fault", "ignored", "block"

_STRING, _LONG, _INT, _FLAG = pa.string(), pa.int64(), pa.int32(), pa.bool_()
_TIME = pa.timestamp("us", tz="UTC")
_IMAGE = pa.struct([("position", _INT), ("path", _STRING), ("rel", _STRING)])
ITEM = pa.schema(
    [
        ("kind", _STRING),
        ("file", _STRING),
        ("block_start", _LONG),
        ("line", _LONG),
        ("row_key", _STRING),
        ("block_bytes", _LONG),
        ("modified_at", _TIME),
        ("reason", _STRING),
        ("detail", _STRING),
        ("native_post_id", _STRING),
        ("source", _STRING),
        ("relation", _STRING),
        ("user_id", _STRING),
        ("user_name", _STRING),
        ("owner_id", _STRING),
        ("owner_name", _STRING),
        ("followers", _LONG),
        ("posted_at", _TIME),
        ("caption", _STRING),
        ("hashtags", pa.list_(_STRING)),
        ("tags", pa.list_(_STRING)),
        ("board", _STRING),
        ("likes", _LONG),
        ("comments", _LONG),
        ("hidden_likes", _FLAG),
        ("url", _STRING),
        ("crawled_at", _TIME),
        ("images", pa.list_(_IMAGE)),
        ("n_images", _INT),
        ("unknown_keys", _INT),
        ("part", _FLAG),
        ("has_bytes", _FLAG),
        ("contents", pa.list_(pa.binary())),
        ("item_id", _LONG),
    ]
)
ITEM_DDL = (
    "kind string, file string, block_start bigint, line bigint, row_key string, block_bytes bigint, "
    "modified_at timestamp, reason string, detail string, native_post_id string, source string, relation string, "
    "user_id string, user_name string, owner_id string, owner_name string, followers bigint, posted_at timestamp, "
    "caption string, hashtags array<string>, tags array<string>, board string, likes bigint, comments bigint, "
    "hidden_likes boolean, url string, crawled_at timestamp, "
    "images array<struct<position: int, path: string, rel: string>>, n_images int, unknown_keys int, part boolean, "
    "has_bytes boolean, contents array<binary>, item_id bigint"
)
_ROWS = 1000

Batches = Iterable[pa.RecordBatch]
Row = dict[str, Any]


def _item(
    item: Record | Fault | Ignored, file: str, modified_at: datetime | None, line: int, block_start: int = 0
) -> Row:
    row: Row = {"file": file, "modified_at": modified_at, "line": line, "block_start": block_start}
    if isinstance(item, Ignored):
        return row | {"kind": IGNORED, "detail": item.kind}
    if isinstance(item, Fault):
        return row | {"kind": FAULT, "reason": item.reason, "detail": item.detail, "user_id": item.user_id}
    images = [
        {"position": position, "path": path, "rel": None if path is None else pictures.resolve(path)}
        for position, path in item.images
    ]
    return row | {
        "kind": RECORD,
        "native_post_id": item.native_post_id,
        "source": item.source,
        "relation": item.relation,
        "user_id": item.user_id,
        "user_name": item.user_name,
        "owner_id": item.owner_id,
        "owner_name": item.owner_name,
        "followers": item.followers,
        "posted_at": item.posted_at,
        "caption": item.caption,
        "hashtags": item.hashtags,
        "tags": item.tags,
        "board": item.board,
        "likes": item.likes,
        "comments": item.comments,
        "hidden_likes": item.hidden_likes,
        "url": item.url,
        "crawled_at": item.crawled_at,
        "images": images,
        "n_images": item.n_images,
        "unknown_keys": item.unknown_keys,
        "part": item.part,
        "has_bytes": item.has_bytes,
    }


def _batches(rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    held: list[Row] = []
    for row in rows:
        held.append(row)
        if len(held) == _ROWS:
            yield pa.RecordBatch.from_pylist(held, ITEM)
            held = []
    if held:
        yield pa.RecordBatch.from_pylist(held, ITEM)


def _columns(batches: Batches, *names: str) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
        for at in range(batch.num_rows):
            yield tuple(column[at].as_py() for column in columns)


def file_key(uri: str, *, root: str, label: str) -> str:
    """The file's name in record ids from the URI that Spark's `_metadata.file_path` gives (percent-encoded)."""
    path = unquote(uri)
    scheme, colon, rest = path.partition(":")
    if colon and rest.startswith("///"):  # Spark 3.5 writes file:///x where Spark 4 writes file:/x
        path = scheme + ":" + rest[2:]
    return f"{label}/{path[len(root) + 1 :]}"


def parse_lines(batches: Batches, *, root: str, label: str, source: str) -> Iterator[pa.RecordBatch]:
    """Lines of plain `.jsonl` files, in Spark's order within a piece of a file.

    Columns: value (bytes, at most one more than `jsonl.MAX_LINE_BYTES`), length, path, block_start, modified_at. Lines
    are numbered from 1 within their piece.
    """
    defaults = Defaults(source)

    def rows() -> Iterator[Row]:
        at: tuple[str, int] | None = None
        file, line, size = "", 0, 0
        for raw, length, path, start, modified_at in _columns(
            batches, "value", "length", "path", "block_start", "modified_at"
        ):
            if (path, start) != at:
                if at is not None:
                    yield {"kind": BLOCK, "file": file, "block_start": at[1], "line": line, "block_bytes": size}
                at, line, size = (path, start), 0, 0
                file = file_key(path, root=root, label=label)
            line += 1
            size += length + 1
            found: Record | Fault | None
            if length > jsonl.MAX_LINE_BYTES:
                text = f"the line has {length:,} bytes, more than {jsonl.MAX_LINE_BYTES:,}"
                found = jsonl.Unreadable(line, text).fault(file)
            else:
                found = jsonl.parse_line(raw, file, line, defaults)
            if found is not None:
                yield _item(found, file, modified_at, line, start)
        if at is not None:
            yield {"kind": BLOCK, "file": file, "block_start": at[1], "line": line, "block_bytes": size}

    return _batches(rows())


def parse_gzip(batches: Batches, *, source: str) -> Iterator[pa.RecordBatch]:
    """Whole `.jsonl.gz` files. Columns: content, file, modified_at."""
    defaults = Defaults(source)

    def rows() -> Iterator[Row]:
        for content, file, modified_at in _columns(batches, "content", "file", "modified_at"):
            line = 0
            for found in jsonl.iter_gzip_lines([content]):
                if isinstance(found, jsonl.Unreadable):
                    line = found.line
                    yield _item(found.fault(file), file, modified_at, line)
                else:
                    line, raw = found
                    item = jsonl.parse_line(raw, file, line, defaults)
                    if item is not None:
                        yield _item(item, file, modified_at, line)
            yield {"kind": BLOCK, "file": file, "block_start": 0, "line": line}

    return _batches(rows())


def parse_sidecars(batches: Batches, *, crawler: str) -> Iterator[pa.RecordBatch]:
    """Metadata files, one a row. Columns: content, file, rel, modified_at, names (array), text (bytes or NULL).

    `crawler` is `instaloader` or `gallery_dl`.
    """

    def rows() -> Iterator[Row]:
        for content, file, rel, modified_at, names, text in _columns(
            batches, "content", "file", "rel", "modified_at", "names", "text"
        ):
            found: Record | Fault | Ignored
            if crawler == "instaloader":
                found = instaloader.parse_sidecar(content, rel, file, names, text)
            else:
                found = gallery_dl.parse_metadata(content, rel, file, names)
            yield _item(found, file, modified_at, 1)

    return _batches(rows())


def parse_table(
    batches: Batches, *, columns: Mapping[str, str], file: str, modified_at: datetime, source: str
) -> Iterator[pa.RecordBatch]:
    """Rows of a table under a column map. A row is named by its post_id, else by a hash of what it holds."""
    defaults = Defaults(source)

    def rows() -> Iterator[Row]:
        for batch in batches:
            for given in batch.to_pylist():
                key = _row_key(given, columns)
                found = table.from_row(given, columns, file, key, defaults)
                row = _item(found, file, modified_at, 1) | {"row_key": key}
                if isinstance(found, Record) and found.has_bytes:
                    contents = given[columns.get(table.IMAGE_BYTES, table.IMAGE_BYTES)]
                    row["contents"] = contents if isinstance(contents, list) else [contents]
                yield row

    return _batches(rows())


def _row_key(row: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    value = row.get(columns.get("post_id", "post_id"))
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
        return str(value)
    return "row-" + hashlib.sha256(repr(sorted(row.items())).encode("utf-8", "replace")).hexdigest()[:16]


# --- sidecar formats: which files belong together -------------------------------------------------------------------

READING_DDL = (
    "file string, rel string, size bigint, names array<string>, text_rel string, text_size bigint, stem string"
)
_READING = pa.schema(
    [
        ("file", _STRING),
        ("rel", _STRING),
        ("size", _LONG),
        ("names", pa.list_(_STRING)),
        ("text_rel", _STRING),
        ("text_size", _LONG),
        ("stem", _STRING),
    ]
)


def group_keys(crawler: str) -> Callable[[pd.Series], pd.Series]:
    """A pandas function from file names to what the files of one post have in common, NULL for no post's file."""
    key = instaloader.group_key if crawler == "instaloader" else gallery_dl.group_key

    def keys(names: pd.Series) -> pd.Series:
        return names.map(key)

    return keys


def group_posts(batches: Batches, *, crawler: str, label: str) -> Iterator[pa.RecordBatch]:
    """The metadata files of each group of files. Columns: folder, members array<struct<name, size>>.

    A row of `READING_DDL` is a metadata file to read; `names` are the files beside it that its reader wants, `stem` is
    set (and `rel` NULL) for an instaloader post without metadata, whose first file stands for it.
    """
    for batch in batches:
        rows: list[Row] = []
        for folder, members in _columns([batch], "folder", "members"):
            sizes = {member["name"]: member["size"] for member in members}
            for sidecar, text, names, stem in _readings(crawler, sorted(sizes)):
                shown = sidecar or next(iter(names), "") or text or ""
                rel = posixpath.join(folder, shown)
                rows.append(
                    {
                        "file": f"{label}/{rel}",
                        "rel": rel if sidecar is not None else None,
                        "size": sizes[shown],
                        "names": names,
                        "text_rel": posixpath.join(folder, text) if text else None,
                        "text_size": sizes.get(text),
                        "stem": stem,
                    }
                )
        yield pa.RecordBatch.from_pylist(rows, _READING)


def _readings(crawler: str, names: Sequence[str]) -> Iterator[tuple[str | None, str | None, Sequence[str], str | None]]:
    """(metadata file, caption file, files beside it, stem where there is no metadata)."""
    if crawler == "instaloader":
        for post in instaloader.posts_of(names):
            yield post.sidecar, post.text, sorted(post.pictures), post.stem if post.sidecar is None else None
    else:
        for name in names:
            if name.lower().endswith(".json"):
                yield name, None, names, None


# --- pictures -------------------------------------------------------------------------------------------------------

SEEN_DDL = "image_id string, format string, width int, height int, reason string, detail string"


def inspector(max_bytes: int, max_pixels: int) -> Callable[[pd.Series], pd.DataFrame]:
    """A pandas function from pictures' bytes to `SEEN_DDL`: either what the picture is or why it is not taken."""

    def seen(contents: pd.Series) -> pd.DataFrame:
        found = [pictures.inspect(bytes(content), max_bytes, max_pixels) for content in contents]
        rows = [
            (p.sha256, p.format, p.width, p.height, None, None)
            if isinstance(p, pictures.Picture)
            else (None, None, None, None, p.reason, p.detail)
            for p in found
        ]
        names = ["image_id", "format", "width", "height", "reason", "detail"]
        return pd.DataFrame(
            {
                name: pd.Series(values, dtype=object)
                for name, values in zip(names, zip(*rows, strict=True) if rows else [()] * 6, strict=True)
            }
        )

    return seen


def pseudonyms(key: bytes) -> Callable[[pd.Series], pd.Series]:
    """A pandas function from user ids to their keyed hashes, NULL for NULL."""

    def hashed(ids: pd.Series) -> pd.Series:
        return ids.map(lambda user_id: None if user_id is None else pseudonym(user_id, key))

    return hashed
