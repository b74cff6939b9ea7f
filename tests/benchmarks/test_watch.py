"""What benchmarks look at while something runs."""

from __future__ import annotations

import threading

from benchmarks.watch import watched


def test_the_most_of_each_number_is_kept_also_of_what_ends_before_the_second_look() -> None:
    seen, looked = iter([{"a": 1, "b": 9}, {"a": 5, "b": 2}, {"a": 3, "b": 3}]), threading.Event()

    def look() -> dict[str, int]:
        found = next(seen, None)
        if found is None:
            looked.set()
        return found or {"a": 0, "b": 0}

    with watched(look, 0.001) as most:
        assert looked.wait(30)
    assert most == {"a": 5, "b": 9}
    with watched(lambda: {"a": 7}, 3600) as most:
        pass
    assert most == {"a": 7}
