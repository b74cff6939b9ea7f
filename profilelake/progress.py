"""A progress line a stage: rewritten in place on a terminal, now and then a plain line in a log."""

from __future__ import annotations

import logging
import sys
import time

log = logging.getLogger("profilelake.progress")

_TERMINAL_EVERY = 0.5  # seconds
_LOG_EVERY = 15.0


class Progress:
    """Counts done of `total` units and says rate and time left."""

    def __init__(self, stage: str, total: int, unit: str) -> None:
        self._stage, self._total, self._unit = stage, total, unit
        self._done = 0
        self._started = self._said = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def advance(self, units: int) -> None:
        """Say that `units` more are done."""
        self._done += units
        now = time.monotonic()
        if now - self._said >= (_TERMINAL_EVERY if self._terminal else _LOG_EVERY) or self._done >= self._total:
            self._said = now
            self._say(now - self._started)

    def _say(self, seconds: float) -> None:
        rate = self._done / seconds if seconds else 0.0
        left = (self._total - self._done) / rate if rate else 0.0
        text = f"{self._stage}: {self._done:,} of {self._total:,} {self._unit}, {rate:.1f}/s, {_clock(left)} left"
        if self._terminal:
            sys.stderr.write("\r\x1b[2K" + text + ("\n" if self._done >= self._total else ""))
            sys.stderr.flush()
        else:
            log.info(text)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
