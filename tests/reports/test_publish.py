"""Files come to local folders, file: URIs and other Hadoop file systems, whole, and failures are said in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from profilelake.errors import ProfilelakeError
from profilelake.reports import publish

TEXT = '{"name": "Zoë 🌸"}\n'


def files(folder: Path) -> dict[str, str]:
    """What a person sees; Hadoop's checksum files begin with a dot."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in found}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    (folder / "deep").mkdir(parents=True)
    (folder / "index.html").write_text("<p>neu – new</p>", encoding="utf-8")
    (folder / "deep" / "a.txt").write_text("a", encoding="utf-8")
    return folder


@pytest.fixture
def remote(spark: SparkSession, tmp_path: Path) -> str:
    """A file system that Python cannot open: Hadoop's own view of a folder, under another scheme."""
    spark._jsc.hadoopConfiguration().set("fs.viewfs.mounttable.reports.link./far", f"file://{tmp_path}/far")
    return "viewfs://reports/far"


@pytest.mark.parametrize("scheme", ["", "file:", "file://", "FILE:///"])
def test_a_local_folder_is_filled_and_keeps_what_else_is_there(
    spark: SparkSession, made: Path, tmp_path: Path, scheme: str
) -> None:
    target = tmp_path / "far away" / "report 100%20"
    target.mkdir(parents=True)
    (target / "index.html").write_text("old")
    (target / "own notes.txt").write_text("mine")
    publish.copy_folder(spark, made, scheme + str(target).lstrip("/" if scheme.endswith("///") else "") + "/")
    expected = {**files(made), "own notes.txt": "mine"}
    assert files(target) == expected
    assert len(list(target.iterdir())) == 3, "a half-written file is left"


def test_another_file_system_is_reached_through_the_jvm(
    spark: SparkSession, made: Path, tmp_path: Path, remote: str
) -> None:
    (tmp_path / "far").mkdir()
    publish.copy_folder(spark, made, f"{remote}/report")
    publish.write_text(spark, f"{remote}/report/summary.json", TEXT)
    publish.write_text(spark, f"{remote}/report/deep/a.txt", "later")
    assert files(tmp_path / "far" / "report") == {**files(made), "summary.json": TEXT, "deep/a.txt": "later"}


def test_text_replaces_text(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "new" / "summary.json"
    publish.write_text(spark, str(path), "a longer text that was there before")
    publish.write_text(spark, str(path), TEXT)
    assert files(path.parent) == {"summary.json": TEXT}


def test_a_relative_path_is_below_the_current_folder(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    publish.write_text(spark, "data/report/summary.json", TEXT)
    assert files(tmp_path) == {"data/report/summary.json": TEXT}


def test_a_place_that_cannot_be_written_is_named_with_the_reason(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    target = str(tmp_path / "taken" / "summary.json")
    with pytest.raises(
        ProfilelakeError, match=r"summary\.json cannot be written: (Not a directory|File exists)"
    ) as failed:
        publish.write_text(spark, target, TEXT)
    assert isinstance(failed.value.__cause__, OSError)
    assert files(tmp_path) == {"taken": "a file"}


def test_an_unknown_scheme_is_named_with_the_reason(spark: SparkSession) -> None:
    with pytest.raises(ProfilelakeError, match=r"nowhere://bucket/a\.txt cannot be written: .*nowhere") as failed:
        publish.write_text(spark, "nowhere://bucket/a.txt", TEXT)
    assert "\n" not in str(failed.value)
