"""Bring files to a folder that is local or anywhere that Hadoop's file systems reach (`s3://`, `abfss://`, `hdfs://`).

Runs on the driver. A file appears whole or not at all: locally it is renamed into place, an object store shows it when
it is closed.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from profilelake.errors import ProfilelakeError
from profilelake.failures import innermost

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_FILE_URI = re.compile(r"file:(?://[^/]*)?(/.*)", re.IGNORECASE)


def copy_folder(spark: SparkSession, local: str | Path, target: str) -> None:
    """Copy every file below a local folder to the folder `target`, which is made; files of the same name are replaced,
    others stay.

    Args:
        spark: the session whose Hadoop configuration reaches `target`.
        local: a folder on this machine.
        target: a local path, a `file:` URI or any Hadoop URI.

    Raises:
        ProfilelakeError: `target` cannot be written; a full disk is in its chain of causes.
    """
    root = Path(local)
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        _copy(spark, file, f"{target.rstrip('/')}/{file.relative_to(root).as_posix()}")


def write_text(spark: SparkSession, path: str, text: str) -> None:
    """Write `text` as UTF-8 to the file `path` (local path, `file:` URI or Hadoop URI); its folder is made.

    Raises:
        ProfilelakeError: `path` cannot be written; a full disk is in its chain of causes.
    """
    with tempfile.TemporaryDirectory(prefix="profilelake-") as scratch:
        file = Path(scratch) / "text"
        file.write_text(text, encoding="utf-8")
        _copy(spark, file, path)


def local_path(path: str) -> Path | None:
    """The path on this machine that a path or `file:` URI means; None for other URIs. `~` is not expanded."""
    if not _SCHEME.match(path):
        return Path(path)
    # Hadoop takes the text of a URI as it stands, percent signs too
    file = _FILE_URI.fullmatch(path)
    return Path(file.group(1)) if file else None


def _copy(spark: SparkSession, source: Path, target: str) -> None:
    place = local_path(target)
    try:
        if place is not None:
            _copy_local(source, place)
        else:
            _copy_remote(spark, source, target)
    except OSError as error:
        raise ProfilelakeError(f"{target} cannot be written: {error.strerror or error}") from error
    except Py4JJavaError as error:
        raise ProfilelakeError(f"{target} cannot be written: {innermost(error)}") from error


def _copy_local(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # not a mkstemp: its permissions are for nobody else, but a report is to be shown
    half_written = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        shutil.copyfile(source, half_written)
        half_written.replace(target)
    finally:
        half_written.unlink(missing_ok=True)


def _copy_remote(spark: SparkSession, source: Path, target: str) -> None:
    jvm: Any = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(target)
    hadoop = path.getFileSystem(spark._jsc.hadoopConfiguration())
    hadoop.mkdirs(path.getParent())
    keep_source, overwrite = False, True
    hadoop.copyFromLocalFile(keep_source, overwrite, jvm.org.apache.hadoop.fs.Path(f"file://{source.resolve()}"), path)
