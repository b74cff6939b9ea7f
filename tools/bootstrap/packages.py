"""The virtual environment and the packages of the lock file."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

from tools.bootstrap.common import PYTHON, Places, SetupError, remove, run_logged, say, tail

# Where torch, pyarrow 14 and numpy 1.26 all have wheels for Python 3.11.
PLATFORMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}
GLIBC = (2, 28)
MACOS = (14,)
# What the lock takes when it is installed, and pip's downloads beside it for a moment.
FREE_BYTES = 10 * 1024**3


def check_platform(system: str, machine: str, libc: tuple[str, str], macos: str) -> None:
    """
    Args:
        libc: name and version of the C library, as platform.libc_ver() has them.
        macos: release of macOS, "" elsewhere.

    Raises:
        SetupError: the packages have no wheels for this platform.
    """
    if (system, machine) not in PLATFORMS:
        raise SetupError(
            f"{system} on {machine} is not supported: the packages exist for Linux on x86_64 and aarch64 and for "
            "macOS on arm64. On Windows use WSL 2; elsewhere a container, for example one of Debian 12."
        )
    if system == "Darwin" and _numbers(macos) < MACOS:
        raise SetupError(f"this is macOS {macos}, but PyTorch needs macOS {MACOS[0]} or newer: update it.")
    if system == "Linux":
        name, version = libc
        if name != "glibc" or _numbers(version) < GLIBC:
            raise SetupError(
                f"this Linux has {f'{name} {version}'.strip() or 'another C library than glibc'}, but PyTorch needs "
                f"glibc {GLIBC[0]}.{GLIBC[1]} or newer: use for example Debian 12, Ubuntu 20.04 or RHEL 8 or newer."
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def check_checkout(checkout: Path) -> None:
    """
    Raises:
        SetupError: Spark's and make's own scripts can't work in a folder of that name.
    """
    if re.search(r"[\s'\"$:;#%]", str(checkout)):
        raise SetupError(
            f"the checkout is in {str(checkout)!r}, but Spark's scripts and make cannot work below a folder whose name "
            "has spaces, quotes or any of $ : ; # %: move the checkout."
        )


def works(places: Places) -> bool:
    """Whether the environment is one: its interpreter runs, is a 3.11, has pip, and was made for this very place."""
    if not (places.venv / "pyvenv.cfg").is_file():
        return False
    code = "import sys, pip; print('%d.%d' % sys.version_info[:2]); print(sys.prefix != sys.base_prefix)"
    try:
        asked = subprocess.run([places.python, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError:
        return False
    if asked.returncode != 0 or asked.stdout.split() != [f"{PYTHON[0]}.{PYTHON[1]}", "True"]:
        return False
    # The programs of an environment name their interpreter: of one that was moved, they name the old place.
    pip = places.venv / "bin" / "pip"
    return pip.is_file() and f"{places.venv}/bin/python" in pip.read_text(encoding="utf-8", errors="replace")


def make_environment(places: Places) -> bool:
    """Make the virtual environment unless a working one is there; returns whether it was made."""
    if works(places):
        return False
    if places.venv.exists() or places.venv.is_symlink():
        say("the environment in .venv is unfinished, broken or was moved: it is made anew.")
        remove(places.venv)
    free = shutil.disk_usage(places.checkout).free
    if free < FREE_BYTES:
        raise SetupError(
            f"the disk of {places.checkout} has {free / 1024**3:.1f} GiB free, but the environment needs "
            f"{FREE_BYTES // 1024**3} GiB: make room, or move the checkout."
        )
    say("making the virtual environment .venv.")
    # Not the interpreter of an old environment, which may itself be what is broken.
    base = Path(getattr(sys, "_base_executable", sys.executable))
    if base.exists() and Path(sys.prefix) != Path(sys.base_prefix):
        made = subprocess.run([base, "-m", "venv", places.venv], capture_output=True, text=True)
        if made.returncode != 0:
            raise SetupError(f"the virtual environment can't be made: {(made.stderr or made.stdout).strip()}")
    else:
        try:
            venv.create(places.venv, with_pip=True, symlinks=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetupError(f"the virtual environment can't be made: {error}") from error
    return True


def unfinished(site_packages: Path) -> Iterator[Path]:
    """Metadata folders of packages whose installation was interrupted; pip would take them for installed.

    pip writes INSTALLER after a package's files, and last of all a RECORD that lists it.
    """
    for folder in sorted(site_packages.glob("*.dist-info")):
        record = folder / "RECORD"
        whole = (folder / "INSTALLER").is_file() and record.is_file()
        if not whole or f"{folder.name}/INSTALLER," not in record.read_text(encoding="utf-8", errors="replace"):
            yield folder


def mend(site_packages: Path) -> list[str]:
    """Forget interrupted installations, so that pip does them again; returns their names."""
    names = []
    for folder in unfinished(site_packages):
        names.append(folder.name.removesuffix(".dist-info"))
        remove(folder)
    for leftover in site_packages.glob("~*"):  # where pip puts what it is about to replace
        remove(leftover)
    return names


def requirement_names(lock: str) -> list[str]:
    return re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", lock, re.MULTILINE)


def only(lock: str, names: set[str]) -> str:
    """The entries of a lock file, hashes and all, of some packages.

    Raises:
        SetupError: one of them is not locked.
    """
    entries = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(==(?:.*\\\n)*.*\n)", lock, re.MULTILINE)
    kept = {name: name + rest for name, rest in entries if name in names}
    if names - kept.keys():
        raise SetupError(f"the lock file has no {', '.join(sorted(names - kept.keys()))}: run make lock.")
    return "".join(kept[name] for name in sorted(kept))


def pip_install(places: Places, requirements: Path, what: str, log: Path) -> None:
    """Install exactly what a lock file lists.

    No dependency is resolved (`--no-deps`: some packages state stale pins, see docs/stack.md), every file is checked
    against its hash, and what has no wheel is built with the locked setuptools instead of the newest one.

    Raises:
        SetupError: pip failed; the end of its log is in the message.
    """
    command = [
        str(places.python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps",
        "--require-hashes", "--no-build-isolation", "--progress-bar", "off", "--requirement", str(requirements),
    ]  # fmt: skip
    status = run_logged(command, log)
    if status != 0:
        said = log.read_text(encoding="utf-8", errors="replace")
        if status < 0:
            why = f"pip was killed (signal {-status}). The same command goes on where it stopped"
        elif "DO NOT MATCH THE HASHES" in said:
            why = "a download does not match its hash in the lock file; it was not installed"
        elif "No space left on device" in said:
            why = "the disk is full"
        else:
            why = "is the package index reachable? The same command goes on where it stopped"
        raise SetupError(f"{what} could not be installed: {why}.\n{tail(log)}\n    (all of it: {log})")


def install(places: Places) -> None:
    """Install the lock file into the environment; what is there already stays."""
    mended = mend(places.site_packages)
    if mended:
        say(f"an installation was interrupted, doing it again: {', '.join(mended)}.")
    lock_file = places.requirements / "lock.txt"
    lock = lock_file.read_text(encoding="utf-8")
    places.scratch.mkdir(exist_ok=True)
    build_tools = places.scratch / "build-tools.txt"
    build_tools.write_text(only(lock, {"setuptools", "wheel"}), encoding="utf-8")
    pip_install(places, build_tools, "setuptools and wheel", places.scratch / "pip-build-tools.log")
    log = places.scratch / "pip.log"
    say(
        f"installing {len(requirement_names(lock))} packages, several gigabytes, about five minutes the first time "
        f"(log: {log.relative_to(places.checkout)})."
    )
    pip_install(places, lock_file, "the packages of requirements/lock.txt", log)


def install_checkout(places: Places) -> None:
    """Install the checkout itself, editable: its packages are importable by name, on Spark's workers too."""
    log = places.scratch / "pip-checkout.log"
    command = [
        str(places.python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps",
        "--no-build-isolation", "--quiet", "--editable", str(places.checkout),
    ]  # fmt: skip
    if run_logged(command, log) != 0:
        raise SetupError(f"the checkout itself could not be installed.\n{tail(log)}")


def this_platform() -> tuple[str, str, tuple[str, str], str]:
    return platform.system(), platform.machine(), platform.libc_ver(), platform.mac_ver()[0]
