"""What went wrong, read from exceptions that Python and the JVM chain: in one line, and whether a disk was full, the
tables' files are at fault, or somebody pressed Ctrl-C."""

from __future__ import annotations

import errno
import re
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from py4j.protocol import Py4JError

from profilelake.errors import ProfilelakeError

_DEEPEST = 50  # causes; a chain that is longer runs in a circle
_PYTHON_ERROR = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt|Warning)\b.*", re.MULTILINE)

# What the JVM says of tables whose files are missing, damaged or out of reach.
_STORAGE = re.compile(
    r"^(?:java\.io\.|java\.nio\.file\.|org\.apache\.hadoop\.|org\.apache\.parquet\.|org\.apache\.spark\.sql\.delta\."
    r"|com\.fasterxml\.jackson\.|org\.apache\.spark\.SparkFileNotFoundException)"
)
_JAVA_CLASS = re.compile(r"^(?:[\w$]+\.)+[\w$]+(?:Exception|Error|Throwable)\b:?\s*")
_interrupted = threading.Event()


def remember_interrupts() -> None:
    """Keep in mind when Ctrl-C is pressed: the JVM gets it too, and what Python then sees is a connection that ended.

    Call it after a session has started, whose own handler goes on doing what it does.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.getsignal(signal.SIGINT)
    if getattr(before, "remembers", False) or not callable(before):
        return

    def handler(number: int, frame: FrameType | None) -> None:
        _interrupted.set()
        before(number, frame)

    handler.remembers = True  # type: ignore[attr-defined]
    signal.signal(signal.SIGINT, handler)


def is_interrupt(error: BaseException) -> bool:
    """Whether somebody pressed Ctrl-C."""
    return _interrupted.is_set() or any(isinstance(link, KeyboardInterrupt) for link in causes(error))


def storage_fault(error: BaseException) -> str | None:
    """What the file system, Delta or Parquet says against the tables' files, in one line; None for other failures."""
    for link in causes(error):
        for text in reversed(java_causes(link)):
            if _STORAGE.match(text):
                return _without_class(text)
    return None


def java_causes(error: BaseException) -> list[str]:
    """The JVM's exceptions behind one of Python, outermost first; empty where there is none, or no JVM any more."""
    java: Any = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    texts: list[str] = []
    try:
        while java is not None and len(texts) < _DEEPEST:
            texts.append(str(java.toString()))
            java = java.getCause()
    except (Py4JError, OSError, AttributeError):
        return texts  # what could still be read; the gateway is gone or this is no object of the JVM
    return texts


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it was raised from, or during, outermost first."""
    link: BaseException | None = error
    for _ in range(_DEEPEST):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def is_full(error: BaseException) -> bool:
    """Whether a file system had no space left, wherever in the chain of causes it says so."""
    for link in causes(error):
        if isinstance(link, OSError) and link.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        for text in (str(link), *java_causes(link)):
            if "No space left on device" in text or "Disk quota exceeded" in text:
                return True
    return False


def one_line(error: BaseException) -> str:
    """An error as one line; of an error in Python on an executor the line that names it."""
    text = str(error).strip()
    first = text.split("\n", 1)[0]
    if isinstance(error, ProfilelakeError):
        return first
    if is_interrupt(error):
        return "interrupted"
    if "Traceback (most recent call last)" in text:
        python = text.split("Traceback (most recent call last)", 1)[1].split("\nJVM stacktrace:", 1)[0]
        named = _PYTHON_ERROR.findall(python)
        if named:
            return str(named[-1]).strip()
    return f"{type(error).__name__}: {first}" if not isinstance(error, Py4JError) else innermost(error)


def innermost(error: BaseException) -> str:
    """The innermost cause that the JVM names, in one line; without one the error itself."""
    java = java_causes(error)
    if not java:
        return f"{type(error).__name__}: {error}".strip().split("\n", 1)[0]
    return _without_class(java[-1])


def _without_class(text: str) -> str:
    """An exception of the JVM in one line, without its class unless it says nothing else."""
    line = text.strip().split("\n", 1)[0]
    said = _JAVA_CLASS.sub("", line, count=1).strip()
    # "java.io.FileNotFoundException: /a/b" and the like need the name of what happened.
    if " " in said:
        return said
    name = line.split(":", 1)[0].rsplit(".", 1)[-1]
    return f"{name}: {said}" if said else name
