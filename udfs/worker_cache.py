"""Models that a Python worker keeps between tasks. Runs on executors.

The shape is pyspark.ml.model_cache's: one bounded, least-recently-used cache a process, filled by whoever asks first.
It holds for as long as Spark reuses the worker (`spark.python.worker.reuse`, on by default), and only where this module
is imported by name, never pickled by value.
"""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

Model = TypeVar("Model")

# A pass is one entry with all its networks; the second is for a worker that serves two passes in turn.
CAPACITY = 2

_models: OrderedDict[Hashable, object] = OrderedDict()
_loads = 0
# Held while a model loads, so that two threads of a worker never load the same one twice.
_lock = threading.RLock()


def get(key: Hashable, load: Callable[[], Model]) -> Model:
    """What `load` made for this key in this worker; it is called at the first use and after an eviction.

    Args:
        key: all that tells one model from another: the loader, weights, device, settings.
        load: its exceptions pass through and leave the cache as it was.
    """
    global _loads
    with _lock:
        if key not in _models:
            _loads += 1
            _models[key] = load()
            while len(_models) > CAPACITY:
                _models.popitem(last=False)
                gc.unfreeze()  # what went may lie in cycles
                gc.collect()
            gc.freeze()  # what stays needs no look after every task (see `worker_start`)
        _models.move_to_end(key)
        return _models[key]  # type: ignore[return-value]  # a key is of one loader, which made it


def load_count() -> int:
    """How many times this process has called a loader since it began, or since `clear`."""
    return _loads


def clear() -> None:
    """Forget every model and the count."""
    global _loads
    with _lock:
        _models.clear()
        _loads = 0
