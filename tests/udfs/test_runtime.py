"""Vectors against one picture at a time through the published network and its documented preprocessing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from pyspark import TaskContext
from sklearn.datasets import load_sample_images
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, PILToTensor, Resize

from udfs import runtime as runtimes
from udfs.decode import decode
from udfs.networks import BACKBONES, class_names
from udfs.networks.preprocess import crop
from udfs.runtime import DeviceError, TorchRuntime, device, use_threads
from udfs.weights import WeightsFile, find

LITE0 = "efficientnet_lite0"


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    use_threads(1)
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
        part.save(out, "JPEG", quality=90)
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
    return np.stack([crop(Image.fromarray(decode(content, 10**8)), BACKBONES[name]) for content in contents])


@pytest.fixture(scope="module")
def lite0() -> TorchRuntime:
    return TorchRuntime({LITE0: find(LITE0)}, "cpu", batch_size=16)


@pytest.fixture(scope="module")
def expected() -> torch.Tensor:
    return torch.stack([reference(0, content) for content in photographs()])


@pytest.mark.model
@pytest.mark.parametrize("together", [1, 3, 16])
def test_same_vector_in_whatever_batch(together: int, lite0: TorchRuntime, expected: torch.Tensor) -> None:
    pixels = crops(LITE0, photographs())
    found = np.concatenate(
        [lite0.forward(LITE0, pixels[at : at + together]).embeddings for at in range(0, 16, together)]
    )
    assert found.dtype == np.float32
    cosines = torch.cosine_similarity(torch.from_numpy(found), expected)
    assert cosines.min() > 1 - 1e-6
    # Two pictures of one scene are not that near: the bar above can fail.
    assert torch.cosine_similarity(expected[:1], expected[5:6]) < 0.999


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("variant", [1, 2])
def test_same_vector_by_the_larger_networks(variant: int) -> None:
    name = f"efficientnet_lite{variant}"
    contents = photographs()[:3]
    found = TorchRuntime({name: find(name)}, "cpu", batch_size=2).forward(name, crops(name, contents)).embeddings
    expected = torch.stack([reference(variant, content) for content in contents])
    assert torch.cosine_similarity(torch.from_numpy(found), expected).min() > 1 - 1e-6


@pytest.mark.model
def test_labels_are_those_of_the_photographs(lite0: TorchRuntime) -> None:
    def best(picture: np.ndarray) -> str:
        pixels = crop(Image.fromarray(picture), BACKBONES[LITE0])[None]
        return class_names()[int(lite0.forward(LITE0, pixels).logits[0].argmax())]

    assert best(skimage.data.chelsea()) in {"tabby", "tiger cat", "Egyptian cat"}
    assert best(skimage.data.coffee()) in {"espresso", "cup", "coffee mug"}


def test_wrong_pixels_are_refused() -> None:
    runtime = TorchRuntime({LITE0: WeightsFile("nowhere", "")}, "cpu", batch_size=16)
    good = np.zeros((1, 224, 224, 3), np.uint8)
    for bad in (good[:, :100], good.astype(np.float32), good[0], good[:0]):
        with pytest.raises(ValueError, match=r"efficientnet_lite0 takes \(n, 224, 224, 3\) uint8"):
            runtime.forward(LITE0, bad)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        TorchRuntime({}, "cpu", batch_size=0)


def give(monkeypatch: pytest.MonkeyPatch, addresses: list[str] | None, seen: int) -> None:
    """What Spark gives the task, and how many GPUs torch sees."""
    resources = {} if addresses is None else {"gpu": SimpleNamespace(addresses=addresses)}
    monkeypatch.setattr(TaskContext, "get", partial(lambda made: made, SimpleNamespace(resources=lambda: resources)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)


@pytest.mark.parametrize(
    ("setting", "addresses", "seen", "expected"),
    [
        ("cpu", ["0"], 1, "cpu"),
        ("auto", None, 0, "cpu"),
        ("auto", None, 1, "cpu"),
        ("auto", ["1"], 2, "cuda:1"),
        ("cuda", ["1"], 2, "cuda:1"),
        ("cuda", None, 2, "cuda:0"),
    ],
)
def test_the_device_is_the_one_that_spark_gave(
    monkeypatch: pytest.MonkeyPatch, setting: str, addresses: list[str] | None, seen: int, expected: str
) -> None:
    give(monkeypatch, addresses, seen)
    assert device(setting) == expected


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, None, 0)
    with pytest.raises(DeviceError, match=r"spark\.task\.resource\.gpu\.amount.*images\.device=cpu"):
        device("cuda")
    give(monkeypatch, ["3"], 1)
    with pytest.raises(DeviceError, match=r"gave this task GPU 3, but torch .* sees 1"):
        device("auto")
    with pytest.raises(ValueError, match="auto, cpu, cuda, not 'tpu'"):
        device("tpu")


def test_without_a_task_auto_is_the_cpu() -> None:
    assert runtimes.device("auto") == "cpu"
