"""Environments of benchmarks: a few locked packages that the checkout must not have, with its own behind them.

All else, torch first, comes from the checkout's environment, which stands behind on the path: so both sides of a
comparison run the same versions, and nothing large is installed twice.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def overlay_python(name: str) -> Path:
    """The interpreter of benchmarks/.<name>, which is made of requirements/bench-<name>.txt where it is missing or the
    lock has changed.

    Raises:
        subprocess.CalledProcessError: pip cannot install it; what it said is on standard error.
    """
    lock, folder = ROOT / "requirements" / f"bench-{name}.txt", ROOT / "benchmarks" / f".{name}"
    python, mark = folder / "bin" / "python", folder / "lock.sha256"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if mark.is_file() and mark.read_text(encoding="utf-8") == digest:
        return python
    venv.create(folder, clear=True, with_pip=False, symlinks=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--require-hashes", "--requirement", lock],
        check=True, stdout=sys.stderr,
    )  # fmt: skip
    own = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (own / "checkout.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    mark.write_text(digest, encoding="utf-8")
    return python


def overlay_or_none(name: str, what: str) -> Path | None:
    """The interpreter, or None, said, where its environment cannot be made."""
    try:
        return overlay_python(name)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{what} is left out, since its environment cannot be made: {error}", file=sys.stderr)
        return None
