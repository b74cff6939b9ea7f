"""Make the lock files: `make lock`, or `make lock UPGRADE=1` for the newest versions that the .in files allow.

Without UPGRADE the versions of the present lock stay wherever they still fit, so that a new requirement changes only
what it has to. The resolver (uv) is installed at a pinned version with hashes into an environment of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.bootstrap.common import Places, SetupError, say, write_atomically
from tools.bootstrap.packages import requirement_names

# Reports use to its maker's servers; what needs it works without.
EXCLUDED = ("openvino-telemetry",)
HEADER = "# Made by `make lock` from {sources}; don't edit. Installed with --no-deps (docs/stack.md).\n"


def resolver(places: Places) -> Path:
    """The pinned uv, installed if it is not there."""
    folder = places.scratch / "lock-venv"
    program = folder / "bin" / "uv"
    places.scratch.mkdir(exist_ok=True)
    try:
        if not (folder / "bin" / "pip").is_file():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--require-hashes", "--requirement", places.requirements / "lock-tool.txt"],
            check=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise SetupError("the resolver uv could not be installed; pip says why above.") from error
    return program


def tidy(compiled: str) -> str:
    """Drop the marker that only repeats which platforms the lock is for; what is narrower stays.

    Packages for every supported platform all carry one and the same marker, and set-up refuses other platforms.
    """
    markers = re.findall(r"^[\w.-]+==\S+ ; (.*) \\$", compiled, re.MULTILINE)
    everywhere = max(set(markers), key=markers.count) if markers else ""
    if "linux" in everywhere and "darwin" in everywhere:
        compiled = compiled.replace(f" ; {everywhere} \\", " \\")
    return compiled.replace(" ; python_full_version < '3.12' and ", " ; ")


def compile_lock(places: Places, uv: Path, sources: Sequence[str], lock: str, upgrade: bool) -> None:
    path = places.requirements / lock
    draft = places.scratch / lock
    # What uv finds in its output file it keeps.
    draft.write_text("" if upgrade or not path.is_file() else path.read_text(encoding="utf-8"), encoding="utf-8")
    command: list[str | Path] = [
        uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header",
        "--no-annotate", *(f"--no-emit-package={name}" for name in EXCLUDED),
        "--override", "requirements/overrides.txt", *(f"requirements/{name}" for name in sources),
        "--output-file", draft,
    ]  # fmt: skip
    env = dict(os.environ)
    # One setting of the package index is enough for both tools.
    if env.get("PIP_INDEX_URL"):
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    if subprocess.run(command, cwd=places.checkout, env=env).returncode != 0:
        raise SetupError(
            f"requirements/{lock} can't be made from {' and '.join(sources)}; the resolver says why above."
        )
    compiled = tidy(draft.read_text(encoding="utf-8"))
    write_atomically(path, HEADER.format(sources=" and ".join(sources)) + compiled)
    draft.unlink()
    say(f"requirements/{lock}: {len(requirement_names(compiled))} packages.")


def main() -> int:
    places = Places(Path(__file__).resolve().parents[1])
    upgrade = bool(os.environ.get("UPGRADE"))
    try:
        uv = resolver(places)
        compile_lock(places, uv, ["runtime.in", "dev.in"], "lock.txt", upgrade)
        compile_lock(places, uv, ["java.in"], "java.txt", upgrade)
    except SetupError as error:
        say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
