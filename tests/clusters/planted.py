"""A lake of made-up pictures whose groups are known: vectors, labels, faces and sizes laid down by hand."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from pyspark.sql import functions as F

from profilelake.lake import Lake
from tests.lakes import frame, lay

BACKBONE = "efficientnet_lite0"
WEIGHTS = "a" * 64
WIDTH = 24


@dataclass(frozen=True)
class Group:
    """Pictures of one kind: where they lie, what they show."""

    axis: int
    labels: Mapping[str, float]
    faces: int = 0
    share: float = 0.0
    size: tuple[int, int] = (40, 30)
    offset: int | None = None


GROUPS: Mapping[str, Group] = {
    "cats": Group(0, {"tabby": 0.6, "tiger cat": 0.3}),
    "food": Group(1, {"pizza": 0.7, "plate": 0.2}),
    "crowds": Group(2, {"academic gown": 0.3}, faces=8, share=0.01),
    "long": Group(3, {"web site": 0.4}, size=(20, 90)),
    "rockets": Group(4, {"missile": 0.5, "projectile": 0.3}),
    "selfies_in": Group(5, {"wig": 0.3}, faces=1, share=0.2, offset=8),
    "selfies_out": Group(5, {"wig": 0.2, "lakeside": 0.3}, faces=1, share=0.2, offset=9),
    "selfies_cup": Group(5, {"wig": 0.2, "coffee mug": 0.3}, faces=1, share=0.2, offset=10),
    "selfies_mask": Group(5, {"wig": 0.2, "mask": 0.3}, faces=1, share=0.2, offset=11),
}


def image_id(group: str, number: int) -> str:
    return hashlib.sha256(f"{group} {number}".encode()).hexdigest()


def vector(group: str, number: int, *, shift: int = 0) -> list[float]:
    """A point near the group's own; `shift` moves all groups to other axes, as another network would."""
    of = GROUPS[group]
    rng = np.random.default_rng(int(image_id(group, number)[:12], 16))
    point = rng.normal(scale=0.05, size=WIDTH)
    point[(of.axis + shift) % WIDTH] += 10
    if of.offset is not None:
        point[(of.offset + shift) % WIDTH] += 1
    return [float(np.float32(value)) for value in point]


def put(
    lake: Lake,
    pictures: Iterable[tuple[str, int]],
    *,
    weights: str = WEIGHTS,
    shift: int = 0,
    content: bool = False,
    run_id: str = "0",
) -> None:
    """Add pictures (group, number) to the input tables."""
    pictures = list(pictures)
    lay(lake, "image_embeddings", _embeddings(pictures, weights, shift), run_id=run_id)
    labels = [
        {"image_id": image_id(group, number), "network": BACKBONE, "rank": rank, "label": label, "score": score}
        for group, number in pictures
        for rank, (label, score) in enumerate(GROUPS[group].labels.items(), 1)
    ]
    lay(lake, "image_labels", labels)
    lay(lake, "image_faces", [_faces(group, number) for group, number in pictures])
    images = []
    for group, number in pictures:
        width, height = GROUPS[group].size
        encoded = _picture(GROUPS[group], number) if content else b"no picture"
        images.append({"image_id": image_id(group, number), "content": encoded, "width": width, "height": height})
    lay(lake, "images", images)


def embed_again(lake: Lake, pictures: Iterable[tuple[str, int]], *, weights: str, shift: int) -> None:
    """Replace the vectors of pictures by those of other weights."""
    rows = frame(lake.spark, "image_embeddings", _embeddings(pictures, weights, shift))
    lake.write("image_embeddings", rows.drop("run_id"))


def _embeddings(pictures: Iterable[tuple[str, int]], weights: str, shift: int) -> list[dict[str, Any]]:
    return [
        {
            "image_id": image_id(group, number),
            "backbone": BACKBONE,
            "embedding": vector(group, number, shift=shift),
            "weights_sha256": weights,
            "preprocessing": "test",
        }
        for group, number in pictures
    ]


def _faces(group: str, number: int) -> dict[str, Any]:
    of = GROUPS[group]
    side = float(np.sqrt(of.share))
    box = {"x": 0.1, "y": 0.1, "width": side, "height": side, "score": 0.99}
    return {
        "image_id": image_id(group, number),
        "faces": of.faces,
        "boxes": [box] * of.faces,
        "largest_face_share": of.share,
    }


def every(numbers: Iterable[int]) -> list[tuple[str, int]]:
    numbers = list(numbers)
    return [(group, number) for group in GROUPS for number in numbers]


def categories(lake: Lake) -> dict[str, tuple[str, str | None]]:
    """{image_id: (category, sub_category)} of the view."""
    rows = lake.spark.table(lake.name("v_image_categories")).select("image_id", "category", "sub_category").collect()
    return {row["image_id"]: (row["category"], row["sub_category"]) for row in rows}


def current(lake: Lake, purpose: str = "categories") -> str:
    rows = lake.read("cluster_fits").where((F.col("purpose") == purpose) & F.col("current")).collect()
    assert len(rows) == 1
    return str(rows[0]["fit_id"])


def _picture(of: Group, number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", of.size, (20 * of.axis, 10 * number % 256, 90)).save(out, "PNG")
    return out.getvalue()
