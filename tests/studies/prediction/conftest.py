"""A small prediction, with its sweeps, shared by the tests of its parts."""

import types

import jax
import pytest

import lcjax as lc
from lcjax.curves.forecast.forecast import forecast
from lcjax.records import to_dict
from lcjax.studies import sweeps
from lcjax.studies.prediction import bottlenecks, predict
from lcjax.studies.prediction.methods import bayesian

OPTIONS = {
    "fractions": (0.1, 0.2, 0.3, 0.75, 1.0),
    "seeds": 2,
    "widths": (1, 2, 4),
    "laws": (lc.laws.hypercube,),
    "target_error": 0.3,
    "draws": 20,
}


@pytest.fixture(scope="session")
def options():
    return dict(OPTIONS)


@pytest.fixture(scope="session", autouse=True)
def _forecasts_once():
    """Compute the forecast of the same curves once: without optimization it takes a second a curve."""
    known = {}

    def forecast_once(key, curve, **options):
        name = repr((jax.random.key_data(key).tolist(), to_dict(curve), options["chance"]))
        if name not in known:
            known[name] = forecast(key, curve, **options)
        return known[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bayesian, "forecast", forecast_once)
        patch.setattr(bayesian, "COPIES", 1)
        yield


@pytest.fixture(scope="session")
def study(tmp_path_factory, key, small, recipe):
    folder, events, results = tmp_path_factory.mktemp("predict"), [], []

    def run_stage(*arguments, **named):
        results.append(sweeps.run_stage(*arguments, **named))
        return results[-1]

    with pytest.MonkeyPatch.context() as patch:
        for module in (predict, bottlenecks):
            patch.setattr(module, "run_stage", run_stage)
        prediction = lc.predict_learning_curve(
            key, small, recipe, folder=str(folder), on_progress=events.append, **OPTIONS
        )
    trained, tuned = results
    return types.SimpleNamespace(prediction=prediction, folder=folder, events=events, trained=trained, tuned=tuned)
