"""A checkout of its own for every test of set-up, and stand-ins for the programs that set-up runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.bootstrap.common import Places

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root() -> Path:
    """The checkout that is tested."""
    return ROOT


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """An empty checkout with an empty environment."""
    places = Places(tmp_path / "checkout")
    for folder in (
        places.venv / "bin", places.spark_home / "bin", places.spark_home / "jars", places.requirements,
        places.checkout / "conf", places.checkout / "jobs", places.checkout / "profilelake",
    ):  # fmt: skip
        folder.mkdir(parents=True)
    return places
