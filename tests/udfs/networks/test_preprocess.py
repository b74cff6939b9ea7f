"""Crops against torchvision's transforms on whole pictures."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from udfs.networks import BACKBONES
from udfs.networks.preprocess import crop

PICTURES = {
    "wide": Image.fromarray(load_sample_images().images[0]),
    "square": Image.fromarray(skimage.data.astronaut()),
    "tall": Image.fromarray(np.rot90(skimage.data.coffee())),
    "odd": Image.fromarray(skimage.data.chelsea()[:299, :451]),
    "small": Image.fromarray(skimage.data.chelsea()).resize((61, 47)),
    "long": Image.fromarray(skimage.data.chelsea()).resize((40, 900)),
}


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("picture", PICTURES)
def test_the_crop_is_torchvisions(name: str, picture: str) -> None:
    backbone, image = BACKBONES[name], PICTURES[picture]
    mode = InterpolationMode(backbone.interpolation)
    reference = Compose([Resize(backbone.resize, mode), CenterCrop(backbone.crop)])(image)
    found = crop(image, backbone)
    assert found.shape == (backbone.crop, backbone.crop, 3)
    assert found.dtype == np.uint8
    difference = np.abs(found.astype(int) - np.asarray(reference))
    assert difference.max() <= 2
    assert difference.mean() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (1, 50_000), (50_000, 1), (2, 3), (227, 227)])
def test_any_size_gives_a_crop(size: tuple[int, int]) -> None:
    grey = Image.new("RGB", size, (10, 20, 30))
    for backbone in BACKBONES.values():
        assert (crop(grey, backbone) == [10, 20, 30]).all()
