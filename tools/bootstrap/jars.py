"""Delta Lake's jars: fetched once with Spark's own resolver, checked by sha256, kept in jars/."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.bootstrap.common import Places, SetupError, file_sha256, remove, run_logged, say, tail

# The resolver can't be told to leave dependencies out, only which ones: all of them. Spark has what Delta needs here.
NOT_NEEDED = (
    "com.*:*", "commons*:*", "io.airlift:*", "io.delta:delta-kernel*", "io.unitycatalog:*", "javax*:*", "net.*:*",
    "org.*:*",
)  # fmt: skip


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_list(path: Path) -> list[Jar]:
    """
    Raises:
        SetupError: a line is not `sha256  group:artifact:version`.
    """
    jars = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"([0-9a-f]{64})\s+([\w.-]+):([\w.-]+):([\w.-]+)\s*", line)
        if not found:
            raise SetupError(f"{path}, line {number}: expected 'sha256  group:artifact:version', found {line!r}.")
        sha256, group, artifact, version = found.groups()
        jars.append(Jar(group, artifact, version, sha256))
    return jars


def check(jar: Jar, path: Path) -> None:
    """Remove a file that is not the listed one, and say so.

    Raises:
        SetupError: the file's sha256 is not the listed one.
    """
    found = file_sha256(path)
    if found != jar.sha256:
        path.unlink()
        raise SetupError(
            f"{path.name} has the wrong content and was removed: its sha256 is {found}, requirements/jars.txt says "
            f"{jar.sha256}. Run the same command again; if it stays so, your mirror serves another file than the "
            "one that was tested."
        )


def explain(log: Path) -> str:
    """Why fetching failed, and what to do, from what the resolver printed; its last lines where they may say more."""
    said = log.read_text(encoding="utf-8", errors="replace")
    if re.search(r"PKIX path|SSLHandshakeException|unable to find valid certification path|trustAnchors", said):
        return (
            "the TLS certificate of the Maven repository is not trusted by this Java, as happens behind a company's "
            "proxy. Name a trust store that has the proxy's certificate, for example\n"
            "    JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=/etc/ssl/certs/java/cacerts\n"
            f"in the environment, and run the same command again (the resolver's log: {log})."
        )
    if "No space left on device" in said:
        return f"the disk is full (the resolver's log: {log})."
    return (
        "is the Maven repository reachable? A mirror of your own is named in JARS_ARGS, for example "
        "make setup JARS_ARGS='--repositories <address>' or JARS_ARGS='--conf spark.jars.ivySettings=<file>'.\n"
        f"{tail(log)}\n    (all of it: {log})"
    )


def fetch(places: Places, wanted: list[Jar], environ: Mapping[str, str]) -> None:
    """Fetch and check the wanted jars.

    `JARS_ARGS` in the environment is passed on to spark-submit, and a SPARK_CONF_DIR of the user's own is respected:
    both can name a mirror.

    Raises:
        SetupError: one can't be fetched, or is not the listed file.
    """
    ivy = places.scratch / "ivy"
    log = places.scratch / "jars.log"
    command = [
        str(places.spark_home / "bin" / "spark-submit"), "--master", "local[1]",
        "--packages", ",".join(jar.coordinates for jar in wanted),
        "--exclude-packages", ",".join(NOT_NEEDED),
        "--conf", f"spark.jars.ivy={ivy}",
        *shlex.split(environ.get("JARS_ARGS", "")),
        str(Path(__file__).with_name("nothing.py")),
    ]  # fmt: skip
    env = {
        **environ,
        "JAVA_HOME": str(places.java_home),
        "SPARK_HOME": str(places.spark_home),
        "PYSPARK_PYTHON": str(places.python),
        "PYSPARK_DRIVER_PYTHON": str(places.python),
    }
    if not env.get("SPARK_CONF_DIR"):
        env.pop("SPARK_CONF_DIR", None)
    # Ivy believes its cache: what it left when it was killed, or a file that failed its check, must not come again.
    remove(ivy)
    status = run_logged(command, log, env)
    places.jars.mkdir(exist_ok=True)
    for jar in wanted:
        fetched = ivy / "jars" / f"{jar.group}_{jar.file_name}"
        if not fetched.is_file():
            raise SetupError(f"{jar.coordinates} could not be fetched (exit status {status}): {explain(log)}")
        check(jar, fetched)
        os.replace(fetched, places.jars / jar.file_name)
    remove(ivy)


def set_up(places: Places, environ: Mapping[str, str]) -> list[Jar]:
    """Have every listed jar in jars/, checked."""
    listed = read_list(places.requirements / "jars.txt")
    missing = [jar for jar in listed if not (places.jars / jar.file_name).is_file()]
    for jar in listed:
        if jar not in missing:
            check(jar, places.jars / jar.file_name)
    if missing:
        say(f"fetching {', '.join(jar.coordinates for jar in missing)}.")
        fetch(places, missing, environ)
    return listed
