from __future__ import annotations

import errno
import signal
import threading
from typing import Any

import pytest
from py4j.protocol import Py4JNetworkError
from pyspark.errors import PySparkException

from profilelake import failures
from profilelake.errors import ProfilelakeError


class Java:
    """An exception of the JVM as py4j shows it."""

    def __init__(self, text: str, cause: Any = None) -> None:
        self._text, self._cause = text, cause

    def toString(self) -> str:
        return self._text

    def getCause(self) -> Any:
        return self._cause


def of_java(*texts: str) -> PySparkException:
    java = None
    for text in reversed(texts):
        java = Java(text, java)
    error = PySparkException("[TASK_WRITE_FAILED] Task failed while writing rows.")
    error._origin = java  # type: ignore[attr-defined]
    return error


def chained(outer: BaseException, inner: BaseException, explicit: bool) -> BaseException:
    """As `raise outer from inner` and as `raise outer` while inner is handled leave it."""
    if explicit:
        outer.__cause__ = inner
    else:
        outer.__context__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "voll"), True),
        (OSError(errno.EDQUOT, "voll"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (chained(ProfilelakeError("cannot write"), OSError(errno.ENOSPC, "voll"), explicit=True), True),
        (chained(ValueError("later"), OSError(errno.ENOSPC, "voll"), explicit=False), True),
        (of_java("SparkException: Task failed", "java.io.IOException: No space left on device"), True),
        (of_java("SparkException: Task failed", "java.io.IOException: Disk quota exceeded"), True),
        (of_java("SparkException: Task failed", "java.io.IOException: Permission denied"), False),
        (RuntimeError("it broke"), False),
    ],
)
def test_a_full_disk_is_found_wherever_the_chain_says_it(error: BaseException, full: bool) -> None:
    assert failures.is_full(error) is full


def test_causes_in_a_circle_end() -> None:
    java = Java("a")
    java._cause = java
    error = PySparkException("x")
    error._origin = java  # type: ignore[attr-defined]
    error.__cause__ = error
    assert not failures.is_full(error)


def test_a_gateway_that_is_gone_hides_nothing_but_its_own_part() -> None:
    class Gone(Java):
        def toString(self) -> str:
            raise Py4JNetworkError("Answer from Java side is empty")

    error = PySparkException("x")
    error._origin = Java("outer", Gone("inner"))  # type: ignore[attr-defined]
    assert failures.java_causes(error) == ["outer"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "ValueError: one"),
        (ProfilelakeError("a sentence"), "a sentence"),
        (
            PySparkException(
                "An exception was thrown from the Python worker. Please see the stack trace below.\n"
                'Traceback (most recent call last):\n  File "x.py", line 3, in f\n    raise KeyError\n'
                "KeyError: 'embedding'\n\nJVM stacktrace:\norg.apache.spark.api.python.PythonException\n\tat f(x)"
            ),
            "KeyError: 'embedding'",
        ),
        (PySparkException(""), "PySparkException: "),
        (chained(ValueError("a broken connection"), KeyboardInterrupt(), explicit=False), "interrupted"),
    ],
)
def test_an_error_in_one_line(error: BaseException, line: str) -> None:
    assert failures.one_line(error) == line


def test_the_innermost_cause_is_the_reason() -> None:
    assert failures.innermost(of_java("outer", "java.nio.file.AccessDeniedException: lake\nat x")) == (
        "AccessDeniedException: lake"
    )
    assert failures.innermost(of_java("a.b.MkdirsFailedException: it cannot be made")) == "it cannot be made"
    assert failures.innermost(of_java("java.lang.StackOverflowError")) == "StackOverflowError"
    assert failures.innermost(ValueError("plain")) == "ValueError: plain"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (
            of_java("SparkException: x", "com.fasterxml.jackson.core.JsonParseException: Unexpected character ('{')"),
            True,
        ),
        (
            of_java(
                "org.apache.spark.SparkException: y", "java.io.FileNotFoundException: File a.parquet does not exist"
            ),
            True,
        ),
        (of_java("org.apache.spark.sql.delta.DeltaIllegalStateException: the log is gone"), True),
        (of_java("org.apache.spark.SparkException: a task failed", "java.lang.NullPointerException"), False),
        (ValueError("no table has to do with it"), False),
    ],
)
def test_faults_of_the_tables_files_are_known(error: BaseException, fault: bool) -> None:
    said = failures.storage_fault(error)
    assert (said is not None) is fault
    assert said is None or "Exception" not in said


def test_ctrl_c_is_remembered_and_still_does_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_interrupted", threading.Event())
    caught = []
    before = signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    try:
        failures.remember_interrupts()
        failures.remember_interrupts()
        assert not failures.is_interrupt(RuntimeError("the connection ended"))
        signal.raise_signal(signal.SIGINT)
        assert caught == [signal.SIGINT]
        assert failures.is_interrupt(RuntimeError("the connection ended"))
    finally:
        signal.signal(signal.SIGINT, before)
