"""A word embedding and a one-layer LSTM that tell two kinds of captions apart (paper 1, 5.2.1)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

# Numbers of words: nothing behind a caption's end, any word without a vector of its own, then those with one.
PADDING, UNKNOWN, FIRST = 0, 1, 2


class CaptionLstm(nn.Module):
    """Words to the logits of negative and positive.

    Args:
        vocabulary: words that have a vector of their own.
        width: of the embedding and of the LSTM, which the paper does not say.
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(FIRST + vocabulary, width, padding_idx=PADDING)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, 2)
        # Where the training has no unknown word, one that comes later says nothing.
        with torch.no_grad():
            self.embedding.weight[UNKNOWN].zero_()

    def forward(self, words: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Padded word numbers (n, longest) int64 and how many of them count (n,) int64, each at least 1 -> (n, 2)."""
        packed = pack_padded_sequence(self.embedding(words), lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)
        logits: torch.Tensor = self.head(last[0])
        return logits
