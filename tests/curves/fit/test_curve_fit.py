"""Predictions, intervals and inverses of fits with given parameters."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.forms import mmf, power_law, power_law_offset
from lcjax.kernels.compilation import jit_by_size
from lcjax.records import from_dict, to_dict
from tests.problems import fit_with_parameters, predict, predict_draws

SIZE = np.array([50.0, 400.0, 1e4])
size_for_error = jit_by_size(static_argnames="level")(CurveFit.size_for_error)
DRAWS = [(0.02, 0.9 + 0.01 * i, -0.8, 300.0 + 10 * i) for i in range(-5, 6)]


def formula(offset, start, exponent, middle, size=SIZE):
    return offset + (start - offset) / (1 + (size / middle) ** -exponent)


@pytest.fixture
def fit():
    return fit_with_parameters(mmf, 0.02, 0.9, -0.8, 300.0, draws=DRAWS)


def test_parameters_and_predictions_are_those_of_the_form(fit, x64):
    rtol = 1e-9 if x64 else 1e-4
    np.testing.assert_allclose(list(fit.parameters.values()), (0.02, 0.9, -0.8, 300.0), rtol=rtol)
    np.testing.assert_allclose(np.transpose(list(fit.parameter_draws.values())), DRAWS, rtol=rtol)
    np.testing.assert_allclose(predict(fit, SIZE), formula(0.02, 0.9, -0.8, 300.0), rtol=rtol)
    draws = np.stack([formula(*row) for row in DRAWS])
    np.testing.assert_allclose(predict_draws(fit, SIZE), draws, rtol=rtol)
    for limit, quantile in zip(jit_by_size()(lambda fit: fit.interval(SIZE, 0.8))(fit), (0.1, 0.9), strict=True):
        np.testing.assert_allclose(limit, np.quantile(draws, quantile, axis=0), rtol=rtol)


def test_units_and_reference_scale_error_and_size(fit):
    scaled = dataclasses.replace(fit, reference=np.log(10.0), unit=np.log(0.5))
    np.testing.assert_allclose(predict(scaled, 10 * SIZE), 0.5 * predict(fit, SIZE), rtol=1e-5)
    np.testing.assert_allclose(predict_draws(scaled, 10 * SIZE), 0.5 * predict_draws(fit, SIZE), rtol=1e-5)
    natural = scaled.parameters
    np.testing.assert_allclose([natural["offset"], natural["middle"]], [0.01, 3000.0], rtol=1e-4)


def test_a_batch_takes_common_or_separate_sizes(fit):
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), fit, dataclasses.replace(fit, unit=np.log(0.5)))
    both = predict(batch, SIZE)
    np.testing.assert_allclose(both, np.stack([predict(fit, SIZE), 0.5 * predict(fit, SIZE)]), rtol=1e-6)
    np.testing.assert_allclose(predict(batch, np.stack([SIZE, SIZE])), both, rtol=1e-6)
    draws = predict_draws(batch, SIZE)
    np.testing.assert_allclose(predict_draws(batch, np.stack([SIZE, SIZE])), draws, rtol=1e-6)
    assert draws.shape == (2, 11, 3)
    answer = size_for_error(batch, np.array([0.4, 0.2]), 0.9)
    expected = mmf.inverse(jnp.asarray(0.4), 0.02, 0.9, -0.8, 300.0)
    np.testing.assert_allclose(answer.value, expected, rtol=1e-4)
    assert answer.low.shape == (2,)


@pytest.mark.parametrize("guess", [np.asarray(0.5), np.asarray([0.5, 0.6])])
def test_guessing_limits_predictions(fit, guess):
    if guess.ndim:
        fit = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), fit)
    fit = dataclasses.replace(fit, guess=guess)
    prediction = np.asarray(predict(fit, SIZE))
    np.testing.assert_allclose(prediction[..., 0], guess, rtol=1e-6)
    assert np.max(prediction[..., 2]) < 0.1
    np.testing.assert_allclose(np.max(predict_draws(fit, SIZE), axis=(-1, -2)), guess, rtol=1e-6)


def test_size_for_error_inverts_predict(fit, x64):
    rtol = 1e-9 if x64 else 1e-4
    answer = size_for_error(fit, 0.1, 0.7)
    np.testing.assert_allclose(formula(0.02, 0.9, -0.8, 300.0, size=answer.value), 0.1, rtol=rtol)
    sizes = sorted(float(mmf.inverse(jnp.asarray(0.1), *row)) for row in DRAWS)
    np.testing.assert_allclose([answer.low, answer.high], [sizes[1], sizes[9]], rtol=rtol)
    assert (answer.level, answer.never) == (0.7, 0)
    beyond = size_for_error(fit, 0.01, 0.7)
    assert (np.isinf(beyond.value), beyond.never, beyond.status) == (True, 1, "unreachable")
    alone = dataclasses.replace(fit, draws=None).size_for_error(0.1)
    np.testing.assert_allclose(alone.value, answer.value, rtol=rtol)
    assert np.isnan([alone.low, alone.high, alone.level, alone.never]).all()


def test_a_fit_without_draws_says_how_to_get_them():
    with pytest.raises(ValueError, match="no bootstrap draws"):
        fit_with_parameters(power_law, 1.0, -0.5).interval(SIZE)


def test_fit_survives_json():
    fit = fit_with_parameters(power_law_offset, 0.05, 1.3, -0.4)
    again = from_dict(CurveFit, json.loads(json.dumps(to_dict(fit))))
    assert again.form is power_law_offset
    np.testing.assert_allclose(predict(again, SIZE), predict(fit, SIZE), rtol=1e-6)
    assert dataclasses.fields(again.flags) == dataclasses.fields(fit.flags)
