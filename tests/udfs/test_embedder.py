"""Vectors against one picture at a time through the published network and its documented preprocessing."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
import skimage.data
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, PILToTensor, Resize

from profilelake.images.classes import imagenet_labels
from udfs.decode import decode
from udfs.embedder import Embedder
from udfs.networks import BACKBONES
from udfs.networks.preprocess import crop
from udfs.runtime import Network, OpenVinoRuntime, Runtime, TorchRuntime, has_bf16
from udfs.weights import WeightsFile, find

LITE0 = "efficientnet_lite0"
CPU = OpenVinoRuntime("fp32", 1, None)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def photographs() -> list[bytes]:
    """Sixteen JPEGs of real photographs and parts of them, of many sizes and shapes."""
    sources = [
        skimage.data.astronaut(),
        skimage.data.chelsea(),
        skimage.data.coffee(),
        *load_sample_images().images,
    ]
    encoded = []
    for number in range(16):
        whole = Image.fromarray(sources[number % len(sources)])
        width, height = whole.size
        part = whole.crop((number * 7, number * 5, width - number * 9, height - number * 3))
        out = io.BytesIO()
        (part.rotate(90, expand=True) if number % 3 == 0 else part).save(out, "JPEG", quality=90)
        encoded.append(out.getvalue())
    return encoded


def reference(variant: int, content: bytes) -> torch.Tensor:
    """One picture in plain torch: torchvision's transforms, the package's network and weights, no batch."""
    network = EfficientNet.from_name(f"efficientnet-lite{variant}").eval()
    network.load_state_dict(torch.load(find(f"efficientnet_lite{variant}").path, weights_only=True))
    side = EfficientNet.get_image_size(f"efficientnet-lite{variant}")
    look = Compose([Resize(side + 32, InterpolationMode.BICUBIC), CenterCrop(side), PILToTensor()])
    with torch.inference_mode():
        pixels = look(Image.open(io.BytesIO(content)).convert("RGB")).float()
        return network.extract_features(((pixels - 127) / 128).unsqueeze(0)).mean(dim=(2, 3))[0]


def crops(name: str, contents: list[bytes]) -> np.ndarray:
    return np.stack([crop(decode(content, 10**8), BACKBONES[name]) for content in contents])


@pytest.fixture(scope="module")
def lite0() -> Embedder:
    return Embedder({LITE0: find(LITE0)}, CPU, batch_size=16)


@pytest.fixture(scope="module")
def expected() -> torch.Tensor:
    return torch.stack([reference(0, content) for content in photographs()])


@pytest.mark.model
@pytest.mark.parametrize("together", [1, 3, 16])
def test_same_vector_in_whatever_batch(together: int, lite0: Embedder, expected: torch.Tensor) -> None:
    pixels = crops(LITE0, photographs())
    found = np.concatenate(
        [lite0.forward(LITE0, pixels[at : at + together]).embeddings for at in range(0, 16, together)]
    )
    assert found.dtype == np.float32
    cosines = torch.cosine_similarity(torch.from_numpy(found), expected)
    assert cosines.min() > 0.99999
    # Two pictures of one scene are not that near: the bar above can fail.
    assert torch.cosine_similarity(expected[1:2], expected[11:12]) < 0.999


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize(("variant", "runtime"), [(0, TorchRuntime("cpu", "fp32")), (1, CPU), (2, CPU)])
def test_same_vector_by_other_networks_and_runtimes(variant: int, runtime: Runtime) -> None:
    name = f"efficientnet_lite{variant}"
    contents = photographs()[:3]
    found = Embedder({name: find(name)}, runtime, batch_size=2).forward(name, crops(name, contents)).embeddings
    expected = torch.stack([reference(variant, content) for content in contents])
    assert torch.cosine_similarity(torch.from_numpy(found), expected).min() > 0.99999


@pytest.mark.model
@pytest.mark.skipif(not has_bf16(), reason="this processor has no bf16: nothing of it can be tested here")
def test_bf16_is_near(expected: torch.Tensor) -> None:
    embedder = Embedder({LITE0: find(LITE0)}, OpenVinoRuntime("bf16", 1, None), batch_size=8)
    found = embedder.forward(LITE0, crops(LITE0, photographs())).embeddings
    cosines = torch.cosine_similarity(torch.from_numpy(found), expected)
    assert cosines.mean() > 0.998
    assert cosines.min() > 0.99


@pytest.mark.model
def test_decoding_at_a_scale_is_near(lite0: Embedder) -> None:
    large = []
    for content in photographs():
        image = Image.open(io.BytesIO(content))
        scale = 1080 / min(image.size)
        out = io.BytesIO()
        image.resize((round(image.width * scale), round(image.height * scale))).save(out, "JPEG", quality=90)
        large.append(out.getvalue())

    def found(min_side: int) -> tuple[torch.Tensor, list[int]]:
        pixels = np.stack([crop(decode(content, 10**8, min_side), BACKBONES[LITE0]) for content in large])
        made = lite0.forward(LITE0, pixels)
        return torch.from_numpy(made.embeddings), made.logits.argmax(axis=1).tolist()

    (full, best), (scaled, same) = found(0), found(320)
    cosines = torch.cosine_similarity(scaled, full)
    assert cosines.mean() > 0.995
    assert cosines.min() < 0.9999999  # it is another decode
    assert sum(a == b for a, b in zip(best, same, strict=True)) >= 15


@pytest.mark.model
def test_labels_are_those_of_the_photographs(lite0: Embedder) -> None:
    def best(picture: np.ndarray) -> str:
        pixels = crop(Image.fromarray(picture), BACKBONES[LITE0])[None]
        return imagenet_labels()[int(lite0.forward(LITE0, pixels).logits[0].argmax())]

    assert best(skimage.data.chelsea()) in {"tabby", "tiger cat", "Egyptian cat"}
    assert best(skimage.data.coffee()) in {"espresso", "cup", "coffee mug"}


class _Narrow(nn.Module):
    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        means = pixels.mean(dim=(2, 3))
        return means, means


class _NarrowRuntime:
    """Compiles a network of three numbers, whatever is asked for."""

    def compile(self, network: Network) -> object:
        narrow = Network(network.name, "", _Narrow, network.mean, network.std, network.size)
        return TorchRuntime("cpu", "fp32").compile(narrow)


def test_vectors_of_another_width_are_refused() -> None:
    embedder = Embedder({LITE0: WeightsFile("nowhere", "")}, _NarrowRuntime(), 16)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(3,\) and \(3,\) scores, expected \(\(1280,\), \(1000,\)\)"):
        embedder.forward(LITE0, np.zeros((1, 224, 224, 3), np.uint8))
    with pytest.raises(ValueError, match=r"takes \(n, 224, 224, 3\) uint8"):
        embedder.forward(LITE0, np.zeros((0, 224, 224, 3), np.uint8))
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        Embedder({}, CPU, batch_size=0)
