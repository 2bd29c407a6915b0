"""Class numbers outside the outputs, and targets that broadcasting would pair with every output."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.models import losses
from lcjax.models.sequence_losses import ctc, token_cross_entropy, token_mistakes

OUTPUTS = jnp.array([[0.0] * 9 + [50.0]] * 4)


@pytest.mark.parametrize("loss", [lc.cross_entropy, losses.multiclass_hinge, losses.largest_hinge])
def test_the_loss_of_a_target_that_is_no_class_is_nan(loss):
    whole, real = jnp.array([10, -1, 9, 0]), jnp.array([jnp.nan, 0.5, 9.0, 0.0])
    assert np.isnan(jax.jit(loss)(OUTPUTS, whole)).tolist() == [True, True, False, False]
    total, gradient = jax.jit(jax.value_and_grad(lambda outputs: jnp.sum(loss(outputs, real)[2:])))(OUTPUTS)
    assert np.isfinite(total)
    assert np.isfinite(gradient).all()
    assert np.isnan(loss(OUTPUTS, real)).tolist() == [True, True, False, False]


def test_the_margin_of_a_label_that_is_no_class_is_nan():
    assert np.isnan(lc.complexity.margins(jnp.array([[1.0, 2.0]] * 2), jnp.array([5, -1]))).all()


def test_tokens_outside_the_vocabulary_give_nan_and_padding_does_not():
    scores = jnp.zeros((3, 2, 5))
    targets = jnp.array([[1, 5], [1, -1], [0, 4]])
    assert np.isnan(token_cross_entropy(scores, targets)).tolist() == [True, False, False]
    with jax.debug_nans(True):
        assert token_cross_entropy(scores[1:], targets[1:]).tolist() == pytest.approx([np.log(5), 2 * np.log(5)])


@pytest.mark.slow
def test_labels_outside_the_alphabet_give_nan():
    outputs = {"logits": jnp.zeros((3, 4, 5)), "length": jnp.array([4, 4, 4])}
    assert np.isnan(ctc(outputs, jnp.array([[1, 5], [1, -1], [0, 4]]))).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("function", "outputs", "targets", "message"),
    [
        (lc.cross_entropy, (3, 10), (3, 1), r"cross_entropy needs targets of shape \(3,\).*use targets\[..., 0\]"),
        (lc.cross_entropy, (3, 10), (3, 10), r"got \(3, 10\): use targets.argmax\(-1\)"),
        (lc.cross_entropy, (3, 10), (), r"got \(\)\."),
        (losses.multiclass_hinge, (3, 10), (3, 1), r"multiclass_hinge needs .* got \(3, 1\)"),
        (losses.largest_hinge, (3, 10), (1,), r"largest_hinge needs .* got \(1,\)"),
        (losses.mean_squared_error, (3, 1), (3, 1), r"mean_squared_error needs .* got \(3, 1\)"),
        (lc.complexity.margins, (3, 10), (3, 1), r"one class for each of 3 outputs, got shape \(3, 1\)"),
        (token_cross_entropy, (3, 4, 10), (3, 1), r"token_cross_entropy needs .* got \(3, 1\)"),
        (token_mistakes, (3, 4, 10), (3, 1), r"token_mistakes needs .* got \(3, 1\)"),
    ],
)
def test_targets_of_another_shape_are_refused(function, outputs, targets, message):
    with pytest.raises(ValueError, match=message):
        function(jnp.zeros(outputs), jnp.ones(targets, float if function is losses.mean_squared_error else int))
