"""Speech models: exact sizes, forward passes by hand, padding, greedy decoding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.models.preactivations import apply_with_preactivations
from lcjax.models.sequence.speech import PLACES, AttentionSpeech, DeepSpeech
from tests.models.layers.test_recurrent import by_hand
from tests.models.problems import random_variables

GENERATOR = np.random.default_rng(0)
LENGTH = np.array([11, 6, 3], np.int32)
FRAMES = GENERATOR.normal(size=(3, 11, 6))  # values beyond the end must not matter
TARGET = np.array([[1, 2, 3, 2, 0], [1, 3, 0, 0, 0], [1, 2, 2, 4, 3]], np.int32)
INPUTS = {"frames": FRAMES, "length": LENGTH}
LABELS = np.array([[1, 2, 2], [2, 3, -1], [1, -1, -1]])
DEEP = DeepSpeech(4, 3, layers=2, filters=(2, 3), kernels=((5, 3), (3, 5)))


def padded(frames):
    """Add five frames beyond the end."""
    return np.pad(frames, ((0, 0), (0, 5), (0, 0)), constant_values=7.0)


@pytest.mark.parametrize(("units", "layers", "width"), [(512, 4, 1.0), (512, 4, 0.25), (800, 5, 1.0)])
def test_parameter_count_of_deep_speech(units, layers, width):
    inputs = {
        "frames": jax.ShapeDtypeStruct((1, 100, 81), jnp.float32),
        "length": jax.ShapeDtypeStruct((1,), jnp.int32),
    }
    variables = jax.eval_shape(DeepSpeech(29, units, layers, width).init, jax.random.key(0), inputs)
    h, features = round(units * width), 32 * 21
    convolutions = (41 * 11 + 1) * 32 + 64 + (21 * 11 * 32 + 1) * 32 + 64
    lstms = sum(2 * (4 * h * (d + h) + 4 * h) + 2 * h for d in [features] + (layers - 1) * [h])
    expected = convolutions + lstms + 29 * h
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == expected


def test_deep_speech_sees_each_utterance_as_if_it_were_alone():
    params = random_variables(DEEP, INPUTS)
    params["batch_stats"] = jax.tree.map(np.abs, params["batch_stats"])
    with jax.enable_x64(True):
        outputs = jax.jit(DEEP.apply)(params, INPUTS)
        assert outputs["logits"].shape == (3, 6, 4)
        assert outputs["length"].tolist() == [6, 3, 2]
        for k in range(3):
            alone = {"frames": FRAMES[k : k + 1, : LENGTH[k]], "length": LENGTH[k : k + 1]}
            expected = np.asarray(jax.jit(DEEP.apply)(params, alone)["logits"][0])
            np.testing.assert_allclose(outputs["logits"][k, : len(expected)], expected, rtol=1e-10)


@pytest.mark.slow
def test_padding_changes_nothing_in_training_either():
    params = random_variables(DEEP, INPUTS)

    @jax.jit
    def run(frames):
        inputs = {"frames": frames, "length": LENGTH}
        outputs, updated = DEEP.apply(params, inputs, train=True, mutable=["batch_stats"])
        return lc.models.ctc(outputs, LABELS), updated

    with jax.enable_x64(True):
        (losses, statistics), (again, same) = run(FRAMES), run(padded(FRAMES))
    assert (np.asarray(losses) > 0).all()
    np.testing.assert_allclose(again, losses, rtol=1e-12)
    for some, other in zip(jax.tree.leaves(same), jax.tree.leaves(statistics), strict=True):
        np.testing.assert_allclose(some, other, rtol=1e-11)


def test_the_first_convolution_has_its_axes_right():
    """Kernels and strides are given as frequencies x frames."""
    model = DeepSpeech(4, 3, layers=1, filters=(2,), kernels=((5, 3),), strides=((1, 2),))
    inputs = {"frames": np.float32(FRAMES), "length": LENGTH}
    params = random_variables(model, inputs, np.float32)
    assert params["params"]["convolutions_0"]["kernel"].shape == (3, 5, 1, 2)
    assert params["params"]["recurrent_0"]["forward"]["kernel"].shape == (6 * 2, 12)
    assert jax.eval_shape(model.apply, params, inputs)["logits"].shape == (3, 6, 4)


def spoken_by_hand(model, params, frames, target, steps=None):
    """Return scores and attention of each label for one utterance; with `steps`, the decoding from the start."""
    p, h = params, model.units
    value = frames
    for i in range(model.layers):
        if i:
            value = np.array([value[j : j + 2].max(axis=0) for j in range(0, len(value), 2)])
        layer, cell = p[f"encoder_{i}"], model.cell(h)
        ahead, _, _ = by_hand(cell, layer["forward"], value)
        back, _, _ = by_hand(cell, layer["backward"], value[::-1])
        value = np.concatenate([ahead, back[::-1]], axis=1)
    d, keys = p["decoder"], value @ p["decoder"]["keys"]["kernel"] + p["decoder"]["keys"]["bias"]
    looks, context = np.zeros(len(value)), np.zeros(2 * h)
    first = second = (np.zeros(h), np.zeros(h))
    logits, seen, label = [], [], target[0]
    for n in range(len(target) if steps is None else steps):
        label = target[n] if steps is None else label
        read = np.concatenate([p["embedding"]["embedding"][label], context])
        (state,), _, first = by_hand(model.cell(h), d["attending"], read[None], first)
        places = np.array([np.pad(looks, PLACES)[s : s + 2 * PLACES + 1] for s in range(len(value))])
        scores = np.exp(np.tanh(state @ d["query"] + keys + places @ d["location"]) @ d["score"])
        looks = scores / scores.sum()
        context = looks @ value
        (out,), _, second = by_hand(model.cell(h), d["emitting"], np.concatenate([state, context])[None], second)
        logits.append(out @ p["head"]["kernel"] + p["head"]["bias"])
        seen.append(looks)
        label = logits[-1].argmax()
        if steps is not None and label == model.end:
            break
    return np.array(logits), np.array(seen)


@pytest.mark.parametrize(("cell", "end"), [pytest.param(lc.models.LSTM, 0, marks=pytest.mark.slow), (lc.models.GRU, 1)])
def test_attention_model_and_its_greedy_decoding_match_numpy(cell, end):
    model = AttentionSpeech(5, end, 4, cell)
    params = random_variables(model, {**INPUTS, "target": TARGET}, scale=1.5)
    params["params"]["head"]["bias"][:] = 0
    params["params"]["embedding"]["embedding"] *= 4  # labels matter
    run = jax.jit(lambda x: (model.apply(params, x), model.apply(params, x, method="attention")))
    with jax.enable_x64(True):
        outputs, looks = jax.tree.map(np.asarray, run({**INPUTS, "target": TARGET}))
        longer = {"frames": padded(FRAMES), "length": LENGTH, "target": TARGET}
        again, _ = jax.tree.map(np.asarray, run(longer))
    np.testing.assert_allclose(again["logits"], outputs["logits"], rtol=1e-12)
    np.testing.assert_array_equal(again["decoded"], outputs["decoded"])
    np.testing.assert_allclose(looks.sum(axis=-1), 1, rtol=1e-12)
    ended = []
    for k in range(3):
        p, frames, n = params["params"], FRAMES[k, : LENGTH[k]], -(-LENGTH[k] // 4)
        expected, seen = spoken_by_hand(model, p, frames, TARGET[k])
        np.testing.assert_allclose(outputs["logits"][k], expected, rtol=1e-10)
        np.testing.assert_allclose(looks[k, :, :n], seen, rtol=1e-10)
        assert (looks[k, :, n:] == 0).all()
        decoded = spoken_by_hand(model, p, frames, TARGET[k], steps=5)[0].argmax(axis=1).tolist()
        assert outputs["decoded"][k].tolist() == decoded + [-1] * (5 - len(decoded))
        ended.append(decoded[-1] == model.end and len(decoded) < 5)
    assert any(ended)  # one stops before the maximum length


def test_training_decodes_nothing_and_sees_all_layers():
    inputs = {"frames": np.float32(FRAMES), "length": LENGTH, "target": TARGET}
    model = AttentionSpeech(5, 4, 3, lc.models.GRU, layers=2)
    params = random_variables(model, inputs, np.float32)
    outputs, scalars = jax.jit(lambda p: apply_with_preactivations(model, p, inputs, train=True))(params)
    assert set(outputs) == {"logits"}
    assert set(scalars) == {"encoder_0", "encoder_1", "decoder", "decoder/keys", "head"}
    assert all(float(value) > 0 for value in scalars.values())
    deep = random_variables(DEEP, INPUTS, np.float32)
    deep["batch_stats"] = jax.tree.map(np.abs, deep["batch_stats"])
    scalars = jax.jit(lambda p: apply_with_preactivations(DEEP, p, inputs))(deep)[1]
    assert set(scalars) == {"convolutions_0", "convolutions_1", "recurrent_0", "recurrent_1", "head"}


@pytest.mark.slow
def test_models_under_vmap_equal_one_by_one():
    inputs = {"frames": np.float32(FRAMES), "length": LENGTH, "target": TARGET}
    deep = DeepSpeech(4, 3, layers=1, filters=(2,), kernels=((5, 3),), strides=((2, 2),))
    attention = AttentionSpeech(5, 4, 3, lc.models.GRU, layers=1)

    def loss(params):
        heard, _ = deep.apply(params[0], inputs, train=True, mutable=["batch_stats"])
        spoken = attention.apply(params[1], inputs, train=True)
        return jnp.mean(lc.models.ctc(heard, LABELS)) + jnp.mean(lc.models.token_cross_entropy(spoken, TARGET))

    one = random_variables(deep, inputs, np.float32), random_variables(attention, inputs, np.float32)
    both = jax.tree.map(lambda leaf: np.stack([leaf, 0.5 * leaf]), one)
    run = jax.value_and_grad(loss)
    together, alone = jax.jit(jax.vmap(run))(both), jax.jit(run)
    for i in range(2):
        expected = alone(jax.tree.map(lambda leaf, i=i: leaf[i], both))
        for some, other in zip(jax.tree.leaves(together), jax.tree.leaves(expected), strict=True):
            assert np.isfinite(other).all()
            np.testing.assert_allclose(some[i], other, rtol=1e-3, atol=2e-4)


def test_bad_inputs_are_refused():
    def initialize(model, **changed):
        jax.eval_shape(model.init, jax.random.key(0), {**INPUTS, "target": TARGET, **changed})

    with pytest.raises(ValueError, match=r"got \(3, 11, 6\) and \(2,\)"):
        initialize(DEEP, length=LENGTH[:2])
    with pytest.raises(ValueError, match=r"got \(3, 11\) and \(3,\)"):
        initialize(AttentionSpeech(5, 4, 3), frames=FRAMES[..., 0])
    with pytest.raises(ValueError, match="end=5 of 5"):
        initialize(AttentionSpeech(5, 5, 3))
    with pytest.raises(ValueError, match=r"must be odd, got \(\(4, 3\),"):
        initialize(DeepSpeech(4, 3, filters=(2,), kernels=((4, 3),), strides=((1, 1),)))
    with pytest.raises(ValueError, match="at least one LSTM, got layers=0"):
        initialize(DeepSpeech(4, 3, layers=0))
