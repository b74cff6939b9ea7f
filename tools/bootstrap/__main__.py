"""Make or mend the checkout's environment: `sh tools/python311.sh -m tools.bootstrap`.

Every step can be repeated and is skipped while what it rests on is unchanged; its key is written to the stamp after
it is done, so a set-up that was killed goes on at the step where it was.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.bootstrap import jars, java, packages, wiring
from tools.bootstrap.common import Places, SetupError, digest, say, write_atomically

# Raised when a step does something else than before, so that environments made by an older set-up are brought up.
REVISION = 1

Keys = dict[str, list[str]]


def read_stamp(path: Path) -> Keys:
    """What is done. A stamp that is missing or damaged says: nothing."""
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(stamp, dict) or stamp.pop("revision", None) != [str(REVISION)]:
        return {}
    return stamp


def write_stamp(path: Path, done: Keys) -> None:
    write_atomically(path, json.dumps({"revision": [str(REVISION)], **done}, indent=1) + "\n")


def wanted_keys(places: Places, environ: Mapping[str, str]) -> Keys:
    """What each step rests on, cheap to compute."""
    requirements = places.requirements
    jobs = sorted(path.name for path in (places.checkout / "jobs").glob("*.py"))
    sources = [places.checkout / "setup.py", places.checkout / "profilelake" / "__init__.py"]
    return {
        "environment": [str(places.venv)],
        "packages": [digest((requirements / "lock.txt").read_bytes())],
        "java": java.key(environ, (requirements / "java.txt").read_bytes()),
        "jars": [digest((requirements / "jars.txt").read_bytes())],
        "checkout": [digest(*(path.read_bytes() for path in sources), *(name.encode() for name in jobs))],
    }


def intact(places: Places) -> bool:
    """Whether what is done is still there: somebody may have deleted jars/ or removed the machine's Java."""
    listed = jars.read_list(places.requirements / "jars.txt")
    return (
        os.access(places.java_home / "bin" / "java", os.X_OK)
        and all((places.jars / jar.file_name).is_file() for jar in listed)
        and wiring.wired(places, listed)
    )


@contextmanager
def alone(places: Places) -> Iterator[None]:
    """One set-up of a checkout at a time; a second one waits. The lock goes with the process that holds it."""
    places.scratch.mkdir(exist_ok=True)
    with (places.scratch / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up of this checkout is running, waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(places: Places, environ: Mapping[str, str]) -> None:
    """Bring the environment to what the checkout asks for.

    Raises:
        SetupError: a step can't be done; what is done before it stays done.
    """
    done = read_stamp(places.stamp)
    wanted = wanted_keys(places, environ)
    if done == wanted and intact(places):
        return
    with alone(places):
        started = time.monotonic()
        packages.make_environment(places)  # a new one has no stamp
        done = read_stamp(places.stamp) | {"environment": wanted["environment"]}

        def finish(step: str) -> None:
            done[step] = wanted[step]
            write_stamp(places.stamp, done)

        if done.get("packages") != wanted["packages"] or not (places.spark_home / "bin").is_dir():
            packages.install(places)
            finish("packages")
        if done.get("java") != wanted["java"] or not os.access(places.java_home / "bin" / "java", os.X_OK):
            java.set_up(places, environ)
            finish("java")
        listed = jars.set_up(places, environ)
        wiring.wire(places, listed)
        finish("jars")
        if done.get("checkout") != wanted["checkout"]:
            packages.install_checkout(places)
            finish("checkout")
        say(f"done in {time.monotonic() - started:.0f} s.")


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    places = Places(Path(__file__).resolve().parents[2])
    try:
        if arguments:
            raise SetupError(f"it takes no arguments, but was given {' '.join(arguments)}.")
        packages.check_checkout(places.checkout)
        packages.check_platform(*packages.this_platform())
        set_up(places, os.environ)
    except SetupError as error:
        say(str(error))
        return 2
    except OSError as error:
        say(f"{error}. Run the same command again when that is mended; it goes on where it stopped.")
        return 1
    except KeyboardInterrupt:
        say("interrupted. The same command goes on where it stopped.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
