"""AlexNet (Krizhevsky et al. 2012): torchvision's definition, the one-column variant of 2014."""

from torch import nn
from torchvision import models

from udfs.networks.embedding import EmbeddingNet


def alexnet() -> EmbeddingNet:
    """(n, 3, 227, 227) -> embedding (n, 4096), fc7 after its ReLU; logits (n, 1000)."""
    net = models.alexnet(weights=None)
    *to_fc7, fc8 = net.classifier
    return EmbeddingNet(net, nn.Sequential(net.features, net.avgpool, nn.Flatten(), *to_fc7), fc8)
