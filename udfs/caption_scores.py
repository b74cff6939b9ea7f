"""Captions to the probability that their post is of the positive kind, by a trained `CaptionLstm`.

Runs on executors, and on the driver where the network is trained. No torch until a network is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from udfs import runtime, worker_cache
from udfs.words import words

if TYPE_CHECKING:
    from udfs.networks.caption_lstm import CaptionLstm

# Captions that go through the network together; sorted by length first, so that little of a batch is padding.
_BATCH = 256

Score = Callable[[Iterator[pd.Series]], Iterator[pd.Series]]


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network as it travels to executors.

    vocabulary: the words with a vector of their own, in the order of their numbers; most: words of a caption that are
    looked at; width: of the network; weights: its state dict as `torch.save` writes it.
    """

    vocabulary: tuple[str, ...]
    most: int
    width: int
    weights: bytes

    @property
    def fingerprint(self) -> str:
        """Tells trained networks apart in a worker's cache."""
        said = "\n".join((*self.vocabulary, str(self.most), str(self.width)))
        return hashlib.sha256(said.encode() + self.weights).hexdigest()


def packed(vocabulary: Sequence[str], most: int, network: CaptionLstm) -> Trained:
    """A network that was trained with this vocabulary, ready to travel."""
    import torch

    out = io.BytesIO()
    torch.save(network.state_dict(), out)
    return Trained(tuple(vocabulary), most, network.lstm.hidden_size, out.getvalue())


def numbers_of(vocabulary: Sequence[str]) -> dict[str, int]:
    """The number of each word that has a vector of its own."""
    from udfs.networks.caption_lstm import FIRST

    return {word: number for number, word in enumerate(vocabulary, FIRST)}


def encode(
    captions: Sequence[Sequence[str]], numbers: Mapping[str, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Captions as the network takes them.

    Args:
        captions: n lists of words, none of them empty.
        numbers: as `numbers_of` gives them; all other words are one.

    Returns:
        Word numbers (n, longest) int64, padded behind the end, and the captions' lengths (n,) int64.
    """
    from udfs.networks.caption_lstm import PADDING, UNKNOWN

    lengths = np.array([len(caption) for caption in captions], np.int64)
    padded = np.full((len(captions), lengths.max(initial=0)), PADDING, np.int64)
    for row, caption in zip(padded, captions, strict=True):
        row[: len(caption)] = [numbers.get(word, UNKNOWN) for word in caption]
    return padded, lengths


def probabilities(
    network: CaptionLstm, captions: Sequence[Sequence[str]], numbers: Mapping[str, int]
) -> npt.NDArray[np.float64]:
    """The probability of positive for each caption (n,); arguments as for `encode`, the network in evaluation mode."""
    import torch

    made = np.zeros(len(captions))
    order = np.argsort([len(caption) for caption in captions], kind="stable")
    with torch.inference_mode():
        for begin in range(0, len(order), _BATCH):
            rows = order[begin : begin + _BATCH]
            padded, lengths = encode([captions[row] for row in rows], numbers)
            logits = network(torch.from_numpy(padded), torch.from_numpy(lengths))
            made[rows] = logits.double().softmax(dim=1)[:, 1].numpy()
    return made


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within it torch computes with so many threads of this process; behind it, with as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def score_udf(trained: Any) -> Any:
    """A pandas UDF, string -> double: the probability of positive for a caption, NULL where it has no word.

    Args:
        trained: a broadcast of `Trained`.
    """
    from pyspark.sql.pandas.functions import pandas_udf

    return pandas_udf(scorer(trained), "double")  # type: ignore[call-overload]


def scorer(trained: Any) -> Score:
    """The function behind `score_udf`: iterators of series of captions to series of float64, NaN without a word."""

    def score(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        held: Trained = trained.value
        network, numbers = worker_cache.get(("caption_lstm", held.fingerprint), lambda: load(held))
        with torch_threads(runtime.threads(0)):
            for batch in batches:
                yield _scores(network, [words(caption, held.most) for caption in batch], numbers)

    # pyspark tells the kind of a pandas UDF by its hints, which are names here (PEP 563) and not importable there.
    score.__annotations__ = {"batches": Iterator[pd.Series], "return": Iterator[pd.Series]}
    return score


def load(trained: Trained) -> tuple[CaptionLstm, dict[str, int]]:
    """The network in evaluation mode, and the numbers of its words."""
    import torch

    from udfs.networks.caption_lstm import CaptionLstm

    with torch.device("meta"):  # no random weights are drawn, only to be replaced
        network = CaptionLstm(len(trained.vocabulary), trained.width)
    network.load_state_dict(torch.load(io.BytesIO(trained.weights), weights_only=True), assign=True)
    return network.eval(), numbers_of(trained.vocabulary)


def _scores(network: CaptionLstm, captions: Sequence[list[str]], numbers: Mapping[str, int]) -> pd.Series:
    said = [at for at, caption in enumerate(captions) if caption]
    made = np.full(len(captions), np.nan)
    made[said] = probabilities(network, [captions[at] for at in said], numbers)
    return pd.Series(made)
