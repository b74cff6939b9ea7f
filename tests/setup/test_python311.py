from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.setup.programs import program

REAL = Path(getattr(sys, "_base_executable", sys.executable))


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    (tmp_path / "checkout" / "tools").mkdir(parents=True)
    shutil.copy(root / "tools" / "python311.sh", tmp_path / "checkout" / "tools")
    (tmp_path / "bin").mkdir()
    for tool in ("dirname", "sh"):
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return tmp_path / "checkout"


def ask(checkout: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Have the script print which interpreter it chose and where it runs it; PATH holds the stand-ins only."""
    code = "import os, sys; print('%d.%d' % sys.version_info[:2], os.getcwd(), *sys.argv[1:])"
    return subprocess.run(
        ["sh", str(checkout / "tools" / "python311.sh"), "-c", code, "an argument"],
        env={"PATH": str(checkout.parent / "bin"), **environ}, capture_output=True, text=True,
    )  # fmt: skip


def another(checkout: Path, name: str, version: str) -> Path:
    return program(checkout.parent / "bin" / name, f"echo {version}; exit 3")


def ours(checkout: Path, name: str) -> Path:
    return program(checkout.parent / "bin" / name, f'exec {REAL} "$@"')


@pytest.mark.parametrize("name", ["python3.11", "python3", "python"])
def test_a_python_3_11_is_found_under_any_of_its_names(checkout: Path, name: str) -> None:
    ours(checkout, name)
    done = ask(checkout)
    assert (done.returncode, done.stdout) == (0, f"3.11 {checkout} an argument\n")


def test_others_are_passed_over(checkout: Path) -> None:
    program(checkout.parent / "bin" / "python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127")
    another(checkout, "python3", "3.13")
    ours(checkout, "python")
    assert ask(checkout).stdout.startswith("3.11 ")


def test_the_environment_itself_needs_no_other_python(checkout: Path) -> None:
    program(checkout / ".venv" / "bin" / "python", f'exec {REAL} "$@"')
    assert ask(checkout).stdout.startswith("3.11 ")


def test_a_broken_environment_does_not_hide_the_machines_python(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(checkout / "removed")
    ours(checkout, "python3.11")
    assert ask(checkout).stdout.startswith("3.11 ")


def test_none_is_one_sentence_that_says_what_to_install(checkout: Path) -> None:
    another(checkout, "python3", "3.9")
    done = ask(checkout)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("set-up: Python 3.11 is needed and none was found (python3 is 3.9): install it (")
    assert done.stderr.count("\n") == 1


def test_none_at_all(checkout: Path) -> None:
    done = ask(checkout)
    assert done.returncode == 2
    assert done.stderr.startswith("set-up: Python 3.11 is needed and none was found: install it (")


def test_a_python_without_venv_names_the_package(checkout: Path) -> None:
    program(checkout.parent / "bin" / "python3.11", "exit 4")
    done = ask(checkout)
    assert done.returncode == 2
    assert done.stderr == (
        "set-up: python3.11 has no venv module: install it (Debian, Ubuntu: the package python3.11-venv).\n"
    )


def test_python_names_the_interpreter(checkout: Path) -> None:
    another(checkout, "python3.11", "3.11")
    assert ask(checkout, PYTHON=str(REAL)).stdout.startswith("3.11 ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo 3.12; exit 3", "is Python 3.12, but Python 3.11 is needed"),
        ("exit 4", "has no venv module"),
        ("exit 1", "does not run"),
        (None, "is no program"),
    ],
)
def test_a_named_python_that_will_not_do_is_refused(checkout: Path, body: str | None, message: str) -> None:
    ours(checkout, "python3.11")  # would do, but was not asked for
    path = checkout.parent / "mine"
    if body:
        program(path, body)
    done = ask(checkout, PYTHON=str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"PYTHON={path} {message}" in done.stderr


def test_a_foreign_pythonpath_is_ignored(checkout: Path, tmp_path: Path) -> None:
    ours(checkout, "python3.11")
    (tmp_path / "os.py").write_text("raise SystemExit(9)")
    assert os.environ.get("PATH")
    assert ask(checkout, PYTHONPATH=str(tmp_path)).returncode == 0
