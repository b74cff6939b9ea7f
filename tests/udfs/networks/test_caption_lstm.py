"""The caption network against an LSTM written out in numpy."""

from __future__ import annotations

import io

import numpy as np
import torch

from udfs.caption_scores import Trained, encode, load, numbers_of, packed, probabilities
from udfs.networks.caption_lstm import FIRST, UNKNOWN, CaptionLstm

VOCABULARY = ("me", "meal", "自", "🤳")


def trained(width: int = 5) -> Trained:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return packed(VOCABULARY, 8, CaptionLstm(len(VOCABULARY), width))


def by_hand(state: dict[str, torch.Tensor], numbers: list[int]) -> float:
    """Hochreiter and Schmidhuber's cell with a forget gate, word for word, then softmax."""
    weight = {name: tensor.double().numpy() for name, tensor in state.items()}
    h = c = np.zeros(weight["lstm.weight_hh_l0"].shape[1])

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    for number in numbers:
        gates = weight["lstm.weight_ih_l0"] @ weight["embedding.weight"][number] + weight["lstm.bias_ih_l0"]
        gates = gates + weight["lstm.weight_hh_l0"] @ h + weight["lstm.bias_hh_l0"]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    negative, positive = weight["head.weight"] @ h + weight["head.bias"]
    return float(1 / (1 + np.exp(negative - positive)))


def test_words_are_numbered_and_padded() -> None:
    padded, lengths = encode([["自", "new", "me"], ["meal"]], numbers_of(VOCABULARY))
    assert padded.tolist() == [[FIRST + 2, UNKNOWN, FIRST], [FIRST + 1, 0, 0]]
    assert lengths.tolist() == [3, 1]
    assert [part.shape for part in encode([], {})] == [(0, 0), (0,)]


def test_probabilities_are_those_of_the_equations_whatever_stands_beside_a_caption() -> None:
    rng = np.random.default_rng(0)
    captions = [[str(word) for word in rng.choice([*VOCABULARY, "other"], n)] for n in rng.integers(1, 9, 600)]
    made = trained()
    network, numbers = load(made)
    state = torch.load(io.BytesIO(made.weights), weights_only=True)
    expected = [by_hand(state, [numbers.get(word, UNKNOWN) for word in caption]) for caption in captions]
    found = probabilities(network, captions, numbers)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.std() > 1e-3
    np.testing.assert_allclose([probabilities(network, [caption], numbers)[0] for caption in captions[:20]], found[:20])
    assert probabilities(network, [], numbers).shape == (0,)


def test_a_word_that_training_never_met_says_nothing() -> None:
    network, _ = load(trained())
    assert not network.embedding.weight[UNKNOWN].any()
    assert network.embedding.weight[FIRST:].any(dim=1).all()


def test_another_vocabulary_is_another_network() -> None:
    one = trained()
    assert one.fingerprint == trained().fingerprint
    others = [Trained(VOCABULARY[::-1], 8, 5, one.weights), Trained(VOCABULARY, 7, 5, one.weights), trained(6)]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 4
