"""Bad records and bad pictures, one kind a reason that profilelake's quarantine knows.

Each is what really happens to crawls: cut downloads, error pages saved as pictures, broken lines, paths from elsewhere.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from demo.encoded import png_file

RECORD_REASONS = ("bad_json", "missing_field", "bad_timestamp", "bad_value")
PICTURE_REASONS = (
    "image_missing",
    "path_outside_crawl",
    "not_an_image",
    "image_truncated",
    "image_too_many_bytes",
    "image_too_many_pixels",
    "unsupported_format",
    "image_failed",
)
# How many of each the full crawl has; the small one has one of each.
RECORDS_EACH = 7
PICTURES_EACH = {
    "image_missing": 9,
    "path_outside_crawl": 6,
    "not_an_image": 6,
    "image_truncated": 9,
    "image_too_many_bytes": 2,
    "image_too_many_pixels": 3,
    "unsupported_format": 4,
    "image_failed": 6,
}
# conf/pipeline.yaml, crawl.max_image_bytes: what `image_too_many_bytes` exceeds.
MAX_BYTES = 64 * 2**20
_OUTSIDE = (
    "../elsewhere/picture{}.jpg",
    "images/../../picture{}.jpg",
    "/photos/picture{}.jpg",
    "file:///photos/{}.jpg",
)


def bad_line(reason: str, number: int, good: Mapping[str, Any]) -> bytes:
    """A line (without line feed) that is bad for `reason`; `number` picks the variant; `good` is a whole record."""
    record = dict(good)
    if reason == "bad_json":
        text = json.dumps(record, ensure_ascii=False)
        variants = (
            text[: len(text) // 2].encode(),
            json.dumps([record]).encode(),
            text.replace('"post_id"', '"likes_ratio": NaN, "post_id"', 1).encode(),
            text.encode().replace(b'"post_id"', b'"\xff\xfe": 1, "post_id"', 1),
            text.replace('"post_id"', '"title": "a\u0007b", "post_id"', 1).encode(),
        )
        return variants[number % len(variants)]
    if reason == "missing_field":
        name = ("user_id", "posted_at", "post_id", "user_id")[number % 4]
        if number % 4 == 3:
            record[name] = "  "
        else:
            del record[name]
    elif reason == "bad_timestamp":
        record["posted_at"] = ("2024-02-03T10:11:12", "yesterday", "2150-01-01T00:00:00Z", "2024-02-30T08:00:00+01:00")[
            number % 4
        ]
    elif reason == "bad_value":
        changes: tuple[dict[str, Any], ...] = (
            {"relation": "liked"},
            {"likes": "many"},
            {"post_id": [record["post_id"]]},
            {"images": "one.jpg"},
            {"comments": 1.5},
        )
        record.update(changes[number % len(changes)])
    else:
        raise ValueError(f"no record is bad for {reason!r}: one of {', '.join(RECORD_REASONS)}")
    return json.dumps(record, ensure_ascii=False).encode()


def bad_path(reason: str, number: int, token: str) -> str:
    """The path that a record lists for a picture that is bad for `reason`."""
    if reason == "path_outside_crawl":
        return _OUTSIDE[number % len(_OUTSIDE)].format(number)
    ends = {"image_failed": (".png", ".webp"), "image_too_many_bytes": (".tif",), "image_too_many_pixels": (".png",)}
    choice = ends.get(reason, (".jpg",))
    return f"images/{token[0]}/{token}{choice[number % len(choice)]}"


def bad_picture(reason: str, number: int, image: Image.Image, rng: np.random.Generator) -> bytes | None:
    """The bytes of a picture that is bad for `reason`, made from a good one; None where there is no file.

    Of `image_too_many_bytes` they are the beginning: the file goes on with zeros until it is larger than `MAX_BYTES`.
    """
    if reason in ("image_missing", "path_outside_crawl"):
        return None
    if reason == "not_an_image":
        page = b"<!DOCTYPE html><html><head><title>429 Too Many Requests</title></head><body>Slow down.</body></html>\n"
        return b"" if number % 3 == 2 else page
    if reason == "image_truncated":
        whole = _saved(image, "JPEG" if number % 3 else "PNG")
        return whole[: int(len(whole) * rng.uniform(0.3, 0.8))]
    if reason == "image_too_many_bytes":
        return _saved(image, "TIFF")
    if reason == "image_too_many_pixels":
        # 1 bit a pixel: 300 million of them in a file of a few hundred bytes, of which the pixels are cut short.
        side = 17_500 + 100 * number
        return png_file(side, side, 1, 0, b"\0" * (side // 8 + 2))
    if reason == "unsupported_format":
        brand = (b"heic", b"avif")[number % 2]
        return struct.pack(">I4s4sI4s4s", 24, b"ftyp", brand, 0, brand, b"mif1") + rng.bytes(2_000)
    if reason == "image_failed":
        return _mutated(image, number)
    raise ValueError(f"no picture is bad for {reason!r}: one of {', '.join(PICTURE_REASONS)}")


def _saved(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def _mutated(image: Image.Image, number: int) -> bytes:
    """A file whose structure is whole but whose compressed pixels are damaged: only a decode can tell."""
    if number % 2 == 0:
        content = bytearray(_saved(image, "PNG"))
        at = content.index(b"IDAT") + 4
        content[at : at + 2] = b"\0\0"  # no zlib stream begins so
    else:
        out = io.BytesIO()
        image.save(out, "WEBP", lossless=True, method=0)
        content = bytearray(out.getvalue())
        at = content.index(b"VP8L") + 8 + 5  # behind the chunk's and the picture's header
        content[at : at + 200] = b"\xff" * 200
    return bytes(content)
