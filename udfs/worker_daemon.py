"""What forks Spark's Python workers, with what they all need loaded before (`spark.python.daemon.module`).

Spark ends a worker that has had nothing to do for a minute, and the next one loads all modules anew: seconds for torch.
Forked from here it has them at once, and shares their memory with the others. Nothing computes here: no threads and no
pools are carried over a fork. Runs on executors.
"""

from __future__ import annotations

import gc

import numpy  # noqa: F401
import pandas  # noqa: F401
import pyarrow  # noqa: F401
import torch  # noqa: F401
from pyspark.daemon import manager

if __name__ == "__main__":
    gc.freeze()
    manager()  # type: ignore[no-untyped-call]
