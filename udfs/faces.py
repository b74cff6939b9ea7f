"""Faces of a picture by MTCNN (Zhang et al. 2016), with the networks and weights that facenet-pytorch carries.

Runs on executors; `detector_sha256` needs no torch and runs anywhere.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from udfs.weights import WeightsError, WeightsFile, read_state, verify

if TYPE_CHECKING:
    import torch

Boxes = npt.NDArray[np.float32]

_PACKAGE = "facenet_pytorch"
_SHA256: Mapping[str, str] = MappingProxyType(
    {
        "pnet": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
        "rnet": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
        "onet": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
    }
)
# The cascade's own constants: the paper's thresholds of its three stages and facenet-pytorch's step of the pyramid.
_THRESHOLDS = (0.6, 0.7, 0.7)
_FACTOR = 0.709
_CELL = 12  # pixels of a side that the first network looks at
_STRIDE = 2
# Bounds memory where a picture is all candidates; the strongest are kept. Real pictures have a few hundred.
_MAX_CANDIDATES = 1000
# Raised whenever boxes may come out differently for the same weights and settings.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class FaceSettings:
    """min_score: probability below which a face is left out; long_side: pixels that the long side of a picture is
    reduced to before faces are looked for; min_face: pixels, after that, of the smallest face that is looked for."""

    min_score: float = 0.95
    long_side: int = 320
    min_face: int = 20

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_score <= 1.0:
            raise ValueError(f"min_score must be from 0 to 1, not {self.min_score}")
        if self.long_side < _CELL or self.min_face < _CELL:
            raise ValueError(f"long_side and min_face must be at least {_CELL} pixels")


@dataclass(frozen=True, slots=True)
class Face:
    """x, y: left and upper edge, width, height: all as fractions of the picture's own width and height, inside it;
    score: probability that it is a face."""

    x: float
    y: float
    width: float
    height: float
    score: float


def detector_sha256(settings: FaceSettings) -> str:
    """sha256 over the three weight files and the settings, in hex: equal only where boxes are comparable.

    Raises:
        WeightsError: facenet-pytorch or its weights are missing or not the known ones.
    """
    parts = {
        "version": _VERSION,
        "weights": {name: file.sha256 for name, file in _files().items()},
        "settings": asdict(settings),
        "thresholds": _THRESHOLDS,
        "factor": _FACTOR,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def largest_face_share(faces: Sequence[Face]) -> float:
    """Area of the largest box / area of the picture, 0 without faces."""
    return max((face.width * face.height for face in faces), default=0.0)


class FaceDetector:
    """MTCNN's three networks.

    Args:
        settings: see there.
        device: `cpu`, `cuda` or `cuda:<index>`.

    Raises:
        WeightsError: facenet-pytorch or its weights are missing or not the known ones.
    """

    def __init__(self, settings: FaceSettings, device: str) -> None:
        from facenet_pytorch.models import mtcnn

        self._settings = settings
        self._device = device
        files = _files()
        # Built without their weights, which facenet-pytorch would unpickle unchecked.
        self._pnet = self._ready(mtcnn.PNet(pretrained=False), files["pnet"])
        self._rnet = self._ready(mtcnn.RNet(pretrained=False), files["rnet"])
        self._onet = self._ready(mtcnn.ONet(pretrained=False), files["onet"])

    def _ready(self, network: torch.nn.Module, file: WeightsFile) -> torch.nn.Module:
        import torch

        network.load_state_dict(read_state(file), strict=True)
        # Channels last more than halves the time of the second network, whose poolings are slow otherwise.
        return network.eval().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def detect(self, image: Image.Image) -> list[Face]:
        """The faces of an RGB picture of any size, the largest first (then the surest, the leftmost, the uppermost).

        Always the same for the same picture. A picture whose short side, reduced, is below `min_face` has none.
        """
        import torch

        small = reduced(image, self._settings.long_side)
        width, height = small.size
        with torch.inference_mode():
            pixels = torch.from_numpy(np.array(small)).to(self._device).permute(2, 0, 1).unsqueeze(0).float()
            boxes = self._cascade(pixels)
        faces = [_face(box, width, height) for box in boxes.tolist() if box[4] >= self._settings.min_score]
        # A box may lie wholly outside after its last correction.
        kept = [face for face in faces if face.width > 0 and face.height > 0]
        return sorted(kept, key=lambda face: (-face.width * face.height, -face.score, face.x, face.y))

    def _cascade(self, pixels: torch.Tensor) -> Boxes:
        """(1, 3, height, width) float32, 0-255 -> (n, 5): left, top, right, bottom in pixels, score."""
        boxes = _square(self._propose(pixels))
        boxes, patches = _patches(pixels, boxes, 24)
        if not len(boxes):
            return np.zeros((0, 5), np.float32)
        shift, scores = self._rnet(patches)
        boxes, shifts = _passed(boxes, scores[:, 1], shift, _THRESHOLDS[1])
        keep = _suppress(boxes, 0.7)
        boxes = _square(_shifted(boxes[keep], shifts[keep]))
        boxes, patches = _patches(pixels, boxes, 48)
        if not len(boxes):
            return np.zeros((0, 5), np.float32)
        shift, _, scores = self._onet(patches)
        boxes, shifts = _passed(boxes, scores[:, 1], shift, _THRESHOLDS[2])
        boxes = _shifted(boxes, shifts)
        return boxes[_suppress(boxes, 0.7, of_smaller=True)]

    def _propose(self, pixels: torch.Tensor) -> Boxes:
        """The first network over a pyramid of the picture."""
        from torch.nn.functional import interpolate

        height, width = pixels.shape[2:]
        found = []
        scale = _CELL / self._settings.min_face
        while min(height, width) * scale >= _CELL:
            size = (int(height * scale + 1), int(width * scale + 1))
            level = (interpolate(pixels, size=size, mode="area") - 127.5) * 0.0078125
            shift, scores = self._pnet(level)
            boxes = _cells(shift[0].cpu().numpy(), scores[0, 1].cpu().numpy(), scale)
            found.append(boxes[_suppress(boxes, 0.5)])
            scale *= _FACTOR
        if not found:
            return np.zeros((0, 5), np.float32)
        boxes = np.concatenate(found)
        boxes = boxes[_suppress(boxes, 0.7)][:_MAX_CANDIDATES]
        # The first network's corrections are in units of the box without the last pixel.
        sides = np.tile(boxes[:, 2:4] - boxes[:, :2], 2)
        return np.concatenate([boxes[:, :4] + boxes[:, 5:] * sides, boxes[:, 4:5]], axis=1)


def reduced(image: Image.Image, long_side: int) -> Image.Image:
    """The picture with its long side reduced to `long_side` pixels; never enlarged."""
    width, height = image.size
    if max(width, height) <= long_side:
        return image
    scale = long_side / max(width, height)
    return image.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR)


def _files() -> dict[str, WeightsFile]:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError("there is no face detector: install facenet-pytorch, or set images.faces=false")
    folder = Path(spec.origin).parent / "data"
    return {
        name: verify(folder / f"{name}.pt", f"the weights of {name} that come with facenet-pytorch", sha256)
        for name, sha256 in _SHA256.items()
    }


def _face(box: Sequence[float], width: int, height: int) -> Face:
    left, top = min(max(box[0] / width, 0.0), 1.0), min(max(box[1] / height, 0.0), 1.0)
    right, bottom = min(max(box[2] / width, 0.0), 1.0), min(max(box[3] / height, 0.0), 1.0)
    return Face(left, top, right - left, bottom - top, box[4])


def _cells(shift: Boxes, scores: Boxes, scale: float) -> Boxes:
    """Cells above the threshold as (n, 9): box in pixels of the picture, score, four corrections."""
    rows, columns = np.nonzero(scores >= _THRESHOLDS[0])
    corner = np.stack([columns, rows], axis=1).astype(np.float32)
    first = np.floor((_STRIDE * corner + 1) / np.float32(scale))
    last = np.floor((_STRIDE * corner + _CELL) / np.float32(scale))
    return np.concatenate([first, last, scores[rows, columns][:, None], shift[:, rows, columns].T], axis=1)


def _passed(boxes: Boxes, scores: torch.Tensor, shift: torch.Tensor, threshold: float) -> tuple[Boxes, Boxes]:
    values = scores.cpu().numpy()
    passed = values > threshold
    return np.concatenate([boxes[passed, :4], values[passed, None]], axis=1), shift.cpu().numpy()[passed]


def _shifted(boxes: Boxes, shifts: Boxes) -> Boxes:
    """Corrections of the second and third network, in units of the box with both its edge pixels."""
    sides = np.tile(boxes[:, 2:4] - boxes[:, :2] + 1, 2)
    return np.concatenate([boxes[:, :4] + shifts * sides, boxes[:, 4:]], axis=1)


def _square(boxes: Boxes) -> Boxes:
    """Each box widened to a square around its centre."""
    sides = boxes[:, 2:4] - boxes[:, :2]
    long = sides.max(axis=1, keepdims=True)
    first = boxes[:, :2] + sides * 0.5 - long * 0.5
    return np.concatenate([first, first + long, boxes[:, 4:]], axis=1)


def _patches(pixels: torch.Tensor, boxes: Boxes, side: int) -> tuple[Boxes, torch.Tensor]:
    """Boxes that lie in the picture, and what they show: (n, 3, side, side), -1 to 1."""
    import torch
    from torch.nn.functional import interpolate

    height, width = pixels.shape[2:]
    edges = np.trunc(boxes[:, :4]).astype(np.int64)
    first = np.maximum(edges[:, :2], 1) - 1
    last = np.minimum(edges[:, 2:], [width, height])
    inside = (last > first).all(axis=1)
    cut = [
        interpolate(pixels[:, :, top:bottom, left:right], size=(side, side), mode="area")
        for (left, top), (right, bottom) in zip(first[inside].tolist(), last[inside].tolist(), strict=True)
    ]
    if not cut:
        return boxes[:0], torch.zeros((0, 3, side, side))
    patches = torch.cat(cut).contiguous(memory_format=torch.channels_last)
    return boxes[inside], patches.sub_(127.5).mul_(0.0078125)


def _suppress(boxes: Boxes, limit: float, *, of_smaller: bool = False) -> npt.NDArray[np.int64]:
    """Non-maximum suppression: indices of the boxes that are kept, the surest first (of equals the first).

    A box goes whose overlap with a surer one is above `limit`: of the union, or of the smaller box's area, where a
    box's area counts both its edge pixels.
    """
    edge = np.float32(1.0 if of_smaller else 0.0)
    left, top, right, bottom = boxes[:, :4].T
    areas = (right - left + edge) * (bottom - top + edge)
    order = np.argsort(-boxes[:, 4], kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        wide = np.minimum(right[best], right[order]) - np.maximum(left[best], left[order]) + edge
        high = np.minimum(bottom[best], bottom[order]) - np.maximum(top[best], top[order]) + edge
        both = np.maximum(wide, 0) * np.maximum(high, 0)
        if of_smaller:
            whole = np.minimum(areas[best], areas[order])
        else:
            whole = areas[best] + areas[order] - both
        order = order[both <= limit * whole]
    return np.array(kept, np.int64)
