"""Compression of one loss: numbers consistent with its networks and its curves."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from lcjax.studies.compression.compressed_loss import BITS, load_or_make, versions_of, weights_only


@pytest.fixture(params=(0, 1), ids=("H", "S+W1+LCL"))
def loss(request, study):
    return study.result.losses[request.param]


def test_pruning_is_chosen_on_the_validation_set(loss):
    assert loss.accuracy.shape == (2,)
    assert np.all(loss.pruning_test[:, 0] == loss.accuracy)
    curve, rows = np.asarray(loss.pruning.accuracy), np.arange(2)
    assert curve.shape == (2, 13)
    near = curve >= curve.max(axis=1, keepdims=True) - 0.01 - 1e-6
    np.testing.assert_array_equal(loss.step, [np.flatnonzero(row)[-1] for row in near])
    np.testing.assert_array_equal(loss.pruned_accuracy, loss.pruning_test[rows, loss.step])
    np.testing.assert_array_equal(loss.ratio, np.asarray(loss.pruning.ratio)[rows, loss.step])
    assert np.all(loss.ratio >= 1)
    for way, ratio in loss.bit_ratio.items():
        np.testing.assert_array_equal(ratio, np.asarray(loss.pruning.bit_ratio[way])[rows, loss.step])
    for layer, live in loss.live.items():
        np.testing.assert_array_equal(live, np.asarray(loss.pruning.live[layer])[rows, loss.step])
    np.testing.assert_allclose(loss.validation_curve[:, -1], curve[:, 0], atol=1e-6)


def test_quantization_is_chosen_on_the_validation_set(loss):
    curve = loss.quantization
    assert tuple(np.asarray(curve.bits)) == BITS == tuple(range(16, 1, -1))
    for i, bits in enumerate(loss.quantized_bits):
        near = curve.accuracy[i] >= curve.full_accuracy[i] - 0.01 - 1e-6
        assert np.all(near[curve.bits >= bits]) or bits == 16
        at = np.flatnonzero(curve.bits == bits)[0]
        assert loss.quantized_accuracy[i] == curve.measured["accuracy"][i, at]
        ratio = loss.pruning.before[i] / curve.measured["surviving"][i, at]
        assert loss.quantized_ratio[i] == pytest.approx(ratio)
        test = curve.measured["accuracy"][i] >= curve.full_measured["accuracy"][i] - 0.01 - 1e-6
        fewest = loss.fewest_bits[i]
        assert np.all(test[curve.bits >= fewest]) or fewest == 16
        assert fewest == 2 or not test[curve.bits == fewest - 1][0]
    np.testing.assert_array_equal(curve.full_measured["accuracy"], loss.accuracy)
    np.testing.assert_allclose(loss.pruned_quantization.full_measured["accuracy"], loss.pruned_accuracy)
    for scores in loss.larger_scores.values():
        assert scores.shape == (2, 15)
        assert 0 <= scores.min() <= scores.max() < 1


def test_versions_are_those_of_the_curves(study):
    loss, model = study.result.losses[1], study.model
    variables = model.init(jax.random.key(3), study.data.test.inputs[:1].astype(np.float32))
    params = jax.tree.map(np.asarray, variables["params"])
    trained, pruned, quantized = versions_of(loss, {"params": params, "state": {"a": np.ones(1)}}, 1)
    jax.tree.map(np.testing.assert_array_equal, trained["params"], params)
    assert all(version["state"]["a"] == 1 for version in (trained, pruned, quantized))
    at = np.flatnonzero(loss.quantization.bits == loss.quantized_bits[1])[0]
    units = 2.0 ** loss.quantization.fraction_bits[1, at]
    for layer, leaves in params.items():
        threshold = np.float32(loss.pruning.threshold[layer][1, loss.step[1]])
        for name, leaf in leaves.items():
            np.testing.assert_array_equal(pruned["params"][layer][name], np.where(np.abs(leaf) < threshold, 0, leaf))
            whole = np.asarray(quantized["params"][layer][name]) * units
            np.testing.assert_array_equal(whole, np.round(whole))
            assert np.abs(whole).max() <= 2.0 ** (loss.quantized_bits[1] - 1)


def test_a_stored_loss_is_read_back(study, tmp_path):
    loss, made = study.result.losses[0], []

    def make():
        made.append(1)
        return loss

    assert load_or_make(None, make) is loss
    for _ in range(2):
        again = load_or_make(tmp_path / "loss.json", make)
        jax.tree.map(np.testing.assert_array_equal, again, loss)
    assert len(made) == 2  # once without a file, once with
    other = dataclasses.replace(loss, name="other")
    assert load_or_make(tmp_path / "loss.json", lambda: other).name == "H"
    text = (tmp_path / "loss.json").read_text()
    for damaged in ("", "[" * 100_000, text.replace('"H"', '"J"'), json.dumps({"loss": json.loads(text)["loss"]})):
        (tmp_path / "loss.json").write_text(damaged)
        with pytest.warns(UserWarning, match=r"loss\.json cannot be read: .* The result is computed again"):
            assert load_or_make(tmp_path / "loss.json", lambda: other).name == "other"
    (tmp_path / "H.json").write_text(text)
    with pytest.warns(UserWarning, match=r"H\.json cannot be read: it was written as .*/loss\.json"):
        load_or_make(tmp_path / "H.json", make)


@pytest.mark.parametrize("damage", ["", "{", '{"name": "os:system"}', "[" * 100_000, '{"name": NaN}'])
def test_a_stored_loss_that_cannot_be_read_is_made_again(study, tmp_path, damage):
    file, loss = tmp_path / "loss.json", study.result.losses[0]
    file.write_text(damage)
    with pytest.warns(UserWarning, match=r"loss\.json.*The result is computed again"):
        again = load_or_make(file, lambda: loss)
    jax.tree.map(np.testing.assert_array_equal, again, loss)
    jax.tree.map(np.testing.assert_array_equal, load_or_make(file, lambda: loss), loss)


def test_normalizations_are_not_compressed():
    assert not weights_only("last_norm/bias", None)
    assert not weights_only("block/BatchNorm_0/scale", None)
    assert weights_only("hidden_0/norm", None)  # the layer counts, not the leaf
