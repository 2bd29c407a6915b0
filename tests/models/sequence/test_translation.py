"""Translation: exact sizes, a forward pass by hand, attention, padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.models.layers.attention import masked_softmax
from lcjax.models.preactivations import apply_with_preactivations
from lcjax.models.sequence.translation import Translation
from tests.models.layers.test_recurrent import by_hand
from tests.models.problems import random_variables

GENERATOR = np.random.default_rng(0)
SOURCE = GENERATOR.integers(1, 9, (3, 6)).astype(np.int32)
SOURCE[1, 3:] = SOURCE[2, 5:] = 0
TARGET = GENERATOR.integers(0, 8, (3, 5)).astype(np.int32)
INPUTS = {"source": SOURCE, "target": TARGET[:, :-1]}
TARGETS = TARGET[:, 1:].copy()
TARGETS[0, 2:] = -1
MODELS = [Translation(9, 8, 4), Translation(9, 8, 4, bidirectional=True)]


def count(model):
    tokens = jax.ShapeDtypeStruct((1, 25), jnp.int32)
    variables = jax.eval_shape(model.init, jax.random.key(0), {"source": tokens, "target": tokens})
    return sum(leaf.size for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize(
    ("units", "paper"), [(108, 8_389_269), (678, 67_545_009), (208, 16_934_469), (512, 47_701_701)]
)
def test_parameter_counts_of_the_paper(units, paper):
    assert paper == 39 * units**2 + 32 * units + 73_096 * units + 36_549
    assert count(Translation(units=units)) == paper
    assert count(Translation(units=units, bidirectional=True)) == paper - 4 * units**2


def test_an_odd_width_in_both_directions_is_rounded_up():
    assert count(Translation(9, 8, 100, bidirectional=True, width=0.05)) == count(
        Translation(9, 8, 6, bidirectional=True)
    )
    assert count(Translation(9, 8, 100, width=0.05)) == count(Translation(9, 8, 5))


def translated_by_hand(model, params, source, target):
    """Return scores and attention weights for one pair."""
    p = jax.tree.map(np.float64, params)
    h, source, encoded = model.units, source[source != 0], None
    states, value = [], p["source_embedding"]["embedding"][source]
    for i in range(model.layers):
        layer = p[f"encoder_{i}"]
        if model.bidirectional:
            cell = lc.models.LSTM(h // 2, second_bias=True)
            ahead, _, one = by_hand(cell, layer["forward"], value)
            back, _, other = by_hand(cell, layer["backward"], value[::-1])
            value = np.concatenate([ahead, back[::-1]], axis=1)
            states.append(tuple(np.concatenate(pair) for pair in zip(one, other, strict=True)))
        else:
            value, _, state = by_hand(lc.models.LSTM(h, second_bias=True), layer, value)
            states.append(state)
    encoded, decoder = value, p["decoder"]
    vector, logits, looks = np.zeros(h), [], []
    for token in target:
        value = np.concatenate([p["target_embedding"]["embedding"][token], vector])
        for i in range(model.layers):
            (value,), _, states[i] = by_hand(
                lc.models.LSTM(h, second_bias=True), decoder[f"cells_{i}"], value[None], states[i]
            )
        scores = np.exp(encoded @ decoder["scoring"]["kernel"] @ value)
        looks.append(scores / scores.sum())
        vector = np.tanh(np.concatenate([looks[-1] @ encoded, value]) @ decoder["combining_kernel"])
        logits.append(p["target_embedding"]["embedding"] @ vector + p["head"]["bias"])
    return np.array(logits), np.array(looks)


@pytest.mark.parametrize(
    "model", [pytest.param(MODELS[0], marks=pytest.mark.slow), MODELS[1]], ids=["one direction", "both"]
)
def test_scores_and_attention_match_numpy(model):
    params = random_variables(model, INPUTS)["params"]
    with jax.enable_x64(True):
        run = jax.jit(lambda p, x: (model.apply(p, x), model.apply(p, x, method="attention")))
        logits, looks = (np.asarray(leaf) for leaf in run({"params": params}, INPUTS))
        longer = {
            "source": np.pad(SOURCE, ((0, 0), (0, 3))),
            "target": np.pad(INPUTS["target"], ((0, 0), (0, 2)), constant_values=5),
        }
        padded, _ = run({"params": params}, longer)
        losses = lc.models.token_cross_entropy(logits, TARGETS)
        targets = np.pad(TARGETS, ((0, 0), (0, 2)), constant_values=-1)
        np.testing.assert_allclose(lc.models.token_cross_entropy(padded, targets), losses, rtol=1e-12)
    np.testing.assert_allclose(np.sum(looks, axis=-1), 1, rtol=1e-12)
    assert (looks[np.broadcast_to((SOURCE == 0)[:, None], looks.shape)] == 0).all()
    for k in range(3):
        expected, expected_looks = translated_by_hand(model, params, SOURCE[k], INPUTS["target"][k])
        np.testing.assert_allclose(logits[k], expected, rtol=1e-10)
        np.testing.assert_allclose(looks[k][:, SOURCE[k] != 0], expected_looks, rtol=1e-10)


@pytest.mark.slow
def test_models_under_vmap_equal_one_by_one():
    model = MODELS[0]
    one = random_variables(model, INPUTS, np.float32)
    params = jax.tree.map(lambda leaf: np.stack([leaf, 0.5 * leaf]), one)
    run = jax.value_and_grad(lambda p: lc.models.token_cross_entropy(model.apply(p, INPUTS), TARGETS).mean())
    together, alone = jax.jit(jax.vmap(run))(params), jax.jit(run)
    for i in range(2):
        expected = alone(jax.tree.map(lambda leaf, i=i: leaf[i], params))
        for some, other in zip(jax.tree.leaves(together), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(some[i], other, atol=1e-5)


def test_dropout_and_preactivations():
    model = Translation(9, 8, 4, dropout=0.5)
    params = random_variables(model, INPUTS, np.float32)
    features = jax.jit(
        lambda p: model.apply(p, INPUTS, train=True, rngs={"dropout": jax.random.key(0)}, method="features")
    )(params)
    assert 0.2 < (np.asarray(features) == 0).mean() < 0.8
    outputs, scalars = jax.jit(lambda p: apply_with_preactivations(model, p, INPUTS))(params)
    np.testing.assert_allclose(outputs, jax.jit(MODELS[0].apply)(params, INPUTS), rtol=1e-5)
    assert set(scalars) == {"encoder_0", "encoder_1", "decoder", "decoder/scoring", "head"}
    expected = np.mean(np.sum(np.square(np.float64(outputs)), axis=(1, 2)) / 2)
    assert float(scalars["head"]) == pytest.approx(expected, rel=1e-5)


def test_a_source_of_padding_alone_gives_numbers():
    weights = masked_softmax(jnp.array([[1.0, 2.0], [1.0, 2.0]]), jnp.array([[False, False], [False, True]]))
    assert weights.tolist() == [[0.0, 0.0], [0.0, 1.0]]
    gradient = jax.jit(jax.grad(lambda x: masked_softmax(x, jnp.zeros(2, bool)).sum()))(jnp.array([1.0, 2.0]))
    assert gradient.tolist() == [0.0, 0.0]


def test_bad_inputs_are_refused():
    with pytest.raises(ValueError, match="3 sources and 2 targets"):
        jax.eval_shape(MODELS[0].init, jax.random.key(0), {"source": SOURCE, "target": TARGET[:2]})
    with pytest.raises(ValueError, match="at least one layer, got layers=0"):
        jax.eval_shape(Translation(layers=0).init, jax.random.key(0), INPUTS)
