"""What the packaged networks say of real photographs of known things (Caltech-101)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from profilelake.images.classes import imagenet_labels
from tests.conftest import SHARED_DATA
from udfs.decode import decode
from udfs.embedder import Embedder
from udfs.networks import BACKBONES
from udfs.networks.preprocess import crop
from udfs.runtime import OpenVinoRuntime
from udfs.weights import find

FOLDER = SHARED_DATA / "caltech101_sample"
# Twenty of its classes that ImageNet has too, with the names that are right: ImageNet parts some of them further.
CLASSES: Mapping[str, tuple[str, ...]] = {
    "Leopards": ("leopard", "jaguar", "snow leopard", "cheetah"),
    "accordion": ("accordion",),
    "barrel": ("barrel", "rain barrel"),
    "beaver": ("beaver",),
    "butterfly": ("admiral", "ringlet", "monarch", "cabbage butterfly", "sulphur butterfly", "lycaenid"),
    "cannon": ("cannon",),
    "crab": ("Dungeness crab", "rock crab", "fiddler crab", "king crab", "hermit crab"),
    "crocodile": ("African crocodile", "American alligator"),
    "cup": ("cup", "coffee mug", "espresso"),
    "dragonfly": ("dragonfly", "damselfly"),
    "elephant": ("Indian elephant", "African elephant", "tusker"),
    "flamingo_head": ("flamingo",),
    "grand_piano": ("grand piano",),
    "llama": ("llama",),
    "nautilus": ("chambered nautilus",),
    "panda": ("giant panda",),
    "pizza": ("pizza",),
    "saxophone": ("sax",),
    "soccer_ball": ("soccer ball",),
    "starfish": ("starfish",),
}


def shares(name: str, every: int = 1) -> dict[str, float]:
    """By class how many of its photographs have a right best label, as a share; `every` nth of them is looked at."""
    labels, embedder = imagenet_labels(), Embedder({name: find(name)}, OpenVinoRuntime("fp32", 1, None), 16)
    found = {}
    for kind, right in CLASSES.items():
        paths = sorted((FOLDER / kind).glob("*.jpg"))[::every]
        pixels = np.stack([crop(decode(path.read_bytes(), 10**8), BACKBONES[name]) for path in paths])
        best = embedder.forward(name, pixels).logits.argmax(axis=1)
        found[kind] = float(np.mean([labels[number] in right for number in best]))
    return found


def test_right_names_are_names_of_classes() -> None:
    assert {label for right in CLASSES.values() for label in right} <= set(imagenet_labels())


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(not FOLDER.is_dir(), reason="the real samples are not here")
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_things_are_called_by_their_names(name: str) -> None:
    found = shares(name, 3)
    wrong = {kind: share for kind, share in found.items() if share <= 0.5}
    assert len(wrong) <= 2, wrong
