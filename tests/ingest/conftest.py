from __future__ import annotations

import pytest

from tests.conftest import Place


@pytest.fixture
def empty(place: Place, unlocked: None) -> Place:
    """The place, with an empty lake."""
    place.put_down()
    return place
