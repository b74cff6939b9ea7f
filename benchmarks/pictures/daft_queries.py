"""Queries of Daft's, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.overlay import ROOT

# Seconds that a query may take: now and then one hangs when its processes end, or crashes.
_LIMIT = 60
_TRIES = 2
# Daft reports its use unless it is told not to.
_ENVIRON = {"DAFT_ANALYTICS_ENABLED": "0", "DO_NOT_TRACK": "true", "DAFT_PROGRESS_BAR": "0"}


class DaftError(Exception):
    """A query of Daft's gave no answer, `_TRIES` times."""


def query(python: Path, request: Mapping[str, Any]) -> float:
    """Seconds of a query (`daft_peer.run`) in a new process.

    Raises:
        DaftError: it crashed or hung every time.
    """
    for _ in range(_TRIES):
        with tempfile.TemporaryDirectory(prefix="bench-daft-") as folder:
            answer = Path(folder) / "answer.json"
            status = _run([str(python), "-m", "benchmarks.pictures.daft_peer", json.dumps(request), str(answer)])
            if answer.exists():
                return float(json.loads(answer.read_text(encoding="utf-8"))["seconds"])
        print(f"a query of Daft's gave no answer ({status})", file=sys.stderr)
    raise DaftError(f"Daft gave no answer in {_TRIES} tries: {status}")


def _run(command: list[str]) -> str:
    """Run a command; how it ended. When it takes too long it is ended with all that it has started."""
    environ = {**os.environ, **_ENVIRON, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )
    try:
        return f"status {process.wait(_LIMIT)}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"nothing for {_LIMIT} s"
