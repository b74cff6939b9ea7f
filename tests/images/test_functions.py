"""Networks called from SQL."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import skimage.data
from PIL import Image

from profilelake import queries
from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.images import functions
from profilelake.lake import Lake
from tests.lakes import lay


def picture() -> bytes:
    out = io.BytesIO()
    Image.fromarray(skimage.data.coffee()).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.model
def test_a_statement_may_call_a_network(lake: Lake, make_lake_config: Callable[..., Config]) -> None:
    config = make_lake_config("images.embed=[efficientnet_lite1]", "images.decode_margin=full")
    lay(lake, "images", [{"image_id": "a", "content": bytearray(picture())}, {"image_id": "b"}])
    text = "select image_id, EMBED_efficientnet_lite0 (content) as v from images order by image_id"
    good, bad = queries.run_query(lake.spark, config, text).collect()
    assert len(good["v"]) == 1280
    assert np.isfinite(good["v"]).all()
    assert bad["v"] is None
    functions.register(lake.spark, config)
    (row,) = lake.spark.sql("select embed_efficientnet_lite1(cast(null as binary)) as v").collect()
    assert row["v"] is None


def test_weights_that_are_not_there_are_said(lake: Lake, make_lake_config: Callable[..., Config]) -> None:
    config = make_lake_config("images.weights.efficientnet_lite0=nowhere.pth")
    with pytest.raises(ConfigError, match=r"images\.weights\.efficientnet_lite0.*nowhere\.pth"):
        functions.register_called(lake.spark, config, "select embed_efficientnet_lite0(content) from images")
