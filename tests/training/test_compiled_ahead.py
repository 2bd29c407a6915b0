"""Programs that are compiled ahead from shapes are those that the sweep and its evaluation call."""

import dataclasses

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.training import Budget, evaluate, features
from lcjax.training.evaluation import compile_evaluation
from lcjax.training.sweep import compile_sweep

TRACES = []


def traced_loss(outputs, targets):
    if len(targets) > 2:  # the check of a program evaluates shapes for two examples, which compiles nothing
        TRACES.append(outputs.shape)
    return lc.cross_entropy(outputs, targets)


@pytest.fixture
def runs(table):
    program = dataclasses.replace(table.programs[0], objective=traced_loss, budget=Budget(steps=8))
    return dataclasses.replace(table, programs=(program,))


@pytest.mark.parametrize("is_warm", [False, True])
def test_a_sweep_traces_nothing_after_it(data, runs, is_warm):
    key, initial = jax.random.key(1), None
    if is_warm:
        initial = lc.sweep(key, data, runs, keep=np.ones(6, bool)).params
    compile_sweep(key, data, runs, initial=None if initial is None else initial[0])
    count = len(TRACES)
    result = lc.sweep(key, data, runs, initial=initial)
    assert len(TRACES) == count
    assert (result.status == 0).all()


def test_evaluation_traces_nothing_after_it(data, runs):
    result = lc.sweep(jax.random.key(1), data, runs, keep=np.ones(6, bool))
    compile_evaluation(runs, 0, data, data.test, methods=["features"])
    count = len(TRACES)
    assert evaluate(result, data, data.test).shape == (6, 120)
    assert len(TRACES) == count
    assert features(result, 0, data, data.test.inputs).shape == (120, 12)
