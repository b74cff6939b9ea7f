from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_archives_are_not_read_again(archive: Path) -> None:
    settle()
    archive.unlink()
    importlib.invalidate_caches()
    importer = sys.path_importer_cache[str(archive)]
    assert importer is not None
    assert importer.find_spec("archived_module") is not None  # read again it would know of nothing


def test_what_is_settled_stays_so(archive: Path) -> None:
    assert settle() >= 1
    assert settle() == 0
