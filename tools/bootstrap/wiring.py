"""Make the environment's Spark the checkout's: Delta's jars and conf/ linked in, and programs that find all of it."""

from __future__ import annotations

import shlex
from pathlib import Path

from tools.bootstrap.common import Places, link, write_atomically
from tools.bootstrap.jars import Jar

PROGRAMS = ("spark-submit", "spark-sql", "spark-shell", "pyspark")


def launcher(places: Places, program: str) -> str:
    """The pip package's own programs look for Spark with whatever `python3` is first on PATH; this one knows."""
    return f"""#!/bin/sh
# Written by set-up: this environment's Spark and Python, whatever SPARK_HOME and PYSPARK_* the shell has.
SPARK_HOME={shlex.quote(str(places.spark_home))}
PYSPARK_PYTHON={shlex.quote(str(places.python))}
PYSPARK_DRIVER_PYTHON=$PYSPARK_PYTHON
JAVA_HOME={shlex.quote(str(places.java_home))}
export SPARK_HOME PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON JAVA_HOME
exec "$SPARK_HOME/bin/{program}" "$@"
"""


def wired(places: Places, jars: list[Jar]) -> bool:
    """Whether nothing is missing: every jar and the configuration are found through Spark's own folders."""
    conf = places.spark_home / "conf"
    return (
        all((places.spark_home / "jars" / jar.file_name).is_file() for jar in jars)
        and conf.is_dir()
        and conf.resolve() == (places.checkout / "conf").resolve()
        and all(
            (places.venv / "bin" / program).is_file()
            and (places.venv / "bin" / program).read_text(encoding="utf-8") == launcher(places, program)
            for program in PROGRAMS
        )
    )


def wire(places: Places, jars: list[Jar]) -> None:
    spark_jars = places.spark_home / "jars"
    wanted = {jar.file_name for jar in jars}
    for path in spark_jars.iterdir():
        if path.is_symlink() and path.name not in wanted and Path(path.readlink()).parent == places.jars:
            path.unlink()  # a version that is no longer listed
    for name in sorted(wanted):
        link(places.jars / name, spark_jars / name)
    link(places.checkout / "conf", places.spark_home / "conf")
    for program in PROGRAMS:
        write_atomically(places.venv / "bin" / program, launcher(places, program), executable=True)
