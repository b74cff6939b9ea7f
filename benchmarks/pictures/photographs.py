"""Photographs of 1,080 pixels as phones upload them, made of those that installed packages carry. Never committed."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageChops

from demo.composites import group, selfie
from demo.photographs import LOOKS, PHOTOGRAPHS, crop, develop, load

SEED = 2016
# (width, height): square, portrait and the full frame of a phone, as social networks store them.
_SIZES = ((1080, 1080), (1080, 1350), (1080, 1350), (1080, 1440), (1350, 1080), (1440, 1080))
_QUALITY = 85
# Grey levels of sensor noise (standard deviation) that bring a picture of this quality to about 200 kB.
_NOISE = 3.5
# Raised whenever the same seed makes other pictures, so that those of before are not taken.
_VERSION = 1
_POSTED = "2024-03-01T12:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Photographs:
    """Where they lie: as a crawl of files (`crawl`) and as Parquet files of `part` pictures each, the same order."""

    folder: Path
    n: int
    part: int

    @property
    def crawl(self) -> Path:
        return self.folder / "crawl"

    def files(self, n: int) -> list[Path]:
        """The first n as files; from the first again where there are fewer."""
        return [self.crawl / _name(at % self.n) for at in range(n)]

    def parquet(self, n: int) -> list[str]:
        """Parquet files (image_id, content, width, height, n_bytes) of the first n, a multiple of `part`."""
        if n % self.part or n > self.n:
            raise ValueError(f"{n} is no multiple of {self.part} up to {self.n}")
        return [str(self.folder / "parquet" / f"{at:04}.parquet") for at in range(n // self.part)]


def photographs(below: Path, n: int, part: int) -> Photographs:
    """The photographs, made where they are not there yet (some minutes for thousands), always the same ones."""
    made = Photographs(below / f"photographs-{_VERSION}-{SEED}-{n}-{part}", n, part)
    if made.folder.is_dir():
        return made
    unfinished = Photographs(made.folder.with_suffix(".unfinished"), n, part)
    shutil.rmtree(unfinished.folder, ignore_errors=True)
    (unfinished.crawl / "pictures").mkdir(parents=True)
    (unfinished.folder / "parquet").mkdir()
    with ProcessPoolExecutor() as pool:
        list(pool.map(functools.partial(_save, unfinished.crawl), range(n), chunksize=8))
    _write_posts(unfinished)
    _write_parquet(unfinished)
    unfinished.folder.rename(made.folder)
    return made


def _name(number: int) -> str:
    return f"pictures/{number:05}.jpg"


def _save(crawl: Path, number: int) -> None:
    image = _photograph(number)
    image.save(crawl / _name(number), "JPEG", quality=_QUALITY)


def _photograph(number: int) -> Image.Image:
    """Photograph `number` of the series: of four a selfie, of sixteen a group, else a packaged one taken again."""
    rng = np.random.default_rng([SEED, number])
    size = _SIZES[rng.integers(len(_SIZES))]
    if number % 16 == 0:
        scene, _ = group(size, int(rng.integers(2, 7)), rng)
    elif number % 4 == 0:
        scene, _ = selfie(size, rng, outdoor=bool(rng.random() < 0.5))
    else:
        scene = crop(load(PHOTOGRAPHS[rng.integers(len(PHOTOGRAPHS))].name), size, rng)
    return _grained(develop(scene, LOOKS[rng.integers(len(LOOKS))], rng, noise=0.0), rng)


@functools.cache
def _noise() -> Image.Image:
    values = np.random.default_rng(SEED).normal(128, _NOISE, (2048, 2048, 1)) + np.zeros(3)
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8), "RGB")


def _grained(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    x, y = (int(rng.integers(2048 - side + 1)) for side in image.size)
    return ImageChops.add(image, _noise().crop((x, y, x + image.width, y + image.height)), 1, -128)


def _write_posts(made: Photographs) -> None:
    """One post a photograph, a hundred users."""
    posts = [
        {"post_id": str(at), "user_id": str(at % 100), "posted_at": _POSTED, "images": [_name(at)]}
        for at in range(made.n)
    ]
    (made.crawl / "posts.jsonl").write_text("".join(f"{json.dumps(post)}\n" for post in posts), encoding="utf-8")


def _write_parquet(made: Photographs) -> None:
    for at, first in enumerate(range(0, made.n, made.part)):
        rows = [_row(made.crawl / _name(number)) for number in range(first, min(first + made.part, made.n))]
        pq.write_table(pa.Table.from_pylist(rows), made.folder / "parquet" / f"{at:04}.parquet", compression="none")


def _row(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    width, height = Image.open(io.BytesIO(content)).size
    return {
        "image_id": hashlib.sha256(content).hexdigest(),
        "content": content,
        "width": width,
        "height": height,
        "n_bytes": len(content),
    }
