"""The picture pass on an executor: decode once, run every network and the face detector that a picture still needs.

Three parts that do not know each other: `decode` (bytes to pixels to what each network is fed), networks and a face
detector on a runtime (to vectors and boxes), and the sink (to Arrow rows). `run_pass` moves pictures through them in
batches of its own size, whatever the size of Spark's Arrow batches, and holds no decoded picture longer than it takes
to crop it. One thread does it all where a worker has one core: beside a network that uses the core, a thread that
decodes ahead gains nothing.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import itertools
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs import weights as weight_files
from udfs import worker_cache
from udfs.compiled_cache import default_folder
from udfs.decode import DecodeError, decode
from udfs.device_decode import decode_on
from udfs.embedder import Embedder, Output
from udfs.faces import Face, FaceDetector, FaceSettings, detector_sha256, largest_face_share, reduced
from udfs.malloc import keep_freed_memory
from udfs.networks import BACKBONES, LARGEST_RESIZE
from udfs.networks.preprocess import crop
from udfs.runtime import DEVICES, PRECISIONS, DeviceError, Precision, device, has_bf16, runtime, threads
from udfs.worker_start import settle

__all__ = [
    "FACES",
    "OUTPUT_DDL",
    "FaceSettings",
    "Made",
    "PassSpec",
    "describe",
    "load_models",
    "output_schema",
    "pin",
    "ready",
    "refused",
    "run_pass",
]

# What `need` calls the face detector, beside the networks' names.
FACES = "faces"

RANKS = 5

OUTPUT_DDL = (
    "image_id string, "
    "embeddings array<struct<backbone: string, embedding: array<float>>>, "
    "labels array<struct<network: string, rank: int, class_index: int, score: float>>, "
    "faces struct<faces: int, "
    "boxes: array<struct<x: double, y: double, width: double, height: double, score: double>>, "
    "largest_face_share: double>, "
    "error struct<reason: string, detail: string>, "
    "decode_seconds double, "
    "network_seconds double, "
    "face_seconds double, "
    "peak_bytes bigint"
)

# What the largest network and the usual face search take. All decode margins are multiples of it, so that a network's
# vectors do not depend on which others are in the pass.
_TARGET = max(LARGEST_RESIZE, FaceSettings().long_side)

_Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PassSpec:
    """What a pass does; hashable and picklable, so that it travels to executors and is the key of what they load.

    embed: networks whose embeddings are kept; label: networks whose five best labels are kept; faces: None for none.
    weights, weights_sha256: (network, path) and (network, sha256) where configured. device: auto, cpu or cuda.
    precision: of the networks, `pin` settles auto; faces are always looked for in fp32. batch_size: pictures that go
    through a network together. max_pixels: a larger picture is refused undecoded. decode_margin: JPEGs are decoded at
    the smallest scale that leaves no side shorter than so many times what networks and the face search take
    (`min_side`), 0: at full size. threads: of one worker, 0: as many as its task has cores. picture_timeout: seconds
    that decoding a picture, or its share of its batch, may take before the process that does it is ended
    (`udfs.guarded` then finds out which picture it was), 0: no limit. cache: folder for compiled networks, "" for the
    user's own, None to keep none. torch_compile: of networks on a GPU. device_decode: a GPU decodes JPEGs, at full
    size; with device cuda only, or a lake's vectors would be of two kinds.

    Raises:
        ValueError: an unknown network, device or precision, a network named twice, a number out of range, nothing to
            do.
    """

    embed: tuple[str, ...]
    label: tuple[str, ...]
    faces: FaceSettings | None
    weights: tuple[tuple[str, str], ...] = ()
    weights_sha256: tuple[tuple[str, str], ...] = ()
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    batch_size: int = 16
    max_pixels: int = 100_000_000
    decode_margin: int = 0
    threads: int = 0
    picture_timeout: int = 0
    cache: str | None = ""
    torch_compile: bool = False
    device_decode: bool = False

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
        for key, value, allowed in (("device", self.device, DEVICES), ("precision", self.precision, PRECISIONS)):
            if value not in allowed:
                raise ValueError(f"images.{key} must be one of {', '.join(allowed)}, not {value!r}")
        if self.device_decode and self.device != "cuda":
            raise ValueError(f"images.device_decode=true needs images.device=cuda, not {self.device}")
        if self.batch_size < 1 or self.max_pixels < 1:
            raise ValueError("batch_size and max_pixels must be at least 1")
        if self.threads < 0 or self.decode_margin < 0:
            raise ValueError("threads and decode_margin must be at least 0")
        if self.picture_timeout < 0:
            raise ValueError(f"picture_timeout must be at least 0, not {self.picture_timeout}")

    @property
    def networks(self) -> tuple[str, ...]:
        """Every network once, those of `embed` first."""
        return tuple(dict.fromkeys((*self.embed, *self.label)))

    @property
    def min_side(self) -> int:
        """Pixels that the short side of a JPEG keeps when it is decoded; 0: all of them."""
        return self.decode_margin * max(_TARGET, self.faces.long_side if self.faces else 0)

    @property
    def decoded(self) -> str:
        """How JPEGs are decoded, in a word: what is made of pixels that are decoded in another way is not the same."""
        if self.device_decode:
            return "ondevice"
        return f"minside{self.min_side}" if self.min_side else "fullsize"

    @property
    def faces_sha256(self) -> str:
        """What tells the pass's faces from those of another detector, other settings or otherwise decoded pictures.

        Raises:
            ValueError: the pass looks for no faces.
            WeightsError: see `udfs.faces.detector_sha256`.
        """
        if self.faces is None:
            raise ValueError("the pass looks for no faces")
        return detector_sha256(self.faces, self.decoded)

    @property
    def settled_precision(self) -> Precision:
        """The precision; auto is bf16 where a GPU is asked for or this machine's processor has it, else fp32."""
        if self.precision == "auto":
            return "bf16" if self.device == "cuda" or has_bf16() else "fp32"
        return self.precision


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
        detector_sha256(spec.faces, spec.decoded)
    return {
        name: Made(
            file.sha256,
            BACKBONES[name].preprocessing(spec.decoded, spec.settled_precision),
            BACKBONES[name].width,
        )
        for name, file in _files(spec).items()
    }


def pin(spec: PassSpec) -> PassSpec:
    """The same pass, with the sha256 that the weights have here, and the precision, demanded of every executor.

    Raises:
        WeightsError: as `describe`.
    """
    made = describe(spec)
    hashes = tuple(sorted((name, made[name].weights_sha256) for name in made))
    return replace(spec, weights_sha256=hashes, precision=spec.settled_precision)


@functools.cache
def output_schema() -> pa.Schema:
    """The Arrow form of `OUTPUT_DDL`. A row a picture.

    embeddings, labels: [] where nothing was needed, and beside an error; labels ordered by network, then rank.
    faces: NULL where not needed, and beside an error. error: NULL where all went well. decode_seconds: of decoding and
    cropping this picture; network_seconds, face_seconds: its share of its batch's. peak_bytes: the most memory that the
    process ever had in use. None of these is ever NULL.
    """
    box = pa.struct([(name, pa.float64()) for name in ("x", "y", "width", "height", "score")])
    label = pa.struct(
        [
            ("network", pa.string()),
            ("rank", pa.int32()),
            ("class_index", pa.int32()),
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
            ("decode_seconds", pa.float64()),
            ("network_seconds", pa.float64()),
            ("face_seconds", pa.float64()),
            ("peak_bytes", pa.int64()),
        ]
    )


class Detector(Protocol):
    """Finds faces."""

    def detect(self, pictures: Sequence[_Pixels]) -> list[list[Face]]:
        """The faces of each picture, (height, width, 3) uint8, the largest first."""
        ...


class Networks(Protocol):
    """Runs networks by name."""

    def forward(self, name: str, pixels: _Pixels) -> Output:
        """(n, crop, crop, 3) uint8 -> embeddings and logits; as `udfs.embedder.Embedder`."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """What a pass runs. faces: None where the pass looks for none."""

    networks: Networks
    faces: Detector | None


def load_models(spec: PassSpec, where: str) -> Models:
    """The models of a pass on a device. A network's weights are verified here and loaded at its first use.

    Raises:
        DeviceError: the device does not compute in the pass's precision.
        WeightsError: weights are missing or not those that the pass demands.
    """
    cache = None if spec.cache is None else Path(spec.cache) if spec.cache else default_folder()
    on = runtime(where, spec.settled_precision, spec.threads, cache, torch_compile=spec.torch_compile)
    networks = Embedder(_files(spec), on, spec.batch_size)
    if spec.faces is None:
        return Models(networks, None)
    # In fp32 the boxes are the published detector's own, and bf16 would make the search a tenth faster.
    return Models(networks, FaceDetector(spec.faces, runtime(where, "fp32", spec.threads, cache)))


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
    rows = (row for batch in batches for row in _rows(batch))
    first = next(rows, None)
    if first is None:  # an empty partition loads nothing
        return
    models = ready(spec, loader)
    spec = replace(spec, threads=threads(spec.threads))
    look = functools.partial(_look, spec=spec, where=device(spec.device) if spec.device_decode else None)
    held: list[_Picture] = []
    with contextlib.closing(_decoded(itertools.chain([first], rows), look, spec)) as pictures:
        for picture in pictures:
            held.append(picture)
            if len(held) == spec.batch_size:
                yield _finish(held, spec, models)
                held = []
    if held:
        yield _finish(held, spec, models)


def refused(image_id: str, reason: str, detail: str) -> pa.RecordBatch:
    """The row of a picture that nothing could be made of, as `run_pass` gives it; it took no time."""
    picture = _Picture(image_id)
    picture.fail(reason, detail)
    return _arrow([picture], PassSpec((), (), FaceSettings()))


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


def ready(spec: PassSpec, loader: Loader = load_models) -> Models:
    """The models of a pass in this worker, which keeps them. Runs on executors.

    Raises:
        WeightsError, DeviceError: they cannot be loaded here.
    """
    keep_freed_memory()
    settle()
    where = device(spec.device)
    # What a worker keeps does not depend on how pictures are decoded.
    networks = tuple(sorted(spec.networks))
    spec = replace(spec, threads=threads(spec.threads))
    kept = replace(
        spec, embed=networks, label=(), max_pixels=1, decode_margin=0, picture_timeout=0, device_decode=False
    )
    return worker_cache.get((loader, kept, where), lambda: loader(spec, where))


def _files(spec: PassSpec) -> dict[str, weight_files.WeightsFile]:
    paths, hashes = dict(spec.weights), dict(spec.weights_sha256)
    return {name: weight_files.find(name, paths.get(name), hashes.get(name)) for name in spec.networks}


# --- decode -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    image_id: str
    content: memoryview | None
    need: Sequence[str] | None


@dataclass(slots=True)
class _Picture:
    """A picture on its way: what each network and (`small`) the face search will be fed, then what came out."""

    image_id: str
    crops: dict[str, _Pixels] = field(default_factory=dict)
    small: _Pixels | None = None
    outputs: dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]] = field(default_factory=dict)
    faces: list[Face] | None = None
    error: tuple[str, str] | None = None
    decode_seconds: float = 0.0
    network_seconds: float = 0.0
    face_seconds: float = 0.0

    def fail(self, reason: str, detail: str) -> None:
        """Nothing of a picture that failed anywhere is kept."""
        self.crops, self.outputs, self.small, self.faces, self.error = {}, {}, None, None, (reason, detail)


def _rows(batch: pa.RecordBatch) -> Iterator[_Row]:
    ids, contents, needs = (batch.column(name) for name in ("image_id", "content", "need"))
    for at in range(batch.num_rows):
        content = contents[at].as_buffer()  # not copied
        yield _Row(ids[at].as_py(), None if content is None else memoryview(content), needs[at].as_py())


def _decoded(rows: Iterator[_Row], look: Callable[[_Row], _Picture], spec: PassSpec) -> Generator[_Picture, None, None]:
    """Every picture decoded, in order: one after the other where the worker has one thread, else ahead of the networks
    by as many threads."""
    if spec.threads == 1:
        for row in rows:
            with _time_limit(spec.picture_timeout):
                picture = look(row)
            yield picture
        return
    pool = ThreadPoolExecutor(spec.threads, thread_name_prefix="decode")
    ahead: deque[Future[_Picture]] = deque()
    try:
        for row in rows:
            ahead.append(pool.submit(look, row))
            if len(ahead) > 2 * spec.batch_size:
                yield _waited(ahead.popleft(), spec)
        while ahead:
            yield _waited(ahead.popleft(), spec)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _waited(picture: Future[_Picture], spec: PassSpec) -> _Picture:
    with _time_limit(spec.picture_timeout):
        return picture.result()


def _look(row: _Row, spec: PassSpec, where: str | None) -> _Picture:
    """Decode, crop for each network that is needed, and reduce for the face search. where: the device that decodes what
    it can, or None."""
    started = time.perf_counter()
    picture = _Picture(row.image_id)
    need = _needed(row, spec)
    try:
        on_device = None if where is None else decode_on(row.content, where, spec.max_pixels)
        image = on_device or decode(row.content, spec.max_pixels, spec.min_side)
        made: dict[tuple[object, ...], _Pixels] = {}
        for name in need:
            if name != FACES:
                of = BACKBONES[name]
                same = (of.resize, of.crop, of.interpolation)
                if same not in made:
                    made[same] = crop(image, of)
                picture.crops[name] = made[same]
        if FACES in need and spec.faces is not None:
            picture.small = reduced(image, spec.faces.long_side)
    except DecodeError as error:
        picture.fail(error.reason, error.detail)
    except MemoryError:
        picture.fail("image_failed", "decoding it takes more memory than this worker has")
    picture.decode_seconds = time.perf_counter() - started
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


def _find_faces(pictures: Sequence[_Picture], detector: Detector) -> None:
    smalls = [picture.small for picture in pictures if picture.small is not None]
    try:
        for picture, faces in zip(pictures, detector.detect(smalls), strict=True):
            picture.faces, picture.small = faces, None
    except Exception as error:  # noqa: BLE001  one picture's failure is its row's error, checked on a blank one
        if len(pictures) > 1:
            for picture in pictures:
                _find_faces([picture], detector)
            return
        detector.detect([np.zeros((64, 64, 3), np.uint8)])
        pictures[0].fail("image_failed", f"face detection failed: {_sentence(error)}")


def _run_networks(pictures: Sequence[_Picture], spec: PassSpec, models: Models) -> None:
    for name in spec.networks:
        needing = [picture for picture in pictures if name in picture.crops]
        if needing:
            _run_network(name, needing, models.networks)


def _run_network(name: str, pictures: Sequence[_Picture], networks: Networks) -> None:
    try:
        _keep(name, pictures, networks.forward(name, np.stack([picture.crops[name] for picture in pictures])))
    except (weight_files.WeightsError, DeviceError):
        raise
    except Exception as error:  # noqa: BLE001  one picture's failure is its row's error, checked on a blank one
        if len(pictures) > 1:
            for picture in pictures:
                _run_network(name, [picture], networks)
            return
        try:
            networks.forward(name, np.zeros_like(pictures[0].crops[name])[None])
        except Exception:  # noqa: BLE001  it fails for a blank picture too: the task fails, and Spark tries it again
            raise error from None
        pictures[0].fail("image_failed", f"{name} failed: {_sentence(error)}")


def _keep(name: str, pictures: Sequence[_Picture], output: Output) -> None:
    finite = np.isfinite(output.embeddings).all(axis=1) & np.isfinite(output.logits).all(axis=1)
    for at, picture in enumerate(pictures):
        if finite[at]:
            picture.outputs[name] = (output.embeddings[at], output.logits[at])
        else:
            picture.fail("image_failed", f"{name} gave numbers that are not finite")


# --- sink -------------------------------------------------------------------------------------------------------------


def _finish(pictures: Sequence[_Picture], spec: PassSpec, models: Models) -> pa.RecordBatch:
    with _time_limit(spec.picture_timeout * len(pictures)):
        started = time.perf_counter()
        _run_networks(pictures, spec, models)
        between = time.perf_counter()
        searched = [picture for picture in pictures if picture.small is not None]
        if searched and models.faces is not None:
            _find_faces(searched, models.faces)
        ended = time.perf_counter()
    for picture in pictures:
        picture.network_seconds = (between - started) / len(pictures)
        picture.face_seconds = (ended - between) / len(pictures)
    return _arrow(pictures, spec)


def _arrow(pictures: Sequence[_Picture], spec: PassSpec) -> pa.RecordBatch:
    schema = output_schema()
    columns = {
        "image_id": [picture.image_id for picture in pictures],
        "embeddings": _embeddings(pictures, spec, schema.field("embeddings").type),
        "labels": [_labels(picture, spec) for picture in pictures],
        "faces": [_faces(picture) for picture in pictures],
        "error": [_error(picture) for picture in pictures],
        "decode_seconds": [picture.decode_seconds for picture in pictures],
        "network_seconds": [picture.network_seconds for picture in pictures],
        "face_seconds": [picture.face_seconds for picture in pictures],
        "peak_bytes": [_peak_bytes()] * len(pictures),
    }
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, schema.field(name).type)
        for name, column in columns.items()
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _embeddings(pictures: Sequence[_Picture], spec: PassSpec, kind: pa.ListType) -> pa.ListArray:
    """All vectors of a batch as one Arrow array over one block of floats."""
    made = [[(name, p.outputs[name][0]) for name in spec.embed if name in p.outputs] for p in pictures]
    every = [pair for some in made for pair in some]
    floats = np.concatenate([vector for _, vector in every]) if every else np.zeros(0, np.float32)
    vectors = pa.ListArray.from_arrays(_offsets([len(vector) for _, vector in every]), pa.array(floats))
    structs = pa.StructArray.from_arrays(
        [pa.array([name for name, _ in every], pa.string()), vectors], fields=list(kind.value_type)
    )
    return pa.ListArray.from_arrays(_offsets([len(some) for some in made]), structs).cast(kind)


def _offsets(lengths: Sequence[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _peak_bytes() -> int:
    try:
        # Not getrusage: there a process begins with the peak of the one that started it.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.split("VmHWM:", 1)[1].split(None, 1)[0]) * 1024
    except (OSError, IndexError):  # no Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB elsewhere


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
