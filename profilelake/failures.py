"""What went wrong, read from exceptions that Python and the JVM chain: in one line, and whether a disk was full."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from typing import Any

from py4j.protocol import Py4JError

from profilelake.errors import ProfilelakeError

_DEEPEST = 50  # causes; a chain that is longer runs in a circle
_PYTHON_ERROR = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt|Warning)\b.*", re.MULTILINE)


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
    if "Traceback (most recent call last)" in text:
        python = text.split("Traceback (most recent call last)", 1)[1].split("\nJVM stacktrace:", 1)[0]
        named = _PYTHON_ERROR.findall(python)
        if named:
            return str(named[-1]).strip()
    return f"{type(error).__name__}: {first}"


def innermost(error: BaseException) -> str:
    """The innermost cause that the JVM names, in one line; without one the error itself."""
    java = java_causes(error)
    text = java[-1] if java else f"{type(error).__name__}: {error}"
    return text.strip().split("\n", 1)[0]
