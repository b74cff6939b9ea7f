"""The networks against the definitions of torchvision and efficientnet-lite-pytorch, built and cut here anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torchvision import models
from torchvision.models import get_model, get_weight

from udfs.networks import BACKBONES, LARGEST_RESIZE
from udfs.networks.embedding import fold_batch_norms
from udfs.weights import WeightsError, find, load, verify

WIDTHS = {
    "resnet50": 2048,
    "googlenet": 1024,
    "alexnet": 4096,
    "vgg16": 4096,
    "vgg19": 4096,
    "efficientnet_lite0": 1280,
    "efficientnet_lite1": 1280,
    "efficientnet_lite2": 1280,
}
CROPS = {"alexnet": 227, "efficientnet_lite1": 240, "efficientnet_lite2": 260}
TORCHVISION = ("resnet50", "googlenet", "alexnet", "vgg16", "vgg19")
HEAVY = pytest.mark.slow  # hundreds of megabytes of weights


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights that keep activations alive, and batch norms that do something."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    return network.eval()


def hooked(network: nn.Module, layer: nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a layer gave while the network ran as it was published, and the logits."""
    seen: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone().flatten(1)))
    with torch.inference_mode():
        logits = network(pixels)
    handle.remove()
    return seen[0], logits


# Where the contract takes each embedding, in torchvision's own modules.
LAYERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "resnet50": lambda net: net.avgpool,
    "googlenet": lambda net: net.avgpool,
    "alexnet": lambda net: net.classifier[5],
    "vgg16": lambda net: net.classifier[4],
    "vgg19": lambda net: net.classifier[4],
}


def test_the_registry_is_the_contracts() -> None:
    assert {name: of.width for name, of in BACKBONES.items()} == WIDTHS
    assert {name: of.crop for name, of in BACKBONES.items()} == {name: CROPS.get(name, 224) for name in WIDTHS}
    assert all(name == of.name for name, of in BACKBONES.items())
    assert all(of.resize >= of.crop for of in BACKBONES.values())
    assert LARGEST_RESIZE == 292


@pytest.mark.parametrize("name", WIDTHS)
def test_every_network_has_its_width_and_takes_its_crop(name: str) -> None:
    backbone = BACKBONES[name]
    # Shapes only: nothing is allocated and nothing computed.
    with torch.device("meta"):
        network = backbone.build()
        embedding, logits = network(torch.empty(2, 3, backbone.crop, backbone.crop))
    assert embedding.shape == (2, backbone.width)
    assert logits.shape == (2, 1000)
    assert not network.training


@pytest.mark.parametrize("name", TORCHVISION)
def test_preprocessing_is_that_of_torchvisions_weights(name: str) -> None:
    backbone = BACKBONES[name]
    weights = get_weight(backbone.weights)
    assert weights.url.rsplit("-", 1)[1] == f"{backbone.sha256}.pth"
    preset = weights.transforms()
    assert preset.resize_size == [backbone.resize]
    assert preset.interpolation.value == backbone.interpolation
    if name != "alexnet":  # the contract's 227
        assert preset.crop_size == [backbone.crop]
    if name != "googlenet":  # renormalises inside, see its own test
        assert np.allclose(np.array(backbone.mean) / 255, preset.mean)
        assert np.allclose(np.array(backbone.std) / 255, preset.std)


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_preprocessing_of_the_lite_networks(variant: int) -> None:
    backbone = BACKBONES[f"efficientnet_lite{variant}"]
    assert backbone.crop == EfficientNet.get_image_size(f"efficientnet-lite{variant}")
    assert (backbone.resize, backbone.interpolation) == (backbone.crop + 32, "bicubic")
    assert (backbone.mean, backbone.std) == ((127,) * 3, (128,) * 3)


@pytest.mark.parametrize(
    "name", ["resnet50", "googlenet", *(pytest.param(name, marks=HEAVY) for name in ("alexnet", "vgg16", "vgg19"))]
)
def test_a_torchvision_state_dict_gives_torchvisions_vectors(name: str, tmp_path: Path) -> None:
    backbone = BACKBONES[name]
    published = {"init_weights": False} if name in ("googlenet", "vgg16", "vgg19") else {}
    reference = shaken(get_model(name, weights=None, **published))
    path = tmp_path / f"{name}.pth"
    torch.save(reference.state_dict(), path)

    network = load(name, find(name, str(path)))
    torch.manual_seed(1)
    pixels = torch.randint(0, 256, (2, 3, backbone.crop, backbone.crop)).float()
    mean, std = torch.tensor(backbone.mean).view(3, 1, 1), torch.tensor(backbone.std).view(3, 1, 1)
    with torch.inference_mode():
        embedding, logits = network((pixels - mean) / std)

    preset = get_weight(backbone.weights).transforms()
    if name == "googlenet":
        reference.transform_input = True  # as torchvision sets it for the published weights
    normal = (pixels / 255 - torch.tensor(preset.mean).view(3, 1, 1)) / torch.tensor(preset.std).view(3, 1, 1)
    expected_embedding, expected_logits = hooked(reference, LAYERS[name](reference), normal)
    if name.startswith("vgg") or name == "alexnet":
        assert expected_embedding.min() == 0  # after ReLU
    assert embedding.shape == (2, backbone.width)
    torch.testing.assert_close(embedding, expected_embedding, rtol=1e-3, atol=1e-4 * expected_embedding.abs().max())
    torch.testing.assert_close(logits, expected_logits, rtol=1e-3, atol=1e-4 * expected_logits.abs().max())


@pytest.mark.model
@pytest.mark.parametrize("variant", [0, 1, 2])
def test_the_lite_networks_are_those_of_their_package(variant: int) -> None:
    name = f"efficientnet_lite{variant}"
    file = find(name)
    reference = EfficientNet.from_name(f"efficientnet-lite{variant}").eval()
    reference.load_state_dict(torch.load(file.path, weights_only=True), strict=True)
    side = BACKBONES[name].crop
    torch.manual_seed(variant)
    pixels = torch.rand(2, 3, side, side) * 2 - 1
    with torch.inference_mode():
        embedding, logits = load(name, file)(pixels)
        expected = reference.extract_features(pixels).mean(dim=(2, 3))
        expected_logits = reference(pixels)
    torch.testing.assert_close(embedding, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet50", "googlenet", "efficientnet_lite0"])
def test_folding_batch_norms_changes_no_vector(name: str) -> None:
    backbone = BACKBONES[name]
    network = shaken(backbone.build(), seed=3)
    pixels = torch.randn(1, 3, backbone.crop, backbone.crop)
    with torch.inference_mode():
        before, logits_before = network(pixels)
        fold_batch_norms(network)
        after, logits_after = network(pixels)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.trunk.modules())
    assert before.abs().max() > 0
    assert torch.cosine_similarity(before, after).min() > 1 - 1e-6
    assert torch.cosine_similarity(logits_before, logits_after).min() > 1 - 1e-6


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(models.resnet18(weights=None).state_dict(), path)
    with pytest.raises(WeightsError, match=r"resnet18\.pth does not hold the weights of resnet50.*issing key"):
        load("resnet50", find("resnet50", str(path)))


def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.pth"
    torch.save([torch.zeros(1)], path)
    with pytest.raises(WeightsError, match="holds no state dict"):
        load("resnet50", find("resnet50", str(path)))


class Payload:
    """Unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_code_in_a_file_of_weights_never_runs(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    torch.save({"conv1.weight": Payload(trace)}, path)
    with pytest.raises(WeightsError, match=r"evil\.pth is no file of weights"):
        load("resnet50", verify(path, "the weights", None))
    assert not trace.exists()


def test_the_registry_is_known_without_torch() -> None:
    code = "import sys, udfs.picture_pass; sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
