"""How this process's C library keeps memory. Runs on executors."""

from __future__ import annotations

import ctypes
import functools
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h
_MIB = 2**20


@functools.cache
def keep_freed_memory() -> bool:
    """Keep freed blocks of up to 32 MiB for the next picture instead of giving them back to the system, which would
    hand them out again page by page; larger blocks are still given back at once. Once a process.

    Returns:
        Whether the C library is one that can be told so (glibc).
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_THRESHOLD, 32 * _MIB), (_TRIM_THRESHOLD, 256 * _MIB), (_TOP_PAD, 16 * _MIB))
    done = [mallopt(option, value) for option, value in settings]
    return done == [1, 1, 1]
