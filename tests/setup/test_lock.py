from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.bootstrap import jars
from tools.bootstrap.packages import only, requirement_names
from tools.make_lock import tidy


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(path: Path) -> dict[str, str]:
    """Name to what is asked of it, of an input file."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    found = (re.fullmatch(r"([A-Za-z0-9._-]+)(.*)", line) for line in lines if line)
    return {canonical(match.group(1)): match.group(2) for match in found if match}


def locked(path: Path) -> dict[str, str]:
    pairs = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)", path.read_text(), re.MULTILINE)
    return {canonical(name): version for name, version in pairs}


@pytest.mark.parametrize(
    ("lock", "inputs"),
    [("lock.txt", ["runtime.in", "dev.in"]), ("java.txt", ["java.in"])],
)
def test_the_lock_has_what_the_inputs_ask_for(root: Path, lock: str, inputs: list[str]) -> None:
    have = locked(root / "requirements" / lock)
    for name in inputs:
        for package, asked in requirements(root / "requirements" / name).items():
            assert package in have, f"{package} of {name} is not locked: make lock"
            if asked.startswith("==") and not asked.endswith("*"):
                assert have[package] == asked[2:], f"{package}: make lock"


@pytest.mark.parametrize("lock", ["lock.txt", "java.txt", "lock-tool.txt"])
def test_every_entry_is_pinned_once_and_has_hashes(root: Path, lock: str) -> None:
    text = (root / "requirements" / lock).read_text()
    names = requirement_names(text)
    assert len(names) == len(set(names)) > 0
    for name in names:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", only(text, {name})), name
    others = [line for line in text.splitlines() if not re.match(r"#|    --hash=sha256:[0-9a-f]{64}|[A-Za-z0-9]", line)]
    assert others == []


def test_the_jars_are_those_of_the_locked_delta(root: Path) -> None:
    have = locked(root / "requirements" / "lock.txt")
    listed = jars.read_list(root / "requirements" / "jars.txt")
    spark = ".".join(have["pyspark"].split(".")[:2])
    assert [jar.artifact for jar in listed] == [f"delta-spark_{spark}_2.13", "delta-storage"]
    assert {jar.version for jar in listed} == {have["delta-spark"]}


def test_tidy_drops_only_the_marker_that_all_platforms_share() -> None:
    everywhere = (
        "python_full_version < '3.12' and ((platform_machine == 'arm64' and sys_platform == 'darwin') "
        "or sys_platform == 'linux')"
    )
    compiled = (
        f"click==8 ; {everywhere} \\\n    --hash=sha256:1\n"
        f"flask==3 ; {everywhere} \\\n    --hash=sha256:2\n"
        "triton==3 ; python_full_version < '3.12' and sys_platform == 'linux' \\\n    --hash=sha256:3\n"
    )
    assert tidy(compiled) == (
        "click==8 \\\n    --hash=sha256:1\nflask==3 \\\n    --hash=sha256:2\n"
        "triton==3 ; sys_platform == 'linux' \\\n    --hash=sha256:3\n"
    )
    assert tidy("six==1 \\\n    --hash=sha256:1\n") == "six==1 \\\n    --hash=sha256:1\n"


@pytest.mark.slow
def test_pip_complains_about_nothing_that_is_not_documented(root: Path) -> None:
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True).stdout
    complaints = [line.split(", but you have ")[0] for line in checked.splitlines()]
    section = (root / "docs" / "stack.md").read_text().split("## What `pip check` says")[1]
    documented = section.split("```")[1].strip().splitlines()
    assert sorted(complaints, key=str.lower) == sorted(documented, key=str.lower)
