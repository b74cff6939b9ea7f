"""The `table` format: rows of any table under a column map. Runs on executors, no I/O."""

import math
from collections.abc import Mapping
from typing import Any

from udfs.crawl.jsonl import KEYS
from udfs.crawl.records import Bad, Defaults, Fault, Images, Record, as_images, build

IMAGE_BYTES = "image_bytes"
# What a column map may name: the fields of the jsonl format, what the other formats know of users, and the bytes of
# pictures.
FIELDS = KEYS | {"user_name", "followers", "url", IMAGE_BYTES}


def from_row(
    row: Mapping[str, Any], columns: Mapping[str, str], file: str, row_key: int | str, defaults: Defaults
) -> Record | Fault:
    """The record of one row, or its first fault.

    `row` maps column names to plain Python or numpy values. Instants must be aware datetimes or epoch seconds: a naive
    datetime has no offset and is a `bad_timestamp`. A NaN, as pandas writes a null, is null.
    `columns` maps `FIELDS` to column names; a field that it leaves out is read
    from the column of its own name, if there is one. `images` may be a list of paths or one path. Where `image_bytes`
    holds bytes, or a list of bytes, those are the pictures and `images` only names them: the record has `has_bytes`,
    its positions are the indices of the list, a null in it keeps its place and is not listed.
    `row_key` stands for the line in record ids; `line` is the row_key if it is a number, else 1.
    Raises ValueError for a column map with unknown fields. Never raises for any row.
    """
    unknown = sorted(set(columns) - FIELDS)
    if unknown:
        raise ValueError(
            f"the column map has unknown fields {', '.join(unknown)}; known are {', '.join(sorted(FIELDS))}"
        )
    fields = {field: _plain(row.get(columns.get(field, field))) for field in FIELDS}
    bytes_value = fields.pop(IMAGE_BYTES)
    return build(
        fields,
        file=file,
        line=row_key if isinstance(row_key, int) else 1,
        key=str(row_key),
        defaults=defaults,
        images=lambda paths: _images(paths, bytes_value),
    )


def _images(paths: Any, bytes_value: Any) -> Images:
    listed = as_images([paths] if isinstance(paths, str) else paths).listed
    if bytes_value is None:
        return Images(listed)
    contents = bytes_value if isinstance(bytes_value, list | tuple) else [bytes_value]
    if any(content is not None and not isinstance(content, bytes | bytearray | memoryview) for content in contents):
        raise Bad("bad_value", "are given by a column of bytes that holds something else")
    names = dict(listed)
    return Images(
        [(position, names.get(position)) for position, content in enumerate(contents) if content is not None],
        has_bytes=True,
    )


def _plain(value: Any) -> Any:
    """numpy scalars and arrays as Python values; NaN as None."""
    if hasattr(value, "tolist") and not isinstance(value, memoryview):
        value = value.tolist()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
