"""Faces of a picture by MTCNN (Zhang et al. 2016), with the networks and weights that facenet-pytorch carries.

Runs on executors; `detector_sha256` needs no torch and runs anywhere.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from udfs.area import AreaTable, Means
from udfs.device_decode import DeviceImage
from udfs.runtime import Compiled, Network, Runtime
from udfs.weights import WeightsError, WeightsFile, read_state, verify

if TYPE_CHECKING:
    import torch

Pixels = npt.NDArray[np.uint8]
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
_MEAN, _STD = (127.5,) * 3, (128.0,) * 3
_RNET_SIDE, _ONET_SIDE = 24, 48
# Patches that go through a network together: the candidates of some pictures.
_RNET_BATCH, _ONET_BATCH = 64, 16
_CELL = 12  # pixels of a side that the first network looks at
_STRIDE = 2
# Bounds memory where a picture is all candidates; the strongest are kept. Real pictures have a few hundred.
_MAX_CANDIDATES = 1000
# Raised whenever boxes may come out differently for the same weights and settings.
_VERSION = 2


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


def detector_sha256(settings: FaceSettings, decoded: str) -> str:
    """sha256 over the three weight files, the settings and how pictures are decoded (in a word), in hex: equal only
    where boxes are comparable.

    Raises:
        WeightsError: facenet-pytorch or its weights are missing or not the known ones.
    """
    parts = {
        "version": _VERSION,
        "weights": {name: file.sha256 for name, file in _files().items()},
        "settings": asdict(settings),
        "decoded": decoded,
        "thresholds": _THRESHOLDS,
        "factor": _FACTOR,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def largest_face_share(faces: Sequence[Face]) -> float:
    """Area of the largest box / area of the picture, 0 without faces."""
    return max((face.width * face.height for face in faces), default=0.0)


class FaceDetector:
    """MTCNN's three networks on a runtime, over many pictures at once.

    Args:
        settings: see there.
        runtime: what runs the networks.

    Raises:
        WeightsError: facenet-pytorch or its weights are missing or not the known ones.
    """

    def __init__(self, settings: FaceSettings, runtime: Runtime) -> None:
        self._settings = settings
        files = _files()

        def compiled(name: str, **shape: Any) -> Compiled:
            build = functools.partial(_built, name, files[name])
            return runtime.compile(Network(name, files[name].sha256, build, _MEAN, _STD, dtype="float32", **shape))

        self._pnet = compiled("pnet")
        self._rnet = compiled("rnet", size=(_RNET_SIDE, _RNET_SIDE), batch=_RNET_BATCH)
        self._onet = compiled("onet", size=(_ONET_SIDE, _ONET_SIDE), batch=_ONET_BATCH)

    def detect(self, pictures: Sequence[Pixels]) -> list[list[Face]]:
        """The faces of each picture, the largest first (then the surest, the leftmost, the uppermost).

        A picture's faces don't depend on which others it comes with. One whose short side is below `min_face` has
        none.

        Args:
            pictures: (height, width, 3) uint8 each, of any size: what `reduced` makes.
        """
        if not pictures:
            return []
        tables = [AreaTable(picture) for picture in pictures]
        boxes = [_square(found) for found in self._propose(tables)]
        boxes, (shifts, scores) = self._looked(tables, boxes, self._rnet, _RNET_SIDE, _RNET_BATCH)
        boxes = [_refined(*found) for found in zip(boxes, shifts, scores, strict=True)]
        boxes, (shifts, _, scores) = self._looked(tables, boxes, self._onet, _ONET_SIDE, _ONET_BATCH)
        return [self._faces(_last(*found), table) for table, *found in zip(tables, boxes, shifts, scores, strict=True)]

    def _faces(self, boxes: Boxes, table: AreaTable) -> list[Face]:
        faces = [_face(box, table.width, table.height) for box in boxes.tolist() if box[4] >= self._settings.min_score]
        # A box may lie wholly outside after its last correction.
        kept = [face for face in faces if face.width > 0 and face.height > 0]
        return sorted(kept, key=lambda face: (-face.width * face.height, -face.score, face.x, face.y))

    def _propose(self, tables: Sequence[AreaTable]) -> list[Boxes]:
        """The first network over a pyramid of each picture; those of one size go through it together."""
        found: list[list[Boxes]] = [[np.zeros((0, 9), np.float32)] for _ in tables]
        sizes: dict[tuple[int, int], list[int]] = {}
        for at, table in enumerate(tables):
            sizes.setdefault((table.height, table.width), []).append(at)
        for (height, width), members in sizes.items():
            scale = _CELL / self._settings.min_face
            while min(height, width) * scale >= _CELL:
                size = (int(height * scale + 1), int(width * scale + 1))
                level = np.stack([tables[at].resized(*size) for at in members])
                shifts, scores = self._pnet(level)
                for at, shift, score in zip(members, shifts, scores[:, 1], strict=True):
                    boxes = _cells(shift, score, scale)
                    found[at].append(boxes[_suppress(boxes, 0.5)])
                scale *= _FACTOR
        return [_proposed(np.concatenate(boxes)) for boxes in found]

    @staticmethod
    def _looked(
        tables: Sequence[AreaTable], boxes: Sequence[Boxes], network: Compiled, side: int, batch: int
    ) -> tuple[list[Boxes], list[list[Boxes]]]:
        """The boxes that lie in their pictures, and for each output of a network what it says of them, by picture."""
        kept, patches = zip(*(_patches(*pair, side) for pair in zip(tables, boxes, strict=True)), strict=True)
        ends = np.cumsum([len(some) for some in kept])[:-1]
        every = np.concatenate(patches)
        # Full batches: the last is filled up with blank patches.
        padded = np.zeros((-(-max(1, len(every)) // batch) * batch, side, side, 3), np.float32)
        padded[: len(every)] = every
        outputs = zip(*(network(padded[at : at + batch]) for at in range(0, len(padded), batch)), strict=True)
        return list(kept), [np.split(np.concatenate(parts)[: len(every)], ends) for parts in outputs]


def _built(name: str, file: WeightsFile) -> torch.nn.Module:
    from facenet_pytorch.models import mtcnn

    # Built without their weights, which facenet-pytorch would unpickle unchecked.
    network: torch.nn.Module = {"pnet": mtcnn.PNet, "rnet": mtcnn.RNet, "onet": mtcnn.ONet}[name](pretrained=False)
    network.load_state_dict(read_state(file), strict=True)
    return network.eval()


def reduced(image: Image.Image | DeviceImage, long_side: int) -> Pixels:
    """An RGB picture with its long side reduced to `long_side` pixels, never enlarged: (height, width, 3) uint8."""
    if isinstance(image, DeviceImage):
        return image.reduced(long_side)
    width, height = image.size
    if max(width, height) > long_side:
        scale = long_side / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.array(image)


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


def _proposed(boxes: Boxes) -> Boxes:
    """Boxes of all levels of a picture, (n, 9), without those that others cover, corrected: (m, 5)."""
    boxes = boxes[_suppress(boxes, 0.7)][:_MAX_CANDIDATES]
    # The first network's corrections are in units of the box without the last pixel.
    sides = np.tile(boxes[:, 2:4] - boxes[:, :2], 2)
    return np.concatenate([boxes[:, :4] + boxes[:, 5:] * sides, boxes[:, 4:5]], axis=1)


def _refined(boxes: Boxes, shifts: Boxes, scores: Boxes) -> Boxes:
    boxes, shifts = _passed(boxes, shifts, scores, _THRESHOLDS[1])
    keep = _suppress(boxes, 0.7)
    return _square(_shifted(boxes[keep], shifts[keep]))


def _last(boxes: Boxes, shifts: Boxes, scores: Boxes) -> Boxes:
    boxes, shifts = _passed(boxes, shifts, scores, _THRESHOLDS[2])
    boxes = _shifted(boxes, shifts)
    return boxes[_suppress(boxes, 0.7, of_smaller=True)]


def _passed(boxes: Boxes, shifts: Boxes, scores: Boxes, threshold: float) -> tuple[Boxes, Boxes]:
    passed = scores[:, 1] > threshold
    return np.concatenate([boxes[passed, :4], scores[passed, 1:]], axis=1), shifts[passed]


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


def _patches(table: AreaTable, boxes: Boxes, side: int) -> tuple[Boxes, Means]:
    """Boxes that lie in the picture, and what they show: (n, side, side, 3)."""
    edges = np.trunc(boxes[:, :4]).astype(np.int64)
    edges[:, :2] = np.maximum(edges[:, :2], 1) - 1
    edges[:, 2:] = np.minimum(edges[:, 2:], [table.width, table.height])
    inside = (edges[:, 2:] > edges[:, :2]).all(axis=1)
    return boxes[inside], table.patches(edges[inside], side)


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
