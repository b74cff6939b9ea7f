"""Every case of the benchmark: what is run, and which rows it makes."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.pictures import targets as t
from benchmarks.pictures.daft_queries import DaftError, query
from benchmarks.pictures.faces import agreement
from benchmarks.pictures.margins import MARGINS, see
from benchmarks.pictures.peers import Peers
from benchmarks.pictures.photographs import Photographs
from benchmarks.pictures.spark_cases import CORES, SparkCases, StageRun
from benchmarks.pictures.subjects import LITE, LITE_FACES, RESNET, RESNET_FACES, RESNET_FP32, Sizes, Subject, to_json
from benchmarks.rows import RATE, Rows

Case = Callable[[], None]

GB = 1e9
# The parts, and the lakes that the stage runs on in them; `Sizes` has their pictures under the same names.
PARTS: Mapping[str, Collection[str]] = {
    "margins": (),
    "faces": (),
    "resnet50": ("few", "all", "some"),
    "lite0": ("few", "all"),
    "lite0-faces": ("few", "all"),
    "resnet50-faces": ("few", "some"),
    "memory": ("few", "some", "many"),
    "files": (),
}


@dataclass(frozen=True, slots=True)
class Bench:
    """What all cases share. loops: processes without Spark; daft: its interpreter, None where its environment cannot
    be made; daft_starts: seconds of its queries of the fewest pictures; daft_refused: those that gave no answer."""

    sizes: Sizes
    photographs: Photographs
    resnet: Path
    spark: SparkCases
    loops: Peers
    daft: Path | None
    rows: Rows
    daft_starts: dict[tuple[str, str], float] = field(default_factory=dict)
    daft_refused: set[tuple[str, str]] = field(default_factory=set)

    def rate(self, case: str, subject: str, n: int, seconds: float) -> None:
        print(f"{subject}, {case}: {n / seconds:.1f} images/s ({n} in {seconds:.1f} s)", file=sys.stderr)
        self.rows.add(case, subject, RATE, "images/s", n / seconds)

    def seconds(self, case: str, subject: str, what: str, seconds: float) -> None:
        self.rows.add(case, subject, what, "s", seconds)


def run_all(bench: Bench, parts: Collection[str] = tuple(PARTS)) -> None:
    """All of it, or some parts, subject by subject: within one, every round runs each case once, so that whatever else
    the machine does meets them all alike."""
    for lake in dict.fromkeys(lake for part in parts for lake in PARTS[part]):
        n = getattr(bench.sizes, lake)
        print(f"laying a lake of {n} pictures", file=sys.stderr)
        bench.spark.lay_lake(LITE, lake, n)
    measures: dict[str, Case] = {
        "margins": lambda: margins(bench),
        "faces": lambda: _rounds(bench, [], [lambda: faces(bench)]),
        "resnet50": lambda: _rounds(
            bench, [RESNET], [*_alone(bench, RESNET), lambda: stage(bench, RESNET_FP32, "some")]
        ),
        "lite0": lambda: _rounds(bench, [LITE], _alone(bench, LITE)),
        "lite0-faces": lambda: _rounds(bench, [LITE_FACES], _with_faces(bench, LITE_FACES, "all")),
        "resnet50-faces": lambda: _rounds(bench, [RESNET_FACES], _with_faces(bench, RESNET_FACES, "some")),
        "memory": lambda: memory(bench),
        "files": lambda: files(bench),
    }
    for part in PARTS:
        if part in parts:
            measures[part]()
    if {"faces", "resnet50"} <= set(parts):
        add_parts(bench.rows)


def _rounds(bench: Bench, subjects: Sequence[Subject], cases: Sequence[Case]) -> None:
    for subject in subjects:
        bench.spark.stage(subject, "few")  # compiles what was never compiled on this machine
    for _ in range(bench.sizes.rounds):
        for case in cases:
            case()


def _alone(bench: Bench, subject: Subject) -> list[Case]:
    # A network of 3 ms a picture needs all pictures, that its fixed costs don't decide; one of 17 ms half of them.
    n = bench.sizes.all if subject is LITE else bench.sizes.some
    return [
        lambda: network(bench, subject, bench.sizes.some),
        lambda: standalone(bench, subject, n),
        lambda: stage(bench, subject, "all"),
        lambda: recipe(bench, subject),
        lambda: batch_udf(bench, subject, n // 2),
        lambda: own_udf(bench, subject, n // 2),
        lambda: daft(bench, subject, ours=False, n=bench.sizes.slow),
        lambda: daft(bench, subject, ours=True, n=n // 2),
    ]


def _with_faces(bench: Bench, subject: Subject, lake: str) -> list[Case]:
    return [lambda: standalone(bench, subject, bench.sizes.slow * 2), lambda: stage(bench, subject, lake)]


# --- without Spark ----------------------------------------------------------------------------------------------------


def network(bench: Bench, subject: Subject, n: int) -> None:
    """(a) the network alone, on pixels that are decoded."""
    spec = to_json(bench.spark.spec(subject))
    bench.loops.ask("network", [{"spec": spec, "pictures": 64}] * CORES)
    seconds, _ = bench.loops.ask("network", [{"spec": spec, "pictures": n // CORES}] * CORES)
    bench.rate(t.NETWORK, subject.name, n // CORES * CORES, seconds)


def standalone(bench: Bench, subject: Subject, n: int) -> None:
    """(b) JPEG files to vectors in a process a core."""
    spec = to_json(bench.spark.spec(subject))
    paths = [str(path) for path in bench.photographs.files(n)]
    bench.loops.ask("standalone", [{"spec": spec, "files": paths[:16]}] * CORES)
    seconds, answers = bench.loops.ask("standalone", [{"spec": spec, "files": paths[at::CORES]} for at in range(CORES)])
    bench.rate(t.STANDALONE, subject.name, n, seconds)
    for step in ("decode", "network", "faces"):
        if step != "faces" or subject.faces:
            milliseconds = sum(answer[step] for answer in answers) / n * 1000
            bench.rows.add(t.STANDALONE, subject.name, step, "core ms/image", milliseconds)


def daft(bench: Bench, subject: Subject, *, ours: bool, n: int) -> None:
    """(f) Daft: as its guides write it, or with our decode and runtime inside. What a query takes for the fewest
    pictures, most of it the start of its workers and their models, is taken off: our workers are warm as well."""
    case, few = t.DAFT_OURS if ours else t.DAFT_TORCH, bench.photographs.part
    key = (case, subject.name)
    if bench.daft is None or key in bench.daft_refused:
        return
    request = {
        "ours": ours,
        "network": subject.network,
        "weights": str(bench.resnet) if subject.network == "resnet50" else None,
        "spec": to_json(bench.spark.spec(subject)),
        "processes": CORES,
    }
    try:
        if key not in bench.daft_starts:
            bench.daft_starts[key] = query(bench.daft, {**request, "parquet": bench.photographs.parquet(few)})
        whole = query(bench.daft, {**request, "parquet": bench.photographs.parquet(n)})
    except DaftError as error:
        print(f"{subject.name}, {case} is left out: {error}", file=sys.stderr)
        bench.daft_refused.add(key)
        return
    bench.rate(case, subject.name, n - few, max(1e-9, whole - bench.daft_starts[key]))
    bench.seconds(case, subject.name, f"whole query, {n} pictures", whole)


def faces(bench: Bench) -> None:
    """Face detectors alone, on pictures that are reduced to 320 pixels already."""
    every = [str(path) for path in bench.photographs.files(bench.sizes.some)]
    slow = every[: bench.sizes.slow]
    kinds = [(t.FACENET, "facenet", slow), (t.FACES_FP32, "fp32", every), (t.FACES_BF16, "bf16", every)]
    if not _has_bf16():
        kinds.pop()
    boxes = {}
    for case, kind, paths in kinds:
        shares = [{"detector": kind, "files": paths[at::CORES]} for at in range(CORES)]
        if not bench.rows.values(case, t.FACES_ALONE, RATE):
            bench.loops.ask("faces", shares)  # reads the pictures and meets each of their sizes once
        _, answers = bench.loops.ask("faces", shares)
        bench.rate(case, t.FACES_ALONE, len(paths), max(answer["faces"] for answer in answers))
        boxes[kind] = [box for answer in answers for box in answer["boxes"][: len(slow) // CORES]]
    for case, kind, _ in kinds[1:]:
        share, overlaps = agreement(boxes[kind], boxes["facenet"])
        bench.rows.add(case, t.FACES_ALONE, "faces found", "share of facenet-pytorch's", share)
        bench.rows.add(case, t.FACES_ALONE, "faces more", "faces", _count(boxes[kind]) - _count(boxes["facenet"]))
        bench.rows.add(case, t.FACES_ALONE, "least overlap", "IoU", min(overlaps, default=1.0))
        bench.rows.add(case, t.FACES_ALONE, "mean overlap", "IoU", statistics.fmean(overlaps) if overlaps else 1.0)


def _count(boxes: Sequence[Sequence[Any]]) -> int:
    return sum(len(some) for some in boxes)


def _has_bf16() -> bool:
    from udfs.runtime import has_bf16

    return has_bf16()


# --- Spark ------------------------------------------------------------------------------------------------------------


def stage(bench: Bench, subject: Subject, lake: str) -> None:
    """(c) our stage on a lake, and on the lake of few pictures: the difference is what a long run goes by."""
    few, whole = bench.spark.stage(subject, "few"), bench.spark.stage(subject, lake)
    bench.rate(t.STAGE, subject.name, whole.report.rows_in, whole.seconds)
    bench.rate(t.LONG, subject.name, whole.report.rows_in - few.report.rows_in, max(1e-9, whole.seconds - few.seconds))
    bench.seconds(t.STAGE, subject.name, "fixed cost, warm workers", few.seconds)
    bench.seconds(t.STAGE, subject.name, "fixed cost, warm workers, within a run", few.report.seconds)
    _steps(bench, subject, lake, whole)


def _steps(bench: Bench, subject: Subject, lake: str, run: StageRun) -> None:
    """Where a stage's seconds went, by the clock: what workers did is divided by their number."""
    read = bench.spark.read_seconds(lake)
    workers = {
        step: run.report.counters[f"worker_{name}_ms"] / 1000 / CORES
        for step, name in (("decode", "decode"), ("network", "network"), ("faces", "face"))
    }
    around = run.seconds - run.report.seconds
    steps = {**read, **workers, "write": run.write_seconds, "lock": around}
    steps["rest"] = run.seconds - sum(steps.values())
    for step, seconds in steps.items():
        bench.seconds(t.STAGE, subject.name, f"step: {step}", seconds)
    share = (steps["read"] + steps["write"]) / run.seconds
    bench.rows.add(t.STAGE, subject.name, "share of reading and writing", "1", share)


def recipe(bench: Bench, subject: Subject) -> None:
    """(d) the usual recipe."""
    n = bench.sizes.slow
    bench.rate(t.RECIPE, subject.name, n, bench.spark.recipe(subject, n))


def batch_udf(bench: Bench, subject: Subject, n: int) -> None:
    """(e) `predict_batch_udf` with our decode and runtime."""
    bench.rate(t.BATCH_UDF, subject.name, n, bench.spark.batch_udf(subject, n))


def own_udf(bench: Bench, subject: Subject, n: int) -> None:
    """Our pandas UDF."""
    bench.rate(t.EMBED_UDF, subject.name, n, bench.spark.own_udf(subject, n))


def add_parts(rows: Rows) -> None:
    """The rate of ResNet-50 and of the face search one after the other, as if the picture were decoded once for both:
    the seconds of both alone, where ResNet-50's hold the decoding."""
    network = rows.values(t.STANDALONE, RESNET.name, RATE)
    detector = rows.values(t.FACES_FP32, t.FACES_ALONE, RATE)
    for one, other in zip(network, detector, strict=True):
        rows.add(t.TOGETHER, RESNET_FACES.name, RATE, "images/s", 1 / (1 / one + 1 / other))


def memory(bench: Bench) -> None:
    """The most memory that a new worker ever has, for fewer and for many pictures, and what a stage with new workers
    takes for few."""
    peaks = {}
    for lake, name in (("few", ""), ("some", "fewer"), ("many", "many")):
        bench.spark.fresh_workers()
        run = bench.spark.stage(LITE, lake, warm=False)
        if lake == "few":
            bench.seconds(t.STAGE, LITE.name, "fixed cost, new workers", run.seconds)
            continue
        peaks[name] = run.peak_bytes
        bench.rows.add(t.STAGE, LITE.name, f"worker memory, {name}", "GB", run.peak_bytes / GB)
        bench.rate(f"stage, new workers, {run.report.rows_in:,} pictures", LITE.name, run.report.rows_in, run.seconds)
    growth = peaks["many"] / peaks["fewer"]
    bench.rows.add(t.STAGE, LITE.name, "worker memory, many / fewer", "1", growth)
    bench.spark.fresh_workers()
    run = bench.spark.stage(RESNET_FACES, "some", warm=False)
    bench.rows.add(t.STAGE, RESNET_FACES.name, "worker memory, fewer", "GB", run.peak_bytes / GB)


def files(bench: Bench) -> None:
    """Ingest and stage together, from files."""
    spent = bench.spark.ingest_and_stage(LITE)
    bench.rate(t.FILES, LITE.name, bench.sizes.all, sum(spent.values()))
    for what, seconds in spent.items():
        bench.seconds(t.FILES, LITE.name, what, seconds)


# --- decode -----------------------------------------------------------------------------------------------------------


def margins(bench: Bench) -> None:
    """Decode margins: speed, and what they do to vectors and labels of the one network that has trained weights."""
    subject = Subject(f"{LITE.name} fp32", LITE.network, precision="fp32")
    spec, pictures = bench.spark.spec(subject), bench.photographs.files(bench.sizes.slow * 2)
    see(spec, 0, pictures[: spec.batch_size])  # what only the first pictures of a process pay
    seen = {name: see(spec, margin, pictures) for name, margin in MARGINS.items()}
    for name, some in seen.items():
        case = f"decode margin {name}"
        bench.rate(case, subject.name, len(some.seconds), sum(some.seconds))
        bench.rows.add_all(case, subject.name, "decode and crop", "ms", [second * 1000 for second in some.seconds])
        cosines = some.cosines(seen["full"])
        bench.rows.add_all(case, subject.name, "cosine to full", "1", cosines.tolist())
        bench.rows.add(case, subject.name, "mean cosine to full", "1", float(cosines.mean()))
        bench.rows.add(case, subject.name, "top-1 agreement", "share", some.agreement(seen["full"]))
