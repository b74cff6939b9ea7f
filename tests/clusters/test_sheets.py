from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from profilelake.clusters.sheets import sheet, thumbnails

LIMIT = 10_000


def picture(colour, size=(60, 40), format="PNG"):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, format)
    return out.getvalue()


def pixels(encoded):
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def test_pictures_stand_in_reading_order():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200)]
    page = pixels(sheet([picture(c) for c in colours], max_pixels=LIMIT, columns=3, side=20, format="PNG"))
    assert page.shape == (6 + 2 * 26, 6 + 3 * 26, 3)
    for place, colour in enumerate(colours):
        y, x = 6 + place // 3 * 26 + 10, 6 + place % 3 * 26 + 10
        assert np.abs(page[y, x].astype(int) - colour).max() < 8
    assert (page[6 + 26 + 10, 6 + 2 * 26 + 10] == 255).all()


@pytest.mark.parametrize("bad", [None, b"", b"no picture", picture((1, 2, 3))[:40], picture((1, 2, 3), (200, 200))])
def test_what_cannot_be_decoded_is_a_grey_square(bad):
    page = pixels(sheet([bad, picture((200, 0, 0))], max_pixels=LIMIT, side=20, format="PNG"))
    assert page[16, 16].tolist() == [232, 235, 240]
    assert page[16, 42, 0] > 150


def test_title_and_captions_are_drawn():
    plain = pixels(sheet([picture((9, 9, 9))] * 4, max_pixels=LIMIT, side=20, format="PNG"))
    told = pixels(
        sheet(
            [picture((9, 9, 9))] * 4,
            max_pixels=LIMIT,
            side=20,
            title="A title that is far too long to stand on one line of such a small page, so it is cut",
            captions=["1", "2", "3", "100000000"],
            format="PNG",
        )
    )
    assert told.shape[0] == plain.shape[0] + 30 + 14
    assert (told[6:30] < 128).any()
    assert (told[-14:] < 200).any()


def test_captions_must_fit_the_pictures():
    with pytest.raises(ValueError, match="1 captions for 2 pictures"):
        sheet([None, None], max_pixels=LIMIT, captions=["1"])


def test_a_sheet_of_nothing_is_a_page():
    assert Image.open(io.BytesIO(sheet([], max_pixels=LIMIT, title="nothing"))).format == "JPEG"


def test_thumbnails_are_made_where_the_pictures_are(spark):
    frame = spark.createDataFrame(
        [("a", bytearray(picture((200, 0, 0), (90, 60), "JPEG"))), ("b", bytearray(b"broken"))],
        "image_id string, content binary",
    )
    found = {row["image_id"]: row["thumbnail"] for row in thumbnails(frame, LIMIT, 32).collect()}
    assert found["b"] is None
    assert Image.open(io.BytesIO(found["a"])).size == (32, 32)
    assert thumbnails(frame, LIMIT).columns == ["image_id", "thumbnail"]
