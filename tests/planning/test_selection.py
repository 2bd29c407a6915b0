import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.planning.schedule import cheapest_schedules
from lcjax.planning.selection import Criterion, best_options, schedule_options

START = 100.0
CRITERIA = [
    Criterion(penalty=60.0), Criterion(risk=0.4), Criterion(budget=70.0), Criterion(penalty=300.0, budget=60.0),
    Criterion(risk=0.6, budget=80.0),
]  # fmt: skip


def random_options(seed, count=6, rounds=2, cost=1.0):
    rng = np.random.default_rng(seed)
    draws = START + rng.integers(1, 60, count).astype(float)
    draws[rng.random(count) < 0.1] = np.inf
    return schedule_options(cheapest_schedules(draws, START, cost=cost, fixed_cost=1.0, rounds=rounds))


def judge(types, chosen, criterion):
    """Return the loss of a choice, inf if it breaks a constraint, as a tuple to compare."""
    pairs = list(zip(types, chosen, strict=True))
    expected, most = sum(o.expected[i] for o, i in pairs), sum(o.most[i] for o, i in pairs)
    missing = 1 - np.prod([o.reach[i] for o, i in pairs])
    if most > criterion.budget * (1 + 1e-9) or (criterion.risk is not None and missing > criterion.risk + 1e-9):
        return (np.inf,)
    if criterion.penalty is not None:
        return (expected + criterion.penalty * missing,)
    return (expected,) if criterion.risk is not None else (missing, expected)


@pytest.mark.parametrize("criterion", CRITERIA)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_choice_for_one_type_is_the_best_of_all(criterion, seed):
    options = random_options(seed)
    best = min(judge([options], [i], criterion) for i in range(len(options.reach)))
    chosen = best_options([options], criterion)
    if best == (np.inf,):
        assert chosen is None
    else:
        np.testing.assert_allclose(judge([options], chosen, criterion), best, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_choice_for_two_types_keeps_constraints_and_is_close_to_the_best(criterion):
    ratios = []
    for seed in range(15):
        types = [random_options([seed, 0], count=20), random_options([seed, 1], count=20, cost=0.5)]
        every = itertools.product(*(range(len(o.reach)) for o in types))
        best = min(judge(types, chosen, criterion) for chosen in every)
        chosen = best_options(types, criterion)
        if chosen is None:
            ratios.append(1.0 if best == (np.inf,) else np.inf)
            continue
        found = judge(types, chosen, criterion)
        assert found < (np.inf,)
        assert found[0] >= best[0] - 1e-9
        ratios.append(1.0 if found[0] - best[0] < 1e-9 else found[0] / best[0])
    assert np.mean(ratios) < 1.03


@given(seed=st.integers(0, 2**32 - 1))
def test_costs_and_chances_are_monotone(seed):
    """A larger penalty misses less, a smaller risk costs more, and more rounds never cost more."""
    penalties = [1.0, 10.0, 100.0, 1000.0]
    options = [random_options(seed, count=30, rounds=rounds) for rounds in (1, 2, 3, 4, 5)]
    picks = [best_options(options[2:3], Criterion(penalty=p))[0] for p in penalties]
    assert np.all(np.diff(options[2].reach[picks]) >= -1e-12)
    for criterion in (Criterion(penalty=200.0), Criterion(risk=0.35)):
        losses = [judge([o], best_options([o], criterion) or [0], criterion) for o in options]
        assert np.all(np.diff([loss[0] for loss in losses if loss < (np.inf,)]) <= 1e-9)
    costs = [best_options(options[2:3], Criterion(risk=r)) for r in (0.5, 0.4, 0.3)]
    expected = [np.inf if c is None else options[2].expected[c[0]] for c in costs]
    assert expected == sorted(expected)


def test_a_target_that_is_met_needs_no_collection():
    options = schedule_options(cheapest_schedules(np.full(3, 200.0), START, cost=1.0), is_met=True)
    assert best_options([options], Criterion(risk=0.01)) == [0]
    assert options.reach.tolist() == [1.0]
