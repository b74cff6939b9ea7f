"""Every command that README tells a user to type runs, here on a small lake: what only looks as a process of its own,
the other jobs in the session that runs; `.ci/run` runs the bare make targets."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from PIL import Image

from tests.ingest.crawls import instagram, put
from tests.jobs.conftest import ROOT, call, lake_of

BY_CI = {"make demo", "make test"}

# a whole build, or several, on a machine that does something else besides
pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a crawl of somebody's own, as instaloader leaves it: 24 posts of three people."""
    folder = tmp_path_factory.mktemp("own")
    crawl = folder / "crawl"
    for number in range(24):
        person, which = ("ann", "ben", "cleo")[number % 3], ("chelsea", "coffee", "rocket", "astronaut")[number % 4]
        whole = Image.fromarray(getattr(skimage.data, which)())
        out = io.BytesIO()
        whole.crop((number, number, whole.width - 2 * number, whole.height - number)).save(out, "JPEG", quality=90)
        stem = f"{person}/2023-11-{number + 1:02}_12-00-00_UTC"
        owner = {"id": str(len(person)) + person, "username": person}
        put(crawl, f"{stem}.json.xz", instagram(f"post{number}", owner=owner))
        put(crawl, f"{stem}.jpg", out.getvalue())
    return folder


def deltas(lake: Path) -> set[str]:
    """Every commit of every table but the ledger."""
    return {str(path.relative_to(lake)) for path in lake.glob("*/_delta_log/*.json") if path.parts[-3] != "runs"}


def commands() -> list[str]:
    """The lines of README's shell blocks, without comments."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines if line.strip()]


def recipe(words: list[str]) -> list[list[str]]:
    """The commands that make would run."""
    planned = subprocess.run(
        [*words, "-n", "--no-print-directory", "-o", "setup"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [shlex.split(line) for line in planned.stdout.replace("\\\n", " ").splitlines()]


def run(words: list[str]) -> tuple[int, str, str]:
    """A command's exit status, standard output and standard error: of jobs that do more than look in the session that
    runs, of the others as a process."""
    if Path(words[0]).name == "spark-submit" and not {"--help", "--dry-run"} & {*words}:
        assert (ROOT / words[1]).is_file()
        return call(Path(words[1]).stem, *words[2:])
    if words[0] == "make":
        words = [*words, "-o", "setup"]  # these tests run inside of what it makes
    environment = {**os.environ, "SPARK_CONF_DIR": str(ROOT / "conf")}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    return done.returncode, done.stdout, done.stderr


# README builds a lake of one's own crawl by two commands: here the second, which finds nothing to do, is make's.
COMMANDS = sorted(
    (command for command in commands() if command not in BY_CI), key=lambda command: command.startswith("make")
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme(
    command: str, built: tuple[int, dict[str, Any], str], places: tuple[str, ...], own: Path
) -> None:
    crawl, lake, report, *quick = places
    base = str(lake_of(places).parent)
    is_own = "path/to/crawl" in command
    if is_own:
        quick.append("images.label=[efficientnet_lite0]")
    for named, here in {
        "path/to/crawl": f"{own}/crawl",
        "data/demo": base,
        "data/own": str(own),
        "--min-posts 20": "--min-posts 2",
        ".venv/bin": str(Path(sys.executable).parent),
    }.items():
        command = command.replace(named, here)
    words = shlex.split(command)
    if words[:2] == ["make", "sql"]:
        words.append(f"ARGS={lake}")
    elif words[0] == "make":
        words.append(f"ARGS={shlex.join([*quick, f'lake.path={own}/lake', f'report.path={own}/report'])}")
    elif is_own:
        words += quick
    elif words[1] != "jobs/build_profiles.py":
        words += [lake, report]
    elif "--dry-run" in words:
        words += [crawl, lake, report, *quick]
    before, held = sorted(lake_of(places).rglob("*")), deltas(own / "lake")
    if words[:2] == ["make", "demo"]:
        made = [run(line) for line in recipe(words)]
        status, out, err = max(one[0] for one in made), *("".join(one[at] for one in made) for at in (1, 2))
    else:
        status, out, err = run(words)
    assert status == 0, out[-3000:] + err[-3000:]
    assert out.strip()
    if "--dry-run" in words:
        assert json.loads(out.splitlines()[-1])["pending"]["images"] == {"pictures": 0}
        assert sorted(lake_of(places).rglob("*")) == before
        assert " WARN " not in out + err
    if is_own:
        summary = json.loads((own / "report" / "summary.json").read_text(encoding="utf-8"))
        did = {stage["stage"]: stage for stage in summary["stages"]}
        assert did["profiles"]["rows_out"] == 3
        assert bool(held) == (words[0] == "make")
        if held:
            assert deltas(own / "lake") == held
            assert did["images"]["rows_in"] == 0
        else:
            assert (did["ingest"]["rows_out"], did["images"]["rows_out"]) == (24, 24)
        assert (own / "report" / "index.html").exists()


def test_models_that_are_live_and_scores_by_them_are_made_once(
    built: tuple[int, dict[str, Any], str], places: tuple[str, ...]
) -> None:
    """What `make demo` does after its first build, twice: the second time only the ledger gains a version."""
    found = []
    for _ in range(2):
        for job in ("train_selfie", "build_profiles"):
            status, _, err = call(job, "--config", "conf/demo.yaml", *places)
            assert status == 0, err[-3000:]
        found.append(deltas(lake_of(places)))
    assert found[0] == found[1]


def test_the_page_of_runs_and_models_opens(tmp_path: Path) -> None:
    """README's `mlflow ui`, which ends only when somebody ends it."""
    (said,) = re.findall(r"`(\.venv/bin/mlflow ui [^`]*)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    program, *rest = shlex.split(said.replace("data/demo/lake_mlflow", str(tmp_path)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(Path(sys.executable).parent / Path(program).name), *rest, "--port", str(port), "--workers", "1"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            # said once the socket listens; "startup complete" comes before that, and a slow machine tells them apart
            assert any("Uvicorn running" in line for line in server.stderr)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
                assert b"MLflow" in page.read()
        finally:
            server.terminate()
