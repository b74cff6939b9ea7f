"""What every step of set-up shares: where things are, how it speaks, how it fails."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON = (3, 11)


class SetupError(Exception):
    """Set-up can't go on. The message is for a person: what is wrong, where, what to do."""


@dataclass(frozen=True)
class Places:
    """Where set-up reads and writes; all below the checkout."""

    checkout: Path

    @property
    def venv(self) -> Path:
        return self.checkout / ".venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        return self.venv / "lib" / f"python{PYTHON[0]}.{PYTHON[1]}" / "site-packages"

    @property
    def spark_home(self) -> Path:
        return self.site_packages / "pyspark"

    @property
    def java_home(self) -> Path:
        """A JAVA_HOME of our own: a link to the machine's Java, or a folder around a packaged runtime."""
        return self.venv / "java"

    @property
    def jars(self) -> Path:
        return self.checkout / "jars"

    @property
    def requirements(self) -> Path:
        return self.checkout / "requirements"

    @property
    def scratch(self) -> Path:
        """Logs, the resolver's cache, the lock: may be deleted at any time."""
        return self.checkout / ".setup"

    @property
    def stamp(self) -> Path:
        return self.venv / "profilelake-setup.json"


def say(message: str) -> None:
    print(f"set-up: {message}", file=sys.stderr, flush=True)


def digest(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, text: str, executable: bool = False) -> None:
    """The old content or the new one, never half of it, whenever the process is killed."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.write_text(text, encoding="utf-8")
    if executable:
        fresh.chmod(0o755)
    os.replace(fresh, path)


def link(target: Path, path: Path) -> None:
    """Make `path` a symbolic link to `target`, whatever was there before."""
    if path.is_symlink() and Path(os.readlink(path)) == target:
        return
    remove(path)
    path.symlink_to(target)


def remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def run_logged(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> int:
    """Run with all output in `log`; returns the exit status."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env
        ).returncode


def tail(log: Path, lines: int = 15) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line[:200]}" for line in text[-lines:])
