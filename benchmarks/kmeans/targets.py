"""What the rows must be, on two cores with bf16."""

from __future__ import annotations

from benchmarks.kmeans.sizes import Sizes
from benchmarks.rows import Target

SECONDS = "seconds"
RATIO = "ratio of seconds"
SWEEP = "sweep"
SINGLE = "one fit"

OURS = "ours"
OURS_FP32 = "ours, fp32"
ALONE = "ours, one process without Spark"
ML = "pyspark.ml"
SKLEARN = "scikit-learn"
FAISS = "faiss"

GROWTH = "time of many rows / of a quarter of them, start-up off"
DRIVER = "memory of the driver, many rows / few"
WORKERS = "memory of workers / vectors, many rows"
INERTIA = "inertia of the chosen k / scikit-learn's best of ten"


def targets(sizes: Sizes) -> tuple[Target, ...]:
    """Every target. sizes: name the subjects."""
    wide = f"{SINGLE}, {sizes.rows:,} x {sizes.widths[1]:,}"
    many = f"{SINGLE}, {sizes.many:,} x {sizes.widths[0]:,}"
    return (
        Target("sweep: pyspark.ml / ours", f"{ML} / {OURS}", SWEEP, RATIO, 60),
        Target("sweep: scikit-learn / ours", f"{SKLEARN} / {OURS}", SWEEP, RATIO, 6),
        Target("sweep: scikit-learn / ours in fp32", f"{SKLEARN} / {OURS_FP32}", SWEEP, RATIO, 3),
        Target("a pass: one process / Spark", f"{ALONE} / {OURS}", "a pass", RATIO, 0.85),
        Target("one fit, wide: pyspark.ml / ours", f"{ML} / {OURS}", wide, RATIO, 15),
        Target("one fit, many rows: ours / scikit-learn", f"{OURS} / {SKLEARN}", many, RATIO, 1.5, above=False),
        Target("four times the rows, start-up off: time", OURS, SWEEP, GROWTH, 4.4, above=False),
        Target("chosen k: inertia / scikit-learn n_init=10", OURS, SWEEP, INERTIA, 1.02, above=False),
        Target("driver memory, sixteen times the rows", OURS, SWEEP, DRIVER, 1.1, above=False),
        Target("workers' memory / vectors", OURS, SWEEP, WORKERS, 1.5, above=False),
    )
