"""GoogLeNet (Szegedy et al. 2015): torchvision's definition, with batch norm, without the auxiliary heads."""

from torch import nn
from torchvision import models

from udfs.networks.embedding import EmbeddingNet


def googlenet() -> EmbeddingNet:
    """(n, 3, 224, 224) -> embedding (n, 1024), the global average pool; logits (n, 1000)."""
    net = models.googlenet(weights=None, aux_logits=False, init_weights=False)
    trunk = nn.Sequential(
        net.conv1,
        net.maxpool1,
        net.conv2,
        net.conv3,
        net.maxpool2,
        net.inception3a,
        net.inception3b,
        net.maxpool3,
        net.inception4a,
        net.inception4b,
        net.inception4c,
        net.inception4d,
        net.inception4e,
        net.maxpool4,
        net.inception5a,
        net.inception5b,
        net.avgpool,
        nn.Flatten(),
    )
    return EmbeddingNet(net, trunk, net.fc, unused=("aux1.", "aux2."))
