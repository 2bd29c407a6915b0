"""Caveats: each appears with its cause, and only then."""

import dataclasses

import numpy as np
import pytest

import lcjax as lc
from lcjax.curves.answer.target import TargetAnswer
from lcjax.curves.forecast.diagnosis import diagnose_draws
from lcjax.studies.prediction.answer.answer import Answer
from lcjax.studies.prediction.bottlenecks import BottleneckSweep
from lcjax.studies.prediction.caveats import caveats, held_out_factor
from lcjax.studies.prediction.record import Method, Prediction
from lcjax.theory.dimension import EffectiveDimension

SIZE = np.array([100.0, 200.0, 400.0, 800.0])


def curve(scale=0.2, **fields):
    return lc.LearningCurve(SIZE, scale * (SIZE / 100) ** -0.5, np.full(4, 0.005), **fields)


def method(*, converged=True, **parameters):
    parameters = {name: np.asarray(number) for name, number in parameters.items()}
    return Method(curve(), np.zeros((2, 4)), None, parameters, np.asarray(converged))


def answer(value=1600.0):
    size = lc.SizeForError(*np.array([value, 0.9 * value, 1.1 * value]), 0.9, np.array(0.0))
    target = TargetAnswer(0.05, size, size, np.array(0.0), size, None)
    diagnosis = diagnose_draws(800.0, np.full((2, 4), 0.1))
    return Answer(curve(), np.zeros((2, 4)), np.zeros((2, 4)), target, diagnosis, {}, None, "test", "")


def sound(**change):
    density = lc.Gaussian(np.zeros((1, 2)), np.eye(2)[None])
    prediction = Prediction(
        answer=answer(),
        measured=curve(train_error=np.zeros(4)),
        validation=curve(train_error=np.full(4, 0.01)),
        fitted=np.array([True, True, False, False]),
        dimension=np.asarray(2),
        bottleneck=None,
        train_density=density,
        test_density=density,
        methods={"poisson": method(radius=[1.0]), "power_law": method(exponent=-0.5)},
        refitted={},
        held_out={},
        exponents={},
        held_out_features={},
        new_groups=None,
    )
    return dataclasses.replace(prediction, **change)


def with_methods(**methods):
    return {"methods": {**sound().methods, **methods}}


def bottleneck(established, value=2):
    fields = {field.name: None for field in dataclasses.fields(BottleneckSweep)}
    estimate = {field.name: None for field in dataclasses.fields(EffectiveDimension)}
    estimate |= {"established": np.asarray(established), "value": np.asarray(value)}
    return {"bottleneck": BottleneckSweep(**{**fields, "estimate": EffectiveDimension(**estimate)})}


def test_nothing_speaks_against_a_sound_prediction():
    assert caveats(sound(**bottleneck(True)), chance_error=0.4, target_error=0.05) == []
    assert caveats(sound(measured=None), chance_error=0.4, target_error=0.05) == []
    assert caveats(sound(validation=curve()), chance_error=0.4) == []


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, {"chance_error": 0.3}, "At 100 examples"),
        ({"validation": curve(train_error=np.array([0.0, 0.011, 0.0, 0.0]))}, {}, "The training error reaches 1.1%"),
        ({"validation": curve(train_error=np.array([0.0, np.nan, 0.0, 0.0]))}, {}, "The training error reaches nan%"),
        (with_methods(poisson=method(converged=False, radius=[1.0])), {}, "poisson law did not converge"),
        ({"validation": lc.LearningCurve(SIZE, np.array([0.1, 0.1, 0.11, 0.12]))}, {}, "The error rises from 10.0%"),
        (
            {"validation": lc.LearningCurve(SIZE, np.array([0.1, 0.05, 0.0, 0.0]), test_count=np.asarray(200))},
            {},
            "No mistake was made at 400, 800 examples. It counts as half a mistake, an error of 0.25%",
        ),
        (bottleneck(True, value=3), {}, "The features span fewer than 3 directions"),
        (bottleneck(False), {}, "No width is shown to lose less than the margin"),
        ({"dimension": np.asarray(4)}, {}, "exponent -0.50, which corresponds to dimension 2.0 in the theory, not 4"),
        ({"dimension": np.asarray(1)}, {}, "dimension 2.0 in the theory, not 1"),
        (with_methods(power_law=method(exponent=0.0)), {}, "dimension inf in the theory"),
        (
            {"answer": answer(300.0)},
            {"target_error": 0.05},
            "300 examples reach an error of 0.05, but the measured test error at 800 examples is 0.0707",
        ),
        ({"answer": answer(800.0)}, {"target_error": 0.05}, "800 examples reach an error of 0.05"),
    ],
)
def test_each_cause_has_its_sentence(change, options, words):
    sentences = caveats(sound(**change), **{"chance_error": 0.4, **options})
    assert len(sentences) == 1
    assert words in sentences[0]


def test_an_answer_within_two_standard_errors_is_not_contradicted():
    assert caveats(sound(answer=answer(700.0)), chance_error=0.4, target_error=0.065) == []
    assert len(caveats(sound(answer=answer(700.0)), chance_error=0.4, target_error=0.06)) == 1


def test_a_power_law_that_did_not_converge_has_no_radius_to_doubt():
    change = with_methods(power_law=method(converged=False, exponent=-0.5))
    assert caveats(sound(**change), chance_error=0.4) == []


def test_factor_is_that_of_the_root_mean_square_logarithm():
    factors = held_out_factor({"a": np.log([2.0, 8.0]), "b": np.array([]), "c": np.array([0.0, np.inf])})
    assert list(factors) == ["a", "c", "b"]
    assert factors["a"] == pytest.approx(2 ** np.sqrt(5))
    assert factors["c"] == np.inf
    assert np.isnan(factors["b"])
