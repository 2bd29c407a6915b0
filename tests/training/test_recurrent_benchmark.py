"""The networks of `benchmarks.recurrent`, which must equal PyTorch's."""

import dataclasses

import optax
import pytest

pytest.importorskip("torch")
from benchmarks.recurrent import Speech, Words, check


class ShortSpeech(Speech):
    batch, frames, bins, labels = 3, 14, 9, 2


def test_words_and_speech_are_the_same_nets():
    found = check(Words(5, vocabulary=20, window=4, lanes=2, length=3))
    assert found["parameters"] == 20 * 5 + 2 * (2 * 5 * 20 + 20) + 20
    assert max(found["loss_apart"], found["weights_apart"]) < 1e-6
    assert check(ShortSpeech(5, layers=2))["loss_apart"] < 1e-5


def test_another_optimizer_or_another_net_is_noticed():
    net = Words(5, vocabulary=20, window=4, lanes=2, length=3)
    net.program = dataclasses.replace(net.program, optimizer=optax.sgd)
    with pytest.raises(ValueError, match="The nets are not the same: 560 parameters in PyTorch"):
        check(net)
    net = Words(5, vocabulary=20, window=4, lanes=2, length=3)
    net.layers = 1
    with pytest.raises(ValueError, match="The nets are not the same: 340 parameters in PyTorch"):
        check(net)
