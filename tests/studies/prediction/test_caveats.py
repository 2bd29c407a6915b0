"""Each caveat appears when its cause is there, and only then."""

import dataclasses

import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.prediction.caveats import caveats, held_out_factor
from lcjax.studies.prediction.record import Prediction, SizeForTarget


def sound(**change):
    size = np.array([100.0, 200.0, 400.0, 800.0])
    error = 0.2 * (size / 100) ** -0.5
    curve = lc.LearningCurve(size, error, np.full(4, 0.005), train_error=np.zeros(4))
    density = lc.Gaussian(np.zeros((1, 2)), np.eye(2)[None])
    prediction = Prediction(
        measured=curve,
        validation=curve,
        fitted=np.array([True, True, False, False]),
        dimension=np.asarray(2),
        bottleneck=None,
        train=density,
        test=density,
        radius={},
        converged={"poisson": np.asarray(True)},
        exponent=np.asarray(-0.5),
        predicted={},
        interval={},
        size_for_target={"power_law": SizeForTarget(np.asarray(1600.0), np.asarray(1500.0), np.asarray(1700.0))},
        held_out_log_error={},
    )
    return dataclasses.replace(prediction, **change)


def test_nothing_speaks_against_a_sound_prediction():
    assert caveats(sound(), chance_error=0.9, target_error=0.05) == []


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, {"chance_error": 0.3}, "At 100 examples"),
        (
            {"validation": dataclasses.replace(sound().validation, train_error=np.array([0.0, 0.09, 0.0, 0.0]))},
            {},
            "The training error reaches 9.0%",
        ),
        ({"converged": {"poisson": np.asarray(False)}}, {}, "poisson did not converge"),
        ({"dimension": np.asarray(4)}, {}, "at dimension 2.0, not at 4"),
        ({"exponent": np.asarray(0.0)}, {}, "at dimension inf"),
        (
            {"size_for_target": {"hypercube": SizeForTarget(*np.array([300.0, 200.0, 400.0]))}},
            {"target_error": 0.05},
            "Hypercube answers 300 examples for 0.05, but at 800 the measured test error is 0.0707",
        ),
    ],
)
def test_each_cause_has_its_sentence(change, options, words):
    found = caveats(sound(**change), **{"chance_error": 0.9, **options})
    assert len(found) == 1
    assert words in found[0]


def test_an_answer_within_two_standard_errors_is_not_contradicted():
    answer = {"hypercube": SizeForTarget(*np.array([700.0, 600.0, 800.0]))}
    assert caveats(sound(size_for_target=answer), chance_error=0.9, target_error=0.065) == []


def test_factor_is_that_of_the_root_mean_square_logarithm():
    factors = held_out_factor({"a": np.log([2.0, 8.0]), "b": np.array([]), "c": np.array([0.0, np.inf])})
    assert list(factors) == ["a", "c", "b"]
    assert factors["a"] == pytest.approx(2 ** np.sqrt(5))
    assert factors["c"] == np.inf
    assert np.isnan(factors["b"])
