"""Training of the network that tells whether a caption's post shows a selfie (paper 1, 5.2.1). Runs on the driver, on
the bounded sample of captions that it is given."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from profilelake import config
from udfs.caption_scores import Trained, encode, numbers_of, packed, torch_threads

logger = logging.getLogger(__name__)

# The paper says nothing of these: Adam's rate, the gradient's length above which it is cut, captions a step: as many
# as leave a hundred steps a pass, within bounds. Few captions need many steps; with many, small ones take too long.
_RATE, _LONGEST_STEP = 0.005, 1.0
_SMALLEST_BATCH, _LARGEST_BATCH, _STEPS = 32, 256, 100
# Sums come out differently by the number of threads; for batches of this size more of them gain nothing.
THREADS = 1


def vocabulary(captions: Iterable[Sequence[str]], size: int) -> tuple[str, ...]:
    """The `size` most frequent words, the most frequent first, ties by the word."""
    counts = Counter(itertools.chain.from_iterable(captions))
    return tuple(word for word, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:size])


def train(captions: Sequence[Sequence[str]], selfie: npt.NDArray[np.bool_], rules: config.Selfie) -> Trained:
    """The network after `rules.lstm_epochs` passes over the captions, by Adam on the cross-entropy.

    The same arguments give the same network on one machine. torch's own random numbers and threads stay as they were.

    Args:
        captions: n lists of words, none of them empty.
        selfie: (n,), whether a caption's post shows a selfie.
        rules: what is read: vocabulary, caption_words, lstm_width, lstm_epochs, seed.
    """
    import torch
    from torch import nn

    from udfs.networks.caption_lstm import CaptionLstm

    known = vocabulary(captions, rules.vocabulary)
    numbers = numbers_of(known)
    target = torch.from_numpy(np.asarray(selfie, np.int64))
    draws = np.random.default_rng(rules.seed)
    batch = min(max(len(captions) // _STEPS, _SMALLEST_BATCH), _LARGEST_BATCH)
    with torch_threads(THREADS), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(rules.seed)
        network = CaptionLstm(len(known), rules.lstm_width)
        optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
        for epoch in range(1, rules.lstm_epochs + 1):
            order, loss_sum = draws.permutation(len(captions)), 0.0
            for begin in range(0, len(order), batch):
                rows = order[begin : begin + batch]
                padded, lengths = encode([captions[row] for row in rows], numbers)
                logits = network(torch.from_numpy(padded), torch.from_numpy(lengths))
                loss = nn.functional.cross_entropy(logits, target[rows])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), _LONGEST_STEP)
                optimiser.step()
                loss_sum += float(loss.detach()) * len(rows)
            logger.info("LSTM: pass %d of %d, loss %.4f", epoch, rules.lstm_epochs, loss_sum / len(order))
    return packed(known, rules.caption_words, network)
