"""Loops without Spark, one process a core and one thread each: what the machine can do. Runs as a peer process.

`standalone` is the best of many arrangements on CPU cores: every process decodes a batch, runs the network on it, and
goes on; a thread that decodes ahead, or two threads for one network, only compete for the same core.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.pictures.peers import serve
from benchmarks.pictures.subjects import from_json
from udfs.compiled_cache import CompiledCache, default_folder
from udfs.decode import decode
from udfs.faces import Face, FaceDetector, FaceSettings, reduced
from udfs.networks import BACKBONES
from udfs.networks.preprocess import crop
from udfs.picture_pass import Models, PassSpec, ready
from udfs.runtime import OpenVinoRuntime, Precision

Pixels = npt.NDArray[np.uint8]


def standalone(given: Mapping[str, Any]) -> dict[str, float]:
    """JPEG files to vectors (and faces): seconds by step. given: spec, files."""
    spec = from_json(given["spec"])
    return bytes_to_vectors((Path(path).read_bytes() for path in given["files"]), spec, ready(spec))


def bytes_to_vectors(contents: Iterator[bytes], spec: PassSpec, models: Models) -> dict[str, float]:
    """The loop itself; what it makes is thrown away."""
    seconds = {"decode": 0.0, "network": 0.0, "faces": 0.0}
    (name,) = spec.networks
    while batch := list(itertools.islice(contents, spec.batch_size)):
        began = time.perf_counter()
        images = [decode(content, spec.max_pixels, spec.min_side) for content in batch]
        crops = np.stack([crop(image, BACKBONES[name]) for image in images])
        small = [reduced(image, spec.faces.long_side) for image in images] if spec.faces else []
        decoded = time.perf_counter()
        models.networks.forward(name, crops)
        embedded = time.perf_counter()
        if models.faces is not None:
            models.faces.detect(small)
        seconds["decode"] += decoded - began
        seconds["network"] += embedded - decoded
        seconds["faces"] += time.perf_counter() - embedded
    return seconds


def network(given: Mapping[str, Any]) -> dict[str, float]:
    """The network alone, over pixels that are decoded already. given: spec, pictures."""
    spec = from_json(given["spec"])
    (name,) = spec.networks
    models, side = ready(spec), BACKBONES[name].crop
    pixels = np.random.default_rng(0).integers(0, 256, (spec.batch_size, side, side, 3), np.uint8)
    began = time.perf_counter()
    for _ in range(given["pictures"] // spec.batch_size):
        models.networks.forward(name, pixels)
    return {"network": time.perf_counter() - began}


# --- faces alone ------------------------------------------------------------------------------------------------------

_settings = FaceSettings()
_reduced: dict[tuple[str, ...], list[Pixels]] = {}
_detectors: dict[str, Callable[[Sequence[Pixels]], list[list[Face]]]] = {}


def faces(given: Mapping[str, Any]) -> dict[str, Any]:
    """Faces in pictures that are reduced already. given: detector (fp32, bf16 or facenet), files. Tells their boxes."""
    pictures = small_pictures(given["files"])
    detect = detector(given["detector"])
    began = time.perf_counter()
    found = [face for at in range(0, len(pictures), 16) for face in detect(pictures[at : at + 16])]
    seconds = time.perf_counter() - began
    boxes = [[[face.x, face.y, face.width, face.height] for face in some] for some in found]
    return {"faces": seconds, "boxes": boxes}


def small_pictures(files: Sequence[str]) -> list[Pixels]:
    """The pictures as the face search is fed them, kept for the next call."""
    key = tuple(files)
    if key not in _reduced:
        images = (decode(Path(path).read_bytes(), 100_000_000, _settings.long_side) for path in files)
        _reduced[key] = [reduced(image, _settings.long_side) for image in images]
    return _reduced[key]


def detector(kind: str) -> Callable[[Sequence[Pixels]], list[list[Face]]]:
    """Our detector in a precision, or facenet-pytorch's MTCNN with the same settings."""
    if kind not in _detectors:
        _detectors[kind] = _facenet() if kind == "facenet" else _ours("bf16" if kind == "bf16" else "fp32")
    return _detectors[kind]


def _ours(precision: Precision) -> Callable[[Sequence[Pixels]], list[list[Face]]]:
    return FaceDetector(_settings, OpenVinoRuntime(precision, 1, CompiledCache(default_folder()))).detect


def _facenet() -> Callable[[Sequence[Pixels]], list[list[Face]]]:
    import torch
    from facenet_pytorch import MTCNN

    torch.set_num_threads(1)
    mtcnn = MTCNN(min_face_size=_settings.min_face, keep_all=True, device="cpu")

    def detect(pictures: Sequence[Pixels]) -> list[list[Face]]:
        # One by one: it takes only pictures of one size together.
        return [_as_ours(mtcnn.detect(picture), picture.shape[1], picture.shape[0]) for picture in pictures]

    return detect


def _as_ours(found: Any, width: int, height: int) -> list[Face]:
    """facenet-pytorch's corners in pixels as fractions, cut at the picture's edges, the largest first."""
    boxes, scores = found
    made = []
    for box, score in zip([] if boxes is None else boxes, [] if boxes is None else scores, strict=True):
        left, top, right, bottom = np.clip(np.asarray(box) / [width, height, width, height], 0.0, 1.0)
        if score >= _settings.min_score:
            made.append(Face(left, top, right - left, bottom - top, float(score)))
    return sorted(made, key=lambda face: -face.width * face.height)


if __name__ == "__main__":
    serve({"standalone": standalone, "network": network, "faces": faces})
