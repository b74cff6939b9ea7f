"""The shape that all networks have here: a trunk that ends in the embedding, and a head that ends in logits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class EmbeddingNet(nn.Module):
    """A classifier cut at its embedding.

    Args:
        classifier: owns the weights, under the keys of the published checkpoints.
        trunk: modules of the classifier, (n, 3, crop, crop) -> (n, width).
        head: module of the classifier, (n, width) -> (n, 1000).
        unused: prefixes of keys that a checkpoint may have and the network has no use for.
    """

    def __init__(self, classifier: nn.Module, trunk: nn.Module, head: nn.Module, unused: tuple[str, ...] = ()) -> None:
        super().__init__()
        # Not registered: its modules are in the trunk and the head already.
        self._classifier = (classifier,)
        self._unused = unused
        self.trunk = trunk
        self.head = head

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, 3, crop, crop) float32, normalised -> embeddings (n, width), logits (n, 1000)."""
        embedding = self.trunk(pixels)
        return embedding, self.head(embedding)

    def load_checkpoint(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over the tensors of a published checkpoint; they are not copied.

        Raises:
            RuntimeError: a key is missing, unknown, or of another shape.
        """
        kept = {key: value for key, value in state.items() if not key.startswith(self._unused)}
        self._classifier[0].load_state_dict(kept, strict=True, assign=True)


def fold_batch_norms(network: nn.Module) -> None:
    """Multiply every BatchNorm that was registered right behind a convolution into it, in place; evaluation mode only.

    The function stays the same up to rounding, with a pass over the activations less for every convolution.
    """
    for module in list(network.modules()):
        before: tuple[str, nn.Conv2d] | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and before is not None:
                setattr(module, before[0], nn.utils.fusion.fuse_conv_bn_eval(before[1], child))
                setattr(module, name, nn.Identity())
            before = (name, child) if isinstance(child, nn.Conv2d) else None
