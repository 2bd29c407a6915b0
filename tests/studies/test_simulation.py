import json

import jax
import numpy as np
import pytest
import scipy.stats

from lcjax.records import from_dict, to_dict
from lcjax.studies.simulation import DIMENSIONS, SIZES, Simulation, simulate_learning_curve


@pytest.fixture(scope="module")
def small():
    reported = []
    simulation = simulate_learning_curve(
        jax.random.key(0),
        dimensions=(3,),
        sizes=(100, 400, 1600),
        test_size=300,
        precise_repeats=30,
        on_progress=reported.append,
    )
    return simulation, reported


def test_simulation_agrees_with_the_exact_law_and_not_with_the_papers(small):
    simulation, _ = small
    assert np.abs(simulation.zscore).max() < 4
    wrong = (simulation.precise.error - simulation.law["hypercube"]) / simulation.precise.standard_error
    assert np.abs(wrong).min() > 5
    z = (simulation.paper.error - simulation.law["binomial"]) / simulation.paper.standard_error
    assert np.abs(z).max() < 5


def test_deviations_are_those_of_the_curves(small):
    simulation, _ = small
    exact = simulation.law["binomial"]
    np.testing.assert_allclose(simulation.deviation["poisson"], simulation.law["poisson"] / exact - 1)
    np.testing.assert_allclose(
        simulation.largest_deviation["hypercube"], np.abs(simulation.law["hypercube"] / exact - 1).max(axis=1)
    )
    np.testing.assert_allclose(
        simulation.mean_deviation["simulation"], np.abs(simulation.precise.error / exact - 1).mean(axis=1)
    )


def test_a_fitted_radius_absorbs_the_constant_of_a_law(small):
    simulation, _ = small
    for law in ("hypercube", "poisson"):
        assert np.abs(simulation.fitted_deviation[law][0, :2]).max() < 0.01  # fitted to two of the three sizes
        assert np.abs(simulation.fitted_deviation[law]).max() < simulation.largest_deviation[law][0]
    # The paper's law is too low in three dimensions, so its radius comes out too small.
    assert simulation.fitted_radius["hypercube"][0] < 0.95
    assert simulation.fitted_radius["poisson"][0] == pytest.approx(1, abs=0.02)


def test_progress_goes_up_to_the_end(small):
    _, reported = small
    done = [progress.done for progress in reported]
    assert len(done) == 3
    assert np.all(np.diff(done) > 0)
    assert done[-1] == pytest.approx(reported[-1].total)


def test_record_survives_json(small):
    simulation, _ = small
    back = from_dict(Simulation, json.loads(json.dumps(to_dict(simulation))))
    np.testing.assert_array_equal(back.zscore, simulation.zscore)
    np.testing.assert_array_equal(back.paper.replicates, simulation.paper.replicates)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimensions": (0, 2)}, r"got dimensions \(0, 2\)"),
        ({"sizes": ()}, r"sizes \(\)"),
        ({"radius": 0.0}, "radius must lie in"),
        ({"repeats": 1}, "at least two repeats, got 1 and 30"),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        simulate_learning_curve(jax.random.key(0), **change)


@pytest.mark.parametrize(
    "sizes",
    [pytest.param(SIZES[:5], marks=pytest.mark.slow), pytest.param(SIZES, marks=pytest.mark.acceptance)],
    ids=len,
)
def test_simulation_is_within_three_standard_errors_of_the_exact_law_everywhere(sizes):
    simulation = simulate_learning_curve(jax.random.key(0), sizes=sizes)
    assert simulation.zscore.shape == (len(DIMENSIONS), len(sizes))
    assert np.abs(simulation.zscore).max() < 3
    # Scores are Student's t with 29 degrees of freedom, of variance 29 / 27.
    chi_square = (simulation.zscore**2).sum() * 27 / 29
    assert scipy.stats.chi2.sf(chi_square, simulation.zscore.size) > 1e-3
