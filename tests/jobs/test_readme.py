"""Every command that README tells a user to type runs, here on a small lake; `.ci/run` runs the bare make targets."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import ROOT, lake_of

pytestmark = [pytest.mark.slow, pytest.mark.model]

BY_CI = {"make demo", "make test"}


def commands() -> list[str]:
    """The lines of README's shell blocks, without comments."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines if line.strip()]


@pytest.mark.parametrize("command", [command for command in commands() if command not in BY_CI])
def test_a_command_of_the_readme(
    command: str, built: tuple[int, dict[str, Any], str], places: tuple[str, ...], tmp_path: Path
) -> None:
    crawl, lake, report, *quick = places
    base, own = str(lake_of(places).parent), str(tmp_path)
    for named, here in {
        "path/to/crawl": f"{base}/crawl",
        "=instaloader": "=jsonl",
        "data/demo": base,
        "data/own": own,
        "--min-posts 20": "--min-posts 2",
        ".venv/bin": str(Path(sys.executable).parent),
    }.items():
        command = command.replace(named, here)
    words = shlex.split(command)
    if words[:2] == ["make", "sql"]:
        words.append(f"ARGS={lake}")
    elif words[0] == "make":  # what it builds, test_build_profiles builds
        words.append(f"ARGS={shlex.join([*quick, f'lake.path={own}/lake', f'report.path={own}/report', '--dry-run'])}")
    elif words[1] != "jobs/build_profiles.py":
        words.append(lake)
    elif "--dry-run" in words:
        words += [crawl, lake, report, *quick]
    elif "--help" not in words:
        words += [*quick, "--dry-run"]
    if words[0] == "make":
        words[1:1] = ["-o", "setup"]  # these tests run inside of what it makes
    environment = {**os.environ, "SPARK_CONF_DIR": str(ROOT / "conf")}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.strip()
