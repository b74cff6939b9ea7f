"""The GPU's decoder, on torchvision's own for the CPU: the same lines, another device."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from udfs import picture_pass
from udfs.decode import decode
from udfs.device_decode import DeviceImage, decode_on
from udfs.faces import FaceSettings, reduced
from udfs.networks import BACKBONES
from udfs.networks.preprocess import crop
from udfs.picture_pass import PassSpec

LITE0 = "efficientnet_lite0"
PHOTOGRAPH = Image.fromarray(skimage.data.astronaut()).crop((0, 0, 512, 400))


def jpeg(image: Image.Image = PHOTOGRAPH, orientation: int | None = None, kind: str = "JPEG") -> bytes:
    held = io.BytesIO()
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    image.save(held, kind, quality=92, exif=exif) if kind == "JPEG" else image.save(held, kind)
    return held.getvalue()


def on_cpu(content: bytes) -> DeviceImage:
    found = decode_on(content, "cpu", 10**8)
    assert found is not None
    return found


@pytest.mark.parametrize("orientation", [None, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_pixels_are_pillows_upright(orientation: int | None) -> None:
    content = jpeg(orientation=orientation)
    found, expected = on_cpu(content), decode(content, 10**8)
    assert found.size == expected.size
    difference = np.abs(found.pixels.permute(1, 2, 0).numpy().astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 2


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_crops_are_those_of_the_cpu(name: str) -> None:
    content = jpeg()
    found, expected = crop(on_cpu(content), BACKBONES[name]), crop(decode(content, 10**8), BACKBONES[name])
    assert (found.shape, found.dtype) == (expected.shape, np.uint8)
    difference = np.abs(found.astype(int) - expected.astype(int))
    assert difference.mean() < 0.6
    assert difference.max() <= 12


@pytest.mark.parametrize("size", [(512, 400), (90, 300), (200, 100), (2000, 3)])
def test_pictures_for_the_face_search_are_those_of_the_cpu(size: tuple[int, int]) -> None:
    content = jpeg(PHOTOGRAPH.resize(size))
    found, expected = reduced(on_cpu(content), 320), reduced(decode(content, 10**8), 320)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 8


def test_grey_becomes_colour() -> None:
    assert on_cpu(jpeg(PHOTOGRAPH.convert("L"))).pixels.shape == (3, 400, 512)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0 no header",
        jpeg(kind="PNG"),
        jpeg(PHOTOGRAPH.convert("CMYK")),
        jpeg()[:2000],
    ],
)
def test_all_else_is_left_to_the_cpu(content: bytes | None) -> None:
    assert decode_on(content, "cpu", 10**8) is None


def test_what_is_too_large_is_left_to_the_cpu_which_refuses_it() -> None:
    assert decode_on(jpeg(), "cpu", 1000) is None


def test_a_pass_decodes_on_the_device_and_else_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = PassSpec(embed=(LITE0,), label=(), faces=FaceSettings(), device="cuda", device_decode=True)
    asked = []

    def noted(content: bytes, where: str, max_pixels: int) -> DeviceImage | None:
        asked.append(where)
        return decode_on(content, "cpu", max_pixels)

    monkeypatch.setattr(picture_pass, "decode_on", noted)
    rows = [picture_pass._Row(name, memoryview(held), None) for name, held in (("a", jpeg()), ("b", jpeg(kind="PNG")))]
    there, left = (picture_pass._look(row, spec, "cuda:3") for row in rows)
    assert asked == ["cuda:3", "cuda:3"]
    assert there.error is None
    assert left.error is None
    plain = picture_pass._look(rows[0], spec, None)
    assert not np.array_equal(there.crops[LITE0], plain.crops[LITE0])  # another decoder's pixels
    assert np.abs(there.crops[LITE0].astype(int) - plain.crops[LITE0].astype(int)).mean() < 0.6
    assert there.small is not None
    assert there.small.shape == plain.small.shape  # type: ignore[union-attr]


def test_vectors_and_faces_are_told_from_those_of_the_cpu() -> None:
    base = PassSpec(embed=(LITE0,), label=(), faces=FaceSettings(), device="cuda")
    on_device = replace(base, device_decode=True)
    assert picture_pass.describe(on_device)[LITE0].preprocessing == "resize256-bicubic-crop224-ondevice-fp32"
    assert on_device.faces_sha256 != base.faces_sha256


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here: its JPEG decoder is not tested")
@pytest.mark.parametrize("orientation", [None, 6])
def test_a_gpu_gives_the_same_crops(orientation: int | None) -> None:
    content = jpeg(orientation=orientation)
    there = decode_on(content, "cuda:0", 10**8)
    assert there is not None
    found, expected = crop(there, BACKBONES[LITE0]), crop(decode(content, 10**8), BACKBONES[LITE0])
    assert np.abs(found.astype(int) - expected.astype(int)).mean() < 1.5
