from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.setup.programs import program
from tools.bootstrap import packages
from tools.bootstrap.common import Places, SetupError

GOOD = ("glibc", "2.36")


@pytest.mark.parametrize(
    ("system", "machine", "libc", "macos"),
    [
        ("Linux", "x86_64", GOOD, ""),
        ("Linux", "aarch64", ("glibc", "2.28"), ""),
        ("Darwin", "arm64", ("", ""), "14.2"),
    ],
)
def test_supported_platforms(system: str, machine: str, libc: tuple[str, str], macos: str) -> None:
    packages.check_platform(system, machine, libc, macos)


@pytest.mark.parametrize(
    ("system", "machine", "libc", "macos", "message"),
    [
        ("Windows", "AMD64", ("", ""), "", "Windows on AMD64 is not supported.*On Windows use WSL 2"),
        ("Darwin", "x86_64", ("", ""), "14.2", "Darwin on x86_64 is not supported"),
        ("Linux", "riscv64", GOOD, "", "Linux on riscv64 is not supported"),
        ("Linux", "x86_64", ("glibc", "2.17"), "", r"has glibc 2\.17, but PyTorch needs glibc 2\.28"),
        ("Linux", "x86_64", ("", ""), "", "has another C library than glibc, but PyTorch needs glibc"),
        ("Darwin", "arm64", ("", ""), "13.6.1", r"this is macOS 13\.6\.1, but PyTorch needs macOS 14"),
    ],
)
def test_other_platforms_are_one_sentence(
    system: str, machine: str, libc: tuple[str, str], macos: str, message: str
) -> None:
    with pytest.raises(SetupError, match=message):
        packages.check_platform(system, machine, libc, macos)


@pytest.mark.parametrize("name", ["my checkout", "it's", "a$b", "a:b", "a#b"])
def test_a_folder_name_that_breaks_scripts_is_refused(name: str) -> None:
    with pytest.raises(SetupError, match="move the checkout"):
        packages.check_checkout(Path("/", "x", name))


def installed(site_packages: Path, name: str, *, installer: bool = True, recorded: bool = True) -> Path:
    folder = site_packages / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Name: {name}\n")
    if installer:
        (folder / "INSTALLER").write_text("pip\n")
    lines = [f"{name}/__init__.py,,", f"{folder.name}/INSTALLER,,"][: 2 if recorded else 1]
    (folder / "RECORD").write_text("\n".join(lines) + "\n")
    return folder


def test_interrupted_installations_are_forgotten(places: Places) -> None:
    site = places.site_packages
    whole = installed(site, "whole")
    killed_early = installed(site, "early", installer=False, recorded=False)
    killed_late = installed(site, "late", recorded=False)
    no_record = installed(site, "bare")
    (no_record / "RECORD").unlink()
    leftover = site / "~umpy"
    leftover.mkdir()
    assert packages.mend(site) == ["bare-1.0", "early-1.0", "late-1.0"]
    assert whole.exists()
    assert not any(path.exists() for path in (killed_early, killed_late, no_record, leftover))
    assert packages.mend(site) == []


LOCK = """# Made by
numpy==1.26.4 \\
    --hash=sha256:11 \\
    --hash=sha256:12
setuptools==84.2.1 ; sys_platform == 'linux' \\
    --hash=sha256:21
setuptools-scm==9 \\
    --hash=sha256:31
wheel==0.48.0 \\
    --hash=sha256:41 \\
    --hash=sha256:42
"""


def test_entries_of_a_lock_are_cut_out_with_their_hashes() -> None:
    assert packages.only(LOCK, {"wheel", "setuptools"}) == (
        "setuptools==84.2.1 ; sys_platform == 'linux' \\\n    --hash=sha256:21\n"
        "wheel==0.48.0 \\\n    --hash=sha256:41 \\\n    --hash=sha256:42\n"
    )
    assert packages.requirement_names(LOCK) == ["numpy", "setuptools", "setuptools-scm", "wheel"]


def test_a_lock_without_a_build_tool_is_refused() -> None:
    with pytest.raises(SetupError, match="the lock file has no pip, uv: run make lock"):
        packages.only(LOCK, {"uv", "pip", "wheel"})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "does not match its hash"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: Could not find a version (from versions: none)", "is the package index reachable"),
    ],
)
def test_a_failing_pip_says_why(places: Places, said: str, why: str) -> None:
    program(places.python, f'echo "{said}" >&2; exit 1')
    with pytest.raises(SetupError, match=why) as error:
        packages.pip_install(places, places.requirements / "lock.txt", "numpy", places.scratch / "pip.log")
    assert said in str(error.value)


def test_a_killed_pip_is_said(places: Places) -> None:
    program(places.python, "kill -9 $$")
    with pytest.raises(
        SetupError, match=r"numpy could not be installed: pip was killed \(signal 9\)\. The same command"
    ):
        packages.pip_install(places, places.requirements / "lock.txt", "numpy", places.scratch / "pip.log")


def test_pip_checks_hashes_and_resolves_nothing(places: Places) -> None:
    program(places.python, f'printf "%s\\n" "$@" > {places.checkout}/called')
    packages.pip_install(places, places.requirements / "lock.txt", "numpy", places.scratch / "pip.log")
    called = (places.checkout / "called").read_text().split("\n")
    assert {"--require-hashes", "--no-deps", "--no-build-isolation"} <= set(called)


def test_a_full_disk_is_said_before_anything_is_made(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "FREE_BYTES", shutil.disk_usage(places.checkout).total * 2)
    shutil.rmtree(places.venv)
    with pytest.raises(SetupError, match="GiB free, but the environment needs"):
        packages.make_environment(places)
    assert not places.venv.exists()


@pytest.mark.slow
def test_an_environment_is_made_once_and_mended_when_broken_or_moved(tmp_path: Path) -> None:
    places = Places(tmp_path / "first")
    places.checkout.mkdir()
    assert packages.make_environment(places)
    assert not packages.make_environment(places)

    (places.site_packages / "mark").touch()
    moved = Places(tmp_path / "second")
    places.checkout.rename(moved.checkout)
    assert not packages.works(moved)
    assert packages.make_environment(moved)
    assert not (moved.site_packages / "mark").exists()
    version = [moved.venv / "bin" / "pip", "--version"]
    assert str(moved.venv) in subprocess.run(version, capture_output=True, text=True, check=True).stdout

    shutil.rmtree(moved.site_packages / "pip")  # killed while it was made
    assert packages.make_environment(moved)
    moved.python.unlink()
    moved.python.symlink_to(tmp_path / "a Python that was removed")
    assert packages.make_environment(moved)
    assert packages.works(moved)
