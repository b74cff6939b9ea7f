"""ResNet-50 (He et al. 2016): torchvision's definition, whose stride is in the 3x3 convolution."""

from torch import nn
from torchvision import models

from udfs.networks.embedding import EmbeddingNet


def resnet50() -> EmbeddingNet:
    """(n, 3, 224, 224) -> embedding (n, 2048), the global average pool; logits (n, 1000)."""
    net = models.resnet50(weights=None)
    trunk = nn.Sequential(
        net.conv1,
        net.bn1,
        net.relu,
        net.maxpool,
        net.layer1,
        net.layer2,
        net.layer3,
        net.layer4,
        net.avgpool,
        nn.Flatten(),
    )
    return EmbeddingNet(net, trunk, net.fc)
