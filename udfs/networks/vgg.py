"""VGG-16 and VGG-19 (Simonyan and Zisserman 2015), configurations D and E: torchvision's definition, no batch norm."""

from torch import nn
from torchvision import models

from udfs.networks.embedding import EmbeddingNet


def vgg16() -> EmbeddingNet:
    """(n, 3, 224, 224) -> embedding (n, 4096), fc7 after its ReLU; logits (n, 1000)."""
    return _cut(models.vgg16(weights=None, init_weights=False))


def vgg19() -> EmbeddingNet:
    """(n, 3, 224, 224) -> embedding (n, 4096), fc7 after its ReLU; logits (n, 1000)."""
    return _cut(models.vgg19(weights=None, init_weights=False))


def _cut(net: models.VGG) -> EmbeddingNet:
    *to_fc7, fc8 = net.classifier
    return EmbeddingNet(net, nn.Sequential(net.features, net.avgpool, nn.Flatten(), *to_fc7), fc8)
