"""The cache of a worker: one load a key, bounded, and none left behind by a loader that failed."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator

import pytest

from udfs import worker_cache


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    worker_cache.clear()
    yield
    worker_cache.clear()


def test_a_key_loads_once() -> None:
    first = worker_cache.get("a", lambda: object())
    assert worker_cache.get("a", lambda: object()) is first
    assert worker_cache.load_count() == 1


def test_the_least_recently_used_goes() -> None:
    made = {key: worker_cache.get(key, lambda: object()) for key in range(worker_cache.CAPACITY)}
    assert worker_cache.get(0, lambda: object()) is made[0]
    worker_cache.get("new", lambda: object())
    assert worker_cache.get(0, lambda: object()) is made[0]
    assert worker_cache.get(1, lambda: object()) is not made[1]
    assert worker_cache.load_count() == worker_cache.CAPACITY + 2


def test_a_failed_load_is_tried_again() -> None:
    def fails() -> object:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        worker_cache.get("a", fails)
    assert worker_cache.get("a", lambda: "model") == "model"
    assert worker_cache.load_count() == 2


def test_threads_that_ask_together_load_once() -> None:
    gate = threading.Barrier(8)
    got: list[object] = []

    def ask() -> None:
        gate.wait()
        got.append(worker_cache.get("a", lambda: object()))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worker_cache.load_count() == 1
    assert len(set(map(id, got))) == 1


class Cyclic:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_forgotten_is_freed_though_it_lies_in_a_cycle() -> None:
    went = weakref.ref(worker_cache.get("first", Cyclic))
    for key in range(worker_cache.CAPACITY):
        worker_cache.get(key, lambda: object())
    assert went() is None
