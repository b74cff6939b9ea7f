"""EfficientNet-Lite 0, 1 and 2 (Tan and Le 2019): no squeeze-and-excitation, ReLU6, stem and head never scaled.

Blocks, coefficients and rounding are those of TensorFlow's `efficientnet_lite_builder.py`; modules carry the names of
the published PyTorch checkpoints.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from udfs.networks.embedding import EmbeddingNet

_STEM, _HEAD, _CLASSES = 32, 1280, 1000
_EPS = 1e-3


@dataclass(frozen=True, slots=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite0() -> EmbeddingNet:
    """(n, 3, 224, 224) -> embedding (n, 1280), the global average pool; logits (n, 1000)."""
    return _cut(EfficientNetLite(width=1.0, depth=1.0, side=224))


def efficientnet_lite1() -> EmbeddingNet:
    """(n, 3, 240, 240) -> embedding (n, 1280), the global average pool; logits (n, 1000)."""
    return _cut(EfficientNetLite(width=1.0, depth=1.1, side=240))


def efficientnet_lite2() -> EmbeddingNet:
    """(n, 3, 260, 260) -> embedding (n, 1280), the global average pool; logits (n, 1000)."""
    return _cut(EfficientNetLite(width=1.1, depth=1.2, side=260))


class MBConv(nn.Module):
    """Inverted residual block: expand by a 1x1 convolution, filter each channel, project; add the input where it fits.

    Args:
        inputs, outputs: channels.
        kernel, stride: of the depthwise convolution, padded as TensorFlow's SAME for `side` pixels.
        expand: channels inside / `inputs`; with 1 nothing is expanded.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int, side: int) -> None:
        super().__init__()
        inside = inputs * expand
        if expand != 1:
            self._expand_conv = nn.Conv2d(inputs, inside, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inside, eps=_EPS)
        self._pad = _same_padding(side, kernel, stride)
        self._depthwise_conv = nn.Conv2d(inside, inside, kernel, stride, groups=inside, bias=False)
        self._bn1 = nn.BatchNorm2d(inside, eps=_EPS)
        self._project_conv = nn.Conv2d(inside, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=_EPS)
        self._relu = nn.ReLU6(inplace=True)
        self._expands = expand != 1
        self._adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, inputs, side, side) -> (n, outputs, side / stride, side / stride), rounded up."""
        y = self._relu(self._bn0(self._expand_conv(x))) if self._expands else x
        y = self._relu(self._bn1(self._depthwise_conv(self._pad(y))))
        y = self._bn2(self._project_conv(y))
        out: torch.Tensor = y + x if self._adds else y
        return out


class EfficientNetLite(nn.Module):
    """The classifier.

    Args:
        width, depth: multiply channels (to multiples of 8) and repeats (rounded up) of all but the first and last stage
            (of these the channels only).
        side: pixels of a side of its input.
    """

    def __init__(self, width: float, depth: float, side: int) -> None:
        super().__init__()
        self._pad = _same_padding(side, 3, 2)
        self._conv_stem = nn.Conv2d(3, _STEM, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(_STEM, eps=_EPS)
        side = math.ceil(side / 2)
        channels = _STEM
        blocks = []
        for number, stage in enumerate(_STAGES):
            outer = number in (0, len(_STAGES) - 1)
            repeats = stage.repeats if outer else math.ceil(depth * stage.repeats)
            outputs = _round_channels(stage.width * width)
            for repeat in range(repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(MBConv(channels, outputs, stage.kernel, stride, stage.expand, side))
                side, channels = math.ceil(side / stride), outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(channels, _HEAD, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(_HEAD, eps=_EPS)
        self._relu = nn.ReLU6(inplace=True)
        self._pool = nn.AdaptiveAvgPool2d(1)
        self._fc = nn.Linear(_HEAD, _CLASSES)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) -> (n, 1280)."""
        x = self._relu(self._bn0(self._conv_stem(self._pad(x))))
        x = self._blocks(x)
        x = self._relu(self._bn1(self._conv_head(x)))
        pooled: torch.Tensor = self._pool(x).flatten(1)
        return pooled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) -> logits (n, 1000)."""
        logits: torch.Tensor = self._fc(self.embed(x))
        return logits


class _Trunk(nn.Module):
    """The classifier without its last layer, which stays reachable for a strict load."""

    def __init__(self, classifier: EfficientNetLite) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier.embed(x)


def _cut(classifier: EfficientNetLite) -> EmbeddingNet:
    return EmbeddingNet(classifier, _Trunk(classifier), classifier._fc)


def _same_padding(side: int, kernel: int, stride: int) -> nn.Module:
    # TensorFlow's SAME: what is missing for ceil(side / stride) outputs, the odd pixel at the right and bottom.
    missing = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    first, second = missing // 2, missing - missing // 2
    return nn.ZeroPad2d((first, second, first, second)) if missing else nn.Identity()


def _round_channels(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
