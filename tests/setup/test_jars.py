from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.setup.programs import program
from tools.bootstrap import jars, wiring
from tools.bootstrap.common import Places, SetupError

CONTENT = {"delta-spark_4.0_2.13": b"spark", "delta-storage": b"storage"}


@pytest.fixture
def listed(places: Places) -> Places:
    lines = [f"{hashlib.sha256(CONTENT[name]).hexdigest()}  io.delta:{name}:4.4.0" for name in CONTENT]
    (places.requirements / "jars.txt").write_text("# a comment\n\n" + "\n".join(lines) + "\n")
    return places


def resolver(places: Places, contents: dict[str, bytes], ending: str = "exit 0") -> None:
    """A spark-submit that puts jars where Spark's resolver does, notes each call and its arguments, then `ending`."""
    writes = "\n".join(
        f'printf "%s" "{content.decode()}" > "$ivy/jars/io.delta_{name}-4.4.0.jar"'
        for name, content in contents.items()
    )
    program(
        places.spark_home / "bin" / "spark-submit",
        f"""
echo "$@" >> {places.checkout}/calls
for argument do
  case "$argument" in spark.jars.ivy=*) ivy=${{argument#spark.jars.ivy=}} ;; esac
done
mkdir -p "$ivy/jars"
{writes}
{ending}
""",
    )


def calls(places: Places) -> list[str]:
    path = places.checkout / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_both_jars_are_fetched_once(listed: Places) -> None:
    resolver(listed, CONTENT)
    jars.set_up(listed, {})
    jars.set_up(listed, {})
    assert len(calls(listed)) == 1
    assert "--packages io.delta:delta-spark_4.0_2.13:4.4.0,io.delta:delta-storage:4.4.0" in calls(listed)[0]
    assert {path.name: path.read_bytes() for path in listed.jars.iterdir()} == {
        f"{name}-4.4.0.jar": content for name, content in CONTENT.items()
    }


def test_only_what_is_missing_is_fetched(listed: Places) -> None:
    resolver(listed, CONTENT)
    jars.set_up(listed, {})
    (listed.jars / "delta-storage-4.4.0.jar").unlink()
    jars.set_up(listed, {})
    assert "--packages io.delta:delta-storage:4.4.0 " in calls(listed)[1]


def test_a_mirror_is_passed_on(listed: Places) -> None:
    resolver(listed, CONTENT, f'echo "$SPARK_CONF_DIR" > {listed.checkout}/conf_dir')
    jars.set_up(listed, {"JARS_ARGS": "--conf 'spark.jars.ivySettings=a b.xml'", "SPARK_CONF_DIR": "mine"})
    assert "--conf spark.jars.ivySettings=a b.xml" in calls(listed)[0]
    assert (listed.checkout / "conf_dir").read_text().strip() == "mine"


def test_a_wrong_download_is_refused_and_not_kept(listed: Places) -> None:
    resolver(listed, {**CONTENT, "delta-storage": b"something else"})
    with pytest.raises(SetupError, match=r"delta-storage-4\.4\.0\.jar has the wrong content and was removed") as error:
        jars.set_up(listed, {})
    assert hashlib.sha256(b"something else").hexdigest() in str(error.value)
    assert not (listed.jars / "delta-storage-4.4.0.jar").exists()
    assert not list(listed.scratch.rglob("*delta-storage*.jar"))
    resolver(listed, CONTENT)  # the mirror is repaired: the same command heals it
    jars.set_up(listed, {})
    assert (listed.jars / "delta-storage-4.4.0.jar").read_bytes() == b"storage"


def test_a_damaged_jar_in_the_folder_is_removed(listed: Places) -> None:
    resolver(listed, CONTENT)
    jars.set_up(listed, {})
    (listed.jars / "delta-storage-4.4.0.jar").write_bytes(b"stor")
    with pytest.raises(SetupError, match="wrong content and was removed"):
        jars.set_up(listed, {})
    jars.set_up(listed, {})
    assert (listed.jars / "delta-storage-4.4.0.jar").read_bytes() == b"storage"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("javax.net.ssl.SSLHandshakeException: PKIX path building failed", "-Djavax.net.ssl.trustStore="),
        ("unresolved dependency: io.delta#delta-storage;4.4.0: not found", "JARS_ARGS='--repositories"),
        ("java.io.IOException: No space left on device", "the disk is full"),
    ],
)
def test_a_failed_download_says_what_to_do(listed: Places, said: str, hint: str) -> None:
    resolver(listed, {}, f"echo '{said}' >&2; exit 1")
    with pytest.raises(SetupError) as error:
        jars.set_up(listed, {})
    assert str(error.value).startswith("io.delta:delta-spark_4.0_2.13:4.4.0 could not be fetched (exit status 1): ")
    assert hint in str(error.value)


def test_a_malformed_list_names_the_line(places: Places) -> None:
    path = places.requirements / "jars.txt"
    path.write_text("# fine\nabc  io.delta:delta-storage:4.4.0\n")
    with pytest.raises(SetupError, match=r"jars\.txt, line 2: expected 'sha256  group:artifact:version'"):
        jars.read_list(path)


def test_wiring_links_jars_and_configuration_and_drops_old_versions(listed: Places, tmp_path: Path) -> None:
    resolver(listed, CONTENT)
    found = jars.set_up(listed, {})
    (listed.spark_home / "jars" / "spark-core.jar").write_bytes(b"its own")
    (listed.spark_home / "jars" / "delta-storage-4.0.0.jar").symlink_to(listed.jars / "delta-storage-4.0.0.jar")
    (listed.spark_home / "jars" / "somebody-elses.jar").symlink_to(tmp_path / "somebody-elses.jar")
    assert not wiring.wired(listed, found)
    for _ in range(2):
        wiring.wire(listed, found)
        assert wiring.wired(listed, found)
    assert sorted(path.name for path in (listed.spark_home / "jars").iterdir()) == [
        "delta-spark_4.0_2.13-4.4.0.jar",
        "delta-storage-4.4.0.jar",
        "somebody-elses.jar",
        "spark-core.jar",
    ]
    assert (listed.spark_home / "conf").resolve() == listed.checkout / "conf"


@pytest.mark.parametrize("damage", ["jar", "conf", "program"])
def test_missing_wiring_is_noticed(listed: Places, damage: str) -> None:
    resolver(listed, CONTENT)
    found = jars.set_up(listed, {})
    wiring.wire(listed, found)
    match damage:
        case "jar":
            (listed.jars / "delta-storage-4.4.0.jar").unlink()
        case "conf":
            (listed.spark_home / "conf").unlink()
        case "program":  # pip writes its own again when pyspark is reinstalled
            (listed.venv / "bin" / "spark-submit").write_text("#!/usr/bin/env bash\n")
    assert not wiring.wired(listed, found)


def test_the_launcher_uses_its_own_spark_whatever_the_shell_says(listed: Places) -> None:
    import subprocess

    program(
        listed.spark_home / "bin" / "spark-submit",
        'printf "%s\\n" "$SPARK_HOME" "$PYSPARK_PYTHON" "$PYSPARK_DRIVER_PYTHON" "$JAVA_HOME" "$@"',
    )
    wiring.wire(listed, [])
    shell = {"SPARK_HOME": "old", "PYSPARK_PYTHON": "old", "PYSPARK_DRIVER_PYTHON": "jupyter", "JAVA_HOME": "old"}
    command = [listed.venv / "bin" / "spark-submit", "a b", ""]
    printed = subprocess.run(command, env=shell, capture_output=True, text=True, check=True).stdout
    python = str(listed.python)
    assert printed.split("\n")[:-1] == [str(listed.spark_home), python, python, str(listed.java_home), "a b", ""]
