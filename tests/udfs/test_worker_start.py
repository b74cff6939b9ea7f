from __future__ import annotations

import importlib
import sys
import zipfile
import zipimport
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pyspark.sql import SparkSession

from udfs.worker_start import settle


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An archive on the path, of which a module was imported: what Spark's own is to its workers."""
    path = tmp_path / "spark.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("archived_module.py", "here = 1")
    monkeypatch.syspath_prepend(str(path))
    assert importlib.import_module("archived_module").here == 1
    yield path
    sys.modules.pop("archived_module")
    sys.path_importer_cache.pop(str(path), None)


def test_archives_are_not_read_again(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def reading(path: str) -> object:
        read.append(path)
        return real(path)

    real = zipimport._read_directory  # type: ignore[attr-defined]
    monkeypatch.setattr(zipimport, "_read_directory", reading)
    importlib.invalidate_caches()
    before = read.count(str(archive))
    settle()
    importlib.invalidate_caches()
    assert read.count(str(archive)) == before
    assert before == (1 if sys.version_info < (3, 12) else 0)


def test_what_is_settled_stays_so(archive: Path) -> None:
    assert settle() >= 1
    assert settle() == 0


def test_workers_are_forked_from_what_has_loaded_torch(spark: SparkSession) -> None:
    def forked(_: int) -> tuple[list[str], bool]:
        return psutil.Process().parent().cmdline(), "torch" in sys.modules

    ((command, has_torch),) = spark.sparkContext.parallelize([0], 1).map(forked).collect()
    assert command[-2:] == ["udfs.worker_daemon", "pyspark.worker"]
    assert has_torch
