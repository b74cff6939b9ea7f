"""Processes that measure beside the driver: a line of JSON asks, a line of JSON answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.overlay import ROOT


class PeerError(Exception):
    """A peer process ended instead of answering."""


class Peers:
    """Some processes of one module that work at the same time; each stays warm from one request to the next.

    Args:
        python: the interpreter, of this or of another environment.
        module: what it runs; it ends in `serve`.
        n: processes.
        environ: set for them, beside this process's own.
    """

    def __init__(self, python: Path, module: str, n: int, environ: Mapping[str, str] | None = None) -> None:
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})}
        self._processes = [
            subprocess.Popen(
                [str(python), "-m", module],
                cwd=ROOT,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(n)
        ]

    def __enter__(self) -> Peers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.communicate("")  # the end of its input ends it

    def ask(self, case: str, requests: Sequence[Mapping[str, Any]]) -> tuple[float, list[dict[str, Any]]]:
        """Send each process its request, all at once.

        Returns:
            (seconds until the last had answered, the answers).

        Raises:
            PeerError: a process ended; what it had to say is on standard error.
        """
        began = time.perf_counter()
        for process, request in zip(self._processes, requests, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps({"case": case, **request}) + "\n")
            process.stdin.flush()
        answers = [self._answer(process, case) for process in self._processes]
        return time.perf_counter() - began, answers

    @staticmethod
    def _answer(process: subprocess.Popen[str], case: str) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise PeerError(f"a process that measures {case} ended with status {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def serve(cases: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]) -> None:
    """Answer requests until standard input ends. What a case prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(cases[request["case"]](request)) + "\n")
        answers.flush()
