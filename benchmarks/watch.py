"""What is looked at while something runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def watched(look: Callable[[], Mapping[str, int]], every: float) -> Iterator[dict[str, int]]:
    """The most of each number that `look` finds: at first, and every so many seconds on a thread of its own."""
    most, done = dict(look()), threading.Event()

    def watch() -> None:
        while not done.wait(every):
            for name, value in look().items():
                most[name] = max(most[name], value)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()
