import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lcjax.planning.slices import divide_budget


@given(seed=st.integers(0, 2**32 - 1), budget=st.floats(1.0, 400.0))
def test_power_laws_get_what_the_lagrangian_gives(seed, budget):
    """With losses a / n the optimum is n_i proportional to (a_i / c_i)^0.5, if no type gets less than it has."""
    rng = np.random.default_rng(seed)
    scale, cost = rng.uniform(1.0, 2.0, 3), rng.uniform(1.0, 2.0, 3)
    start = 100.0 * np.sqrt(scale / cost)
    size = start[:, None] + np.linspace(0.0, 1.0, 400) * budget / cost[:, None]
    share = np.sqrt(scale / cost)
    exact = share * (np.sum(cost * start) + budget) / np.sum(cost * share)
    bought = divide_budget(size, scale[:, None] / size, cost, budget)
    np.testing.assert_allclose(bought, exact, rtol=0.01)
    np.testing.assert_allclose(np.sum(cost * (bought - start)), budget)


def test_data_that_do_not_help_are_not_bought():
    size = np.tile(np.linspace(100.0, 200.0, 11), (2, 1))
    bought = divide_budget(size, np.stack([size[0] * 0.01, 10 / size[1]]), np.ones(2), 50.0)
    np.testing.assert_allclose(bought, [100.0, 150.0])


def test_a_plateau_before_a_fall_is_crossed_by_the_hull():
    size = np.array([[100.0, 150.0, 200.0], [100.0, 150.0, 200.0]])
    loss = np.array([[1.0, 1.0, 0.5], [1.0, 0.9, 0.85]])
    np.testing.assert_allclose(divide_budget(size, loss, np.ones(2), 100.0), [200.0, 100.0])
