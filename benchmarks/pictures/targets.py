"""Which ratios are formed of the measured rates, and what they and other rows must be on two cores with bf16."""

from __future__ import annotations

from benchmarks.rows import RATE, RATIO, Rows, Target

NETWORK = "network alone"
STANDALONE = "standalone loop"
STAGE = "stage"
# The stage's rate once its fixed cost is taken off: what a long run comes to.
LONG = "stage, fixed cost off"
RECIPE = "usual recipe"
BATCH_UDF = "predict_batch_udf"
EMBED_UDF = "embed_udf"
DAFT_TORCH = "Daft, torch"
DAFT_OURS = "Daft, our code inside"
FILES = "files to vectors"
FACES_FP32 = "our faces, fp32"
FACES_BF16 = "our faces, bf16"
FACENET = "facenet-pytorch"
TOGETHER = "parts, one after the other"

FACES_ALONE = "faces, 320 px"

_OTHERS = (STANDALONE, RECIPE, BATCH_UDF, EMBED_UDF, DAFT_TORCH, DAFT_OURS)


def add_ratios(rows: Rows) -> None:
    """Every ratio that a target names, and the same for what else was measured, of rates that are rows."""
    for subject in ("resnet50", "lite0", "lite0 + faces", "resnet50 + faces"):
        for ours in (STAGE, LONG):
            for other in _OTHERS:
                rows.add_ratio((ours, subject), (other, subject))
        rows.add_ratio((STANDALONE, subject), (NETWORK, subject))
    for ours in (STAGE, LONG):
        rows.add_ratio((ours, "resnet50 fp32"), (RECIPE, "resnet50"))
        rows.add_ratio((ours, "resnet50 + faces"), (TOGETHER, "resnet50 + faces"))
    for detector in (FACES_FP32, FACES_BF16):
        rows.add_ratio((detector, FACES_ALONE), (FACENET, FACES_ALONE))


def _at_least(what: str, other: str, subject: str, limit: float, over: str | None = None) -> list[Target]:
    """A target on the stage's rate against another's, for the whole stage and with its fixed cost off."""
    return [
        Target(f"{what}{note}", f"{ours} / {other}", over or subject, RATIO, limit)
        for ours, note in ((STAGE, ""), (LONG, ", fixed cost off"))
    ]


TARGETS = (
    *_at_least("resnet50: stage / standalone", STANDALONE, "resnet50", 0.95),
    *_at_least("lite0: stage / standalone", STANDALONE, "lite0", 0.80),
    *_at_least("resnet50: stage / usual recipe", RECIPE, "resnet50", 4.5),
    *_at_least("lite0: stage / usual recipe", RECIPE, "lite0", 6.0),
    *_at_least("resnet50 in fp32: stage / usual recipe", RECIPE, "resnet50 fp32 / resnet50", 2.3),
    *_at_least("resnet50: stage / Daft with torch", DAFT_TORCH, "resnet50", 4.0),
    *_at_least("lite0: stage / Daft with torch", DAFT_TORCH, "lite0", 4.0),
    *_at_least("resnet50: stage / Daft with our code", DAFT_OURS, "resnet50", 0.97),
    *_at_least("lite0: stage / Daft with our code", DAFT_OURS, "lite0", 0.85),
    Target("lite0 + faces: stage, images/s", STAGE, "lite0 + faces", RATE, 85),
    Target("faces alone, fp32, images/s", FACES_FP32, FACES_ALONE, RATE, 90),
    Target("faces alone, fp32: share of facenet-pytorch's faces", FACES_FP32, FACES_ALONE, "faces found", 1.0),
    Target("faces alone, bf16, images/s", FACES_BF16, FACES_ALONE, RATE, 120),
    *_at_least("resnet50 + faces: stage / its parts", TOGETHER, "resnet50 + faces", 0.85),
    Target(
        "resnet50: Delta's share of the stage", STAGE, "resnet50", "share of reading and writing", 0.05, above=False
    ),
    Target("worker memory, 1,000 pictures, GB", STAGE, "lite0", "worker memory, fewer", 1.5, above=False),
    Target("worker memory, 10,000 pictures, GB", STAGE, "lite0", "worker memory, many", 1.5, above=False),
    Target("worker memory, 10,000 / 1,000 pictures", STAGE, "lite0", "worker memory, many / fewer", 1.1, above=False),
    Target("worker memory, resnet50 + faces, GB", STAGE, "resnet50 + faces", "worker memory, fewer", 1.5, above=False),
    Target("fixed cost, warm workers, s", STAGE, "lite0", "fixed cost, warm workers", 6.0, above=False),
    Target("fixed cost, new workers, s", STAGE, "lite0", "fixed cost, new workers", 6.0, above=False),
    Target("decode margin 1: mean cosine", "decode margin 1", "lite0 fp32", "mean cosine to full", 0.995),
    Target("decode margin 1: labels that agree", "decode margin 1", "lite0 fp32", "top-1 agreement", 0.97),
)
