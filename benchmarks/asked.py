"""One measurement in a process of its own: `python -m <module> <request.json> <answer.json>`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.overlay import ROOT

Request = Mapping[str, Any]
Answer = dict[str, Any]

_LIMIT = 900  # seconds


class MeasureError(Exception):
    """A process that measures gave no answer."""


def ask(python: Path, module: str, request: Request) -> Answer:
    """What a process of its own measured. request: `case`, and what the case needs.

    Raises:
        MeasureError: it ended without an answer; the message has the end of what it said.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        asked, answer = Path(scratch) / "request.json", Path(scratch) / "answer.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        done = subprocess.run(
            [str(python), "-m", module, str(asked), str(answer)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_LIMIT,
        )  # fmt: skip
        if done.returncode or not answer.exists():
            raise MeasureError(f"{request['case']} ended with status {done.returncode}: {done.stderr[-2000:]}")
        found: Answer = json.loads(answer.read_text(encoding="utf-8"))
    return found


def answer_with(cases: Mapping[str, Callable[[Request], Answer]]) -> None:
    """Answer this process's request; the last lines of a module that `ask` is given."""
    request: Request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps(cases[request["case"]](request)), encoding="utf-8")
