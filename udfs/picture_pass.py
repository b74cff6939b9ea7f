"""The picture pass on an executor: decode once, run every network and the face detector that a picture still needs.

Three parts that do not know each other: `decode` (bytes to pixels to what each network is fed), a `Runtime` and a face
detector (to vectors and boxes), and the sink (to Arrow rows). `run_pass` moves pictures through them in batches of its
own size, whatever the size of Spark's Arrow batches, and holds no decoded picture longer than it takes to crop it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from udfs import weights as weight_files
from udfs import worker_cache
from udfs.decode import DecodeError, decode
from udfs.faces import Face, FaceDetector, FaceSettings, detector_sha256, largest_face_share
from udfs.networks import BACKBONES, LARGEST_RESIZE, class_names
from udfs.networks.preprocess import crop
from udfs.runtime import DEVICES, Output, Runtime, TorchRuntime, device, use_threads

__all__ = [
    "FACES",
    "OUTPUT_DDL",
    "FaceSettings",
    "Made",
    "PassSpec",
    "describe",
    "detector_sha256",
    "load_models",
    "output_schema",
    "pin",
    "refused",
    "run_pass",
]

# What `need` calls the face detector, beside the networks' names.
FACES = "faces"

RANKS = 5

OUTPUT_DDL = (
    "image_id string, "
    "embeddings array<struct<backbone: string, embedding: array<float>>>, "
    "labels array<struct<network: string, rank: int, class_index: int, label: string, score: float>>, "
    "faces struct<faces: int, "
    "boxes: array<struct<x: double, y: double, width: double, height: double, score: double>>, "
    "largest_face_share: double>, "
    "error struct<reason: string, detail: string>, "
    "seconds double"
)

# Decoding never goes below what the largest network and the usual face search take, so that a network's vectors do not
# depend on which others are in the pass.
_SMALLEST_MARGIN = max(LARGEST_RESIZE, FaceSettings().long_side)

_Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PassSpec:
    """What a pass does; hashable and picklable, so that it travels to executors and is the key of what they load.

    embed: networks whose embeddings are kept; label: networks whose five best labels are kept; faces: None for none.
    weights, weights_sha256: (network, path) and (network, sha256) where configured. device: auto, cpu or cuda.
    batch_size: pictures that go through a network together. max_pixels: a larger picture is refused undecoded.
    decode_min_side: JPEGs are decoded at the smallest scale that leaves no side shorter, 0: at full size (`margin`).
    threads: of torch in one worker. picture_timeout: seconds that decoding a picture and looking for its faces may take
    before the process that does it is ended (`udfs.guarded` then finds out which picture it was); 0: no limit.

    Raises:
        ValueError: an unknown network or device, a network named twice, a number out of range, nothing to do.
    """

    embed: tuple[str, ...]
    label: tuple[str, ...]
    faces: FaceSettings | None
    weights: tuple[tuple[str, str], ...] = ()
    weights_sha256: tuple[tuple[str, str], ...] = ()
    device: str = "auto"
    batch_size: int = 16
    max_pixels: int = 100_000_000
    decode_min_side: int = 0
    threads: int = 1
    picture_timeout: int = 0

    def __post_init__(self) -> None:
        configured = [name for name, _ in (*self.weights, *self.weights_sha256)]
        for name in (*self.embed, *self.label, *configured):
            if name not in BACKBONES:
                raise ValueError(f"no network is called {name!r}; there are {', '.join(sorted(BACKBONES))}")
        for names in (self.embed, self.label, [n for n, _ in self.weights], [n for n, _ in self.weights_sha256]):
            if len(set(names)) != len(names):
                raise ValueError(f"a network is named twice: {', '.join(names)}")
        if not self.embed and not self.label and self.faces is None:
            raise ValueError("the pass has nothing to do: no network and no face detector")
        if self.device not in DEVICES:
            raise ValueError(f"images.device must be one of {', '.join(DEVICES)}, not {self.device!r}")
        if self.batch_size < 1 or self.threads < 1 or self.max_pixels < 1 or self.decode_min_side < 0:
            raise ValueError("batch_size, threads and max_pixels must be at least 1, decode_min_side at least 0")
        if self.picture_timeout < 0:
            raise ValueError(f"picture_timeout must be at least 0, not {self.picture_timeout}")

    @property
    def networks(self) -> tuple[str, ...]:
        """Every network once, those of `embed` first."""
        return tuple(dict.fromkeys((*self.embed, *self.label)))

    @property
    def margin(self) -> int:
        """The decode margin that is used: `decode_min_side`, or 320 or `faces.long_side` where these are larger, since
        a smaller one would starve a network or the face search. 0 stays 0: full size."""
        if not self.decode_min_side:
            return 0
        return max(self.decode_min_side, _SMALLEST_MARGIN, self.faces.long_side if self.faces else 0)


@dataclass(frozen=True, slots=True)
class Made:
    """What is recorded with a network's vectors. width: of the embedding."""

    weights_sha256: str
    preprocessing: str
    width: int


def describe(spec: PassSpec) -> dict[str, Made]:
    """What each network of a pass makes, by name: its weights are found and hashed, no model is loaded.

    Runs on the driver, before Spark starts. Where neither a path is configured nor a package has the weights,
    torchvision's are downloaded.

    Raises:
        WeightsError: weights of a network or of the face detector are missing or hash to something else.
    """
    if spec.faces is not None:
        detector_sha256(spec.faces)
    return {
        name: Made(file.sha256, BACKBONES[name].preprocessing(spec.margin), BACKBONES[name].width)
        for name, file in _files(spec).items()
    }


def pin(spec: PassSpec) -> PassSpec:
    """The same pass, with the sha256 that the weights have here demanded of every executor.

    Raises:
        WeightsError: as `describe`.
    """
    made = describe(spec)
    return replace(spec, weights_sha256=tuple(sorted((name, made[name].weights_sha256) for name in made)))


@functools.cache
def output_schema() -> pa.Schema:
    """The Arrow form of `OUTPUT_DDL`. A row a picture.

    embeddings, labels: [] where nothing was needed, and beside an error; labels ordered by network, then rank.
    faces: NULL where not needed, and beside an error. error: NULL where all went well. seconds: of decoding this
    picture, and its share of its batch's networks; never NULL.
    """
    box = pa.struct([(name, pa.float64()) for name in ("x", "y", "width", "height", "score")])
    label = pa.struct(
        [
            ("network", pa.string()),
            ("rank", pa.int32()),
            ("class_index", pa.int32()),
            ("label", pa.string()),
            ("score", pa.float32()),
        ]
    )
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("embeddings", pa.list_(pa.struct([("backbone", pa.string()), ("embedding", pa.list_(pa.float32()))]))),
            ("labels", pa.list_(label)),
            (
                "faces",
                pa.struct([("faces", pa.int32()), ("boxes", pa.list_(box)), ("largest_face_share", pa.float64())]),
            ),
            ("error", pa.struct([("reason", pa.string()), ("detail", pa.string())])),
            ("seconds", pa.float64()),
        ]
    )


class Detector(Protocol):
    """Finds faces."""

    def detect(self, image: Image.Image) -> list[Face]:
        """The faces of an RGB picture, the largest first."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """What a pass runs. faces: None where the pass looks for none."""

    runtime: Runtime
    faces: Detector | None


def load_models(spec: PassSpec, where: str) -> Models:
    """The torch models of a pass on a device. A network's weights are verified here and loaded at its first use.

    Raises:
        WeightsError: weights are missing or not those that the pass demands.
    """
    use_threads(spec.threads)
    faces = FaceDetector(spec.faces, where) if spec.faces is not None else None
    return Models(TorchRuntime(_files(spec), where, spec.batch_size), faces)


Loader = Callable[[PassSpec, str], Models]


def run_pass(
    batches: Iterator[pa.RecordBatch], spec: PassSpec, loader: Loader = load_models
) -> Iterator[pa.RecordBatch]:
    """Look at pictures. For `mapInArrow`; runs on executors.

    A picture that cannot be decoded is a row with an `error` and nothing else, and so is one that makes a network fail
    by itself: the rest of its batch is run again, one picture at a time.

    Args:
        batches: columns image_id string, content binary, need array<string>: the networks, and `faces`, that the
            picture still needs; NULL: all that the pass has. Batches may be empty and of any size.
        loader: makes the models; called once a worker for a pass and device.

    Yields:
        One row a picture, in their order, of `output_schema`, `spec.batch_size` rows together.

    Raises:
        ValueError: `need` names what the pass does not have.
        WeightsError, DeviceError: the models cannot be loaded here.
        Exception: what a network raises when it fails for a blank picture too; then it is not the picture's fault.
    """
    models: Models | None = None
    held: list[_Picture] = []
    for batch in batches:
        for row in _rows(batch):
            if models is None:  # only now: an empty partition loads nothing
                models = _models(spec, loader)
            with _time_limit(spec.picture_timeout):
                held.append(_look(row, spec, models))
            if len(held) == spec.batch_size:
                yield _finish(held, spec, models)
                held = []
    if held and models is not None:
        yield _finish(held, spec, models)


def refused(image_id: str, spec: PassSpec, reason: str, detail: str) -> pa.RecordBatch:
    """The row of a picture that nothing could be made of, as `run_pass` gives it; seconds is 0."""
    picture = _Picture(image_id)
    picture.fail(reason, detail)
    return _arrow([picture], spec, 0.0)


@contextlib.contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    """Ends this process when what it holds takes longer: a decoder that hangs listens to nothing gentler."""
    if not seconds:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _models(spec: PassSpec, loader: Loader) -> Models:
    where = device(spec.device)
    # What a worker keeps does not depend on how pictures are decoded.
    networks = tuple(sorted(spec.networks))
    kept = replace(spec, embed=networks, label=(), max_pixels=1, decode_min_side=0, picture_timeout=0)
    return worker_cache.get((loader, kept, where), lambda: loader(spec, where))


def _files(spec: PassSpec) -> dict[str, weight_files.WeightsFile]:
    paths, hashes = dict(spec.weights), dict(spec.weights_sha256)
    return {name: weight_files.find(name, paths.get(name), hashes.get(name)) for name in spec.networks}


# --- decode -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    image_id: str
    content: bytes | None
    need: Sequence[str] | None


@dataclass(slots=True)
class _Picture:
    """A picture on its way: what each network will be fed, then what came out."""

    image_id: str
    crops: dict[str, _Pixels] = field(default_factory=dict)
    outputs: dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]] = field(default_factory=dict)
    faces: list[Face] | None = None
    error: tuple[str, str] | None = None
    seconds: float = 0.0

    def fail(self, reason: str, detail: str) -> None:
        """Nothing of a picture that failed anywhere is kept."""
        self.crops, self.outputs, self.faces, self.error = {}, {}, None, (reason, detail)


def _rows(batch: pa.RecordBatch) -> Iterator[_Row]:
    ids, contents, needs = (batch.column(name) for name in ("image_id", "content", "need"))
    for at in range(batch.num_rows):
        yield _Row(ids[at].as_py(), contents[at].as_py(), needs[at].as_py())


def _look(row: _Row, spec: PassSpec, models: Models) -> _Picture:
    """Decode, crop for each network that is needed, and look for faces."""
    started = time.perf_counter()
    picture = _Picture(row.image_id)
    need = _needed(row, spec)
    try:
        image = Image.fromarray(decode(row.content, spec.max_pixels, spec.margin))
        made: dict[tuple[object, ...], _Pixels] = {}
        for name in need:
            if name != FACES:
                of = BACKBONES[name]
                same = (of.resize, of.crop, of.interpolation)
                if same not in made:
                    made[same] = crop(image, of)
                picture.crops[name] = made[same]
        if FACES in need and models.faces is not None:
            _find_faces(picture, image, models.faces)
    except DecodeError as error:
        picture.fail(error.reason, error.detail)
    except MemoryError:
        picture.fail("image_failed", "decoding it takes more memory than this worker has")
    picture.seconds = time.perf_counter() - started
    return picture


def _needed(row: _Row, spec: PassSpec) -> tuple[str, ...]:
    offered = (*spec.networks, *((FACES,) if spec.faces is not None else ()))
    if row.need is None:
        return offered
    unknown = sorted(set(row.need) - set(offered))
    if unknown:
        raise ValueError(f"picture {row.image_id} needs {', '.join(unknown)}; this pass has {', '.join(offered)}")
    return tuple(name for name in offered if name in row.need)


# --- runtime ----------------------------------------------------------------------------------------------------------


def _find_faces(picture: _Picture, image: Image.Image, detector: Detector) -> None:
    try:
        picture.faces = detector.detect(image)
    except Exception as error:  # noqa: BLE001  one picture's failure is its row's error, checked on a blank one
        detector.detect(Image.new("RGB", (64, 64)))
        picture.fail("image_failed", f"face detection failed: {_sentence(error)}")


def _run_networks(pictures: Sequence[_Picture], spec: PassSpec, models: Models) -> None:
    for name in spec.networks:
        needing = [picture for picture in pictures if name in picture.crops]
        if needing:
            _run_network(name, needing, models.runtime)


def _run_network(name: str, pictures: Sequence[_Picture], runtime: Runtime) -> None:
    try:
        _keep(name, pictures, runtime.forward(name, np.stack([picture.crops[name] for picture in pictures])))
    except weight_files.WeightsError:
        raise
    except Exception as error:  # noqa: BLE001  one picture's failure is its row's error, checked on a blank one
        if len(pictures) > 1:
            for picture in pictures:
                _run_network(name, [picture], runtime)
            return
        try:
            runtime.forward(name, np.zeros_like(pictures[0].crops[name])[None])
        except Exception:  # noqa: BLE001  it fails for a blank picture too: the task fails, and Spark tries it again
            raise error from None
        pictures[0].fail("image_failed", f"{name} failed: {_sentence(error)}")


def _keep(name: str, pictures: Sequence[_Picture], output: Output) -> None:
    shapes = (output.embeddings.shape, output.logits.shape[:1])
    expected = ((len(pictures), BACKBONES[name].width), (len(pictures),))
    if shapes != expected:
        raise ValueError(f"{name} gave vectors of shape {shapes[0]}, expected {expected[0]}")
    finite = np.isfinite(output.embeddings).all(axis=1) & np.isfinite(output.logits).all(axis=1)
    for at, picture in enumerate(pictures):
        if finite[at]:
            picture.outputs[name] = (output.embeddings[at], output.logits[at])
        else:
            picture.fail("image_failed", f"{name} gave numbers that are not finite")


# --- sink -------------------------------------------------------------------------------------------------------------


def _finish(pictures: Sequence[_Picture], spec: PassSpec, models: Models) -> pa.RecordBatch:
    started = time.perf_counter()
    _run_networks(pictures, spec, models)
    return _arrow(pictures, spec, (time.perf_counter() - started) / len(pictures))


def _arrow(pictures: Sequence[_Picture], spec: PassSpec, share: float) -> pa.RecordBatch:
    columns = [
        [picture.image_id for picture in pictures],
        [_embeddings(picture, spec) for picture in pictures],
        [_labels(picture, spec) for picture in pictures],
        [_faces(picture) for picture in pictures],
        [_error(picture) for picture in pictures],
        [picture.seconds + share for picture in pictures],
    ]
    schema = output_schema()
    return pa.RecordBatch.from_arrays(
        [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema
    )


def _embeddings(picture: _Picture, spec: PassSpec) -> list[Mapping[str, object]]:
    return [{"backbone": name, "embedding": picture.outputs[name][0]} for name in spec.embed if name in picture.outputs]


def _labels(picture: _Picture, spec: PassSpec) -> list[Mapping[str, object]]:
    rows: list[Mapping[str, object]] = []
    for name in sorted(spec.label):
        if name in picture.outputs:
            logits = picture.outputs[name][1].astype(np.float64)
            odds = np.exp(logits - logits.max())
            scores = odds / odds.sum()
            # Stable, so equal scores keep the order of the classes.
            best = np.argsort(-scores, kind="stable")[:RANKS]
            rows.extend(
                {
                    "network": name,
                    "rank": rank,
                    "class_index": int(index),
                    "label": class_names()[index],
                    "score": float(scores[index]),
                }
                for rank, index in enumerate(best, start=1)
            )
    return rows


def _faces(picture: _Picture) -> Mapping[str, object] | None:
    if picture.faces is None:
        return None
    boxes = [
        {"x": face.x, "y": face.y, "width": face.width, "height": face.height, "score": face.score}
        for face in picture.faces
    ]
    return {"faces": len(boxes), "boxes": boxes, "largest_face_share": largest_face_share(picture.faces)}


def _error(picture: _Picture) -> Mapping[str, str] | None:
    if picture.error is None:
        return None
    return {"reason": picture.error[0], "detail": picture.error[1]}


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
