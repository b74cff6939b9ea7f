from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.setup.programs import program


def make(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    # An outer make's variables must not leak in: `make test ARGS=...` would set ARGS here too.
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS", "Q", "FILE", "CRAWL", "FORMAT"}
    env = {key: value for key, value in os.environ.items() if key not in outer}
    return subprocess.run(
        ["make", "-C", str(root), "--no-print-directory", "-o", "setup", *arguments],
        env={**env, **environ}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture
def venv(tmp_path: Path, root: Path) -> str:
    """An environment whose programs print what they are called with, one argument a line between brackets."""
    for name in ("python", "spark-submit"):
        program(tmp_path / "bin" / name, f"echo {name}:\nprintf '[%s]\\n' \"$@\"")
    return os.path.relpath(tmp_path, root)


def test_help_lists_every_target(root: Path) -> None:
    lines = make(root).stdout.splitlines()
    listed = {line.split()[1] for line in lines}
    wanted = "setup demo test test-slow lint format typecheck package lock sql clean distclean docs-tables help"
    assert set(wanted.split()) <= listed
    assert all(len(line.split()) > 3 for line in lines)
    assert [line for line in lines if len(line) > 120] == []


QUERIES = [
    "select user_name, count(*) from posts group by 1",
    "select * from users where user_name = 'o''brien' and caption like \"%$HOME `id` \\\\ %\"",
    "select 1;\nselect $(whoami), $$, #not a comment",
    "-- a comment\nselect '😀'",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_reaches_the_job_as_it_was_typed(root: Path, venv: str, query: str) -> None:
    done = make(root, "sql", f"VENV={venv}", f"Q={query}")
    assert done.stdout == f"python:\n[jobs/query_lake.py]\n[--config]\n[conf/demo.yaml]\n[{query}]\n", done.stderr


def test_a_query_can_come_from_a_file_and_go_to_another_lake(root: Path, venv: str) -> None:
    done = make(root, "sql", f"VENV={venv}", "FILE=sql/x.sql", "ARGS=lake.path=data/own/lake")
    assert done.stdout.split("\n")[3:-1] == ["[conf/demo.yaml]", "[--file]", "[sql/x.sql]", "[lake.path=data/own/lake]"]


def test_the_demo_makes_its_crawl_and_runs_on_it(root: Path, venv: str) -> None:
    def said(arguments: str) -> list[str]:
        return make(root, "demo", f"VENV={venv}", f"ARGS={arguments}").stdout.replace("]\n[", " ").split("\n")

    begun = ["python:", "[-m demo.make_crawl --out data/demo/crawl]"]

    def submitted(arguments: str) -> list[str]:
        return ["spark-submit:", f"[demo/run.py --config conf/demo.yaml {arguments}]"]

    assert said("images.chunk=10") == [
        *begun, *submitted("images.chunk=10"),
        "python:", "[-m demo.show --config conf/demo.yaml images.chunk=10]", "",
    ]  # fmt: skip
    # what only looks has no result to show
    assert said("--dry-run images.chunk=10") == [*begun, *submitted("--dry-run images.chunk=10"), ""]


def test_the_demo_of_an_own_crawl_makes_none(root: Path, venv: str) -> None:
    done = make(root, "demo", f"VENV={venv}", "CRAWL=my pictures/2024", "FORMAT=instaloader")
    own = "[lake.path=data/own/lake]\n[report.path=data/own/report]\n"
    assert done.stdout == (
        "spark-submit:\n[jobs/build_profiles.py]\n[--config]\n[conf/demo.yaml]\n[crawl.path=my pictures/2024]\n"
        f"[crawl.format=instaloader]\n{own}python:\n[-m]\n[demo.show]\n[--config]\n[conf/demo.yaml]\n{own}"
    )


def test_tests_are_split_by_marker(root: Path, venv: str) -> None:
    assert "[not slow and not gpu]" in make(root, "test", f"VENV={venv}").stdout
    assert "[slow and not gpu]" in make(root, "test-slow", f"VENV={venv}").stdout


def test_a_failing_step_fails_the_target(root: Path, venv: str, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "spark-submit", "exit 3")
    done = make(root, "demo", f"VENV={venv}")
    assert done.returncode != 0
    assert "demo.show" not in done.stdout


def test_what_is_run_sees_the_checkouts_spark_and_set_up_the_shells(root: Path, venv: str, tmp_path: Path) -> None:
    names = ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_PYTHON", "PYTHONPATH", "PYSPARK_DRIVER_PYTHON")
    program(tmp_path / "bin" / "python", "\n".join(f'echo "${name}"' for name in names))
    shell = dict.fromkeys(names, "x")
    printed = make(root, "test", f"VENV={venv}", **shell).stdout.split("\n")[:-1]
    place = root / venv
    site = f"{place}/lib/python3.11/site-packages"
    assert printed == [f"{site}/pyspark", str(root / "conf"), f"{place}/bin/python", "", ""]
    recipe = subprocess.run(
        ["make", "-C", str(root), "-n", "setup"], env={**os.environ, **shell}, capture_output=True, text=True
    )
    assert "SPARK_CONF_DIR='x' " in recipe.stdout


@pytest.mark.parametrize("target", ["clean", "distclean"])
def test_cleaning_never_touches_own_results(root: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "Makefile").symlink_to(root / "Makefile")
    kept = ["data/own/lake/users/part.parquet", "conf/demo.yaml"]
    gone = ["data/demo/lake/x", "dist/a.whl", "build/lib/x.py", "profilelake/__pycache__/x.pyc", ".mypy_cache/x"]
    environment = [".venv/bin/python", ".venv/lib/__pycache__/x.pyc", "jars/delta.jar", ".setup/lock"]
    for name in [*kept, *gone, *environment]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert make(tmp_path, target).returncode == 0
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"Makefile", *kept, *(environment if target == "clean" else [])}
