"""The wheel: what a cluster gets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from profilelake import __version__

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing lands in the checkout and no stale build folder gets in."""
    root = Path(__file__).resolve().parents[2]
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("setup.py", "pyproject.toml", "LICENSE", "NOTICE", "README.md"):
        if (root / name).exists():
            shutil.copy(root / name, copy)
    for name in ("jobs", "profilelake", "udfs", "conf", "sql", "tests", "tools"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(build, capture_output=True, text=True, cwd=out)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    folder = f"profilelake-{__version__}.dist-info"
    return Parser().parsestr(zipfile.ZipFile(wheel).read(f"{folder}/METADATA").decode())


def test_it_holds_the_three_packages_whole_and_nothing_else(root: Path, names: set[str]) -> None:
    for package in ("jobs", "profilelake", "udfs"):
        modules = {str(path.relative_to(root)) for path in (root / package).rglob("*.py")}
        assert modules <= names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"jobs", "profilelake", "udfs", f"profilelake-{__version__}.dist-info"}
    assert not [name for name in names if name.endswith((".pyc", ".jar", ".parquet"))]


def test_it_holds_the_configuration_and_the_queries(root: Path, names: set[str]) -> None:
    assert "profilelake/conf/pipeline.yaml" in names
    for folder, pattern in (("conf", "*.yaml"), ("conf", "*.tsv*"), ("sql", "*.sql")):
        files = {f"profilelake/{path.relative_to(root)}" for path in (root / folder).rglob(pattern)}
        assert files <= names


def test_every_job_has_a_command(root: Path, wheel: Path) -> None:
    folder = f"profilelake-{__version__}.dist-info"
    jobs = {path.stem for path in (root / "jobs").glob("*.py")} - {"__init__"}
    lines = zipfile.ZipFile(wheel).read(f"{folder}/entry_points.txt").decode().split("\n")
    wanted = {f"profilelake-{job.replace('_', '-')} = jobs.{job}:console" for job in jobs}
    assert wanted == {line for line in lines if "=" in line}
    assert "profilelake-build-profiles = jobs.build_profiles:console" in wanted


def test_a_cluster_keeps_its_own_spark_and_torch(metadata: Message) -> None:
    requires = metadata.get_all("Requires-Dist") or []
    assert metadata["Name"] == "profilelake"
    assert metadata["Version"] == __version__
    assert set(metadata.get_all("Provides-Extra") or []) == {"cluster", "local"}
    forbidden = ("pyspark", "delta-spark", "torch", "pyarrow", "petastorm", "facenet")
    for requirement in requires:
        if 'extra == "local"' not in requirement:
            assert not requirement.lower().startswith(forbidden), requirement


def test_the_local_extra_is_the_locked_stack(root: Path, metadata: Message) -> None:
    from tests.setup.test_lock import canonical, locked

    have = locked(root / "requirements" / "lock.txt")
    pins = [line.split(";")[0] for line in metadata.get_all("Requires-Dist") or [] if 'extra == "local"' in line]
    pinned = dict(pin.strip().split("==") for pin in pins if "==" in pin)
    assert {"pyspark", "delta-spark", "torch", "torchvision", "petastorm", "pyarrow", "numpy"} <= pinned.keys()
    assert {canonical(name): version for name, version in pinned.items()} == {
        canonical(name): have[canonical(name)] for name in pinned
    }


def test_installed_elsewhere_it_finds_its_configuration(wheel: Path, tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(tmp_path / "site"), str(wheel)], check=True, capture_output=True)
    code = (
        "import jobs, udfs, profilelake, profilelake.config as config, pathlib;"
        "print(*(pathlib.Path(m.__file__).parent for m in (jobs, udfs, profilelake)), config.conf_dir(), sep='\\n');"
        "print(config.load([], []).lake.path)"
    )
    # In front of the editable installation, and from a folder that is no checkout.
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    places = [site / "jobs", site / "udfs", site / "profilelake", site / "profilelake" / "conf"]
    assert done.stdout.split("\n")[:4] == [str(place) for place in places]
