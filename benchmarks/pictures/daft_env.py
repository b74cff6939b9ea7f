"""The environment that Daft runs in: Daft and the newer pyarrow that it needs, locked with hashes.

All else, torch and OpenVINO first, comes from the checkout's own environment, which stands behind it on the path: so
both run the same networks in the same versions, and nothing large is installed twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.pictures.peers import ROOT

LOCK = ROOT / "requirements" / "bench-daft.txt"
FOLDER = ROOT / "benchmarks" / ".daft"
# Seconds that a query may take: now and then one hangs when its processes end, or crashes.
_LIMIT = 60
_TRIES = 2
# Daft reports its use unless it is told not to.
_ENVIRON = {"DAFT_ANALYTICS_ENABLED": "0", "DO_NOT_TRACK": "true", "DAFT_PROGRESS_BAR": "0"}


def daft_python() -> Path:
    """The environment's interpreter; the environment is made where it is missing or its lock has changed.

    Raises:
        subprocess.CalledProcessError: pip cannot install it; what it said is on standard error.
    """
    python = FOLDER / "bin" / "python"
    mark = FOLDER / "lock.sha256"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if mark.is_file() and mark.read_text(encoding="utf-8") == digest:
        return python
    venv.create(FOLDER, clear=True, with_pip=False, symlinks=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--require-hashes", "--requirement", LOCK],
        check=True, stdout=sys.stderr,
    )  # fmt: skip
    own = FOLDER / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (own / "checkout.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    mark.write_text(digest, encoding="utf-8")
    return python


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
