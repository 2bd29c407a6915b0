"""Cases of the randomization tests: tables of runs, and the examples of a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.complexity.corruption import corrupt_labels
from lcjax.papers.zhang import TABLE_1, TABLE_2
from lcjax.studies.randomization.cases import (
    CONDITIONS,
    Case,
    Randomization,
    condition_cases,
    regularizer_cases,
    runs_of,
    width_cases,
)
from lcjax.studies.randomization.nets import NETS
from lcjax.studies.randomization.recipe import RandomizationRecipe, prepare

MLP = NETS["mlp-1x512"]


def test_a_run_sees_what_the_pure_functions_give(digits):
    data = prepare(digits)
    images, labels, number = data.train.inputs[:30], data.train.targets[:30], np.arange(30)
    key = jax.random.key(3)
    randomize = jax.jit(Randomization(10), static_argnames="train")
    label_key, pixel_key = jax.random.split(key)
    normal = {"mean": 0.0, "standard_deviation": 1.0}
    pixels = {
        "shuffled pixels": lambda: lc.complexity.shuffle_pixels(pixel_key, images),
        "random pixels": lambda: lc.complexity.random_pixels(pixel_key, images),
        "gaussian pixels": lambda: lc.complexity.gaussian_pixels(pixel_key, images, **normal),
    }
    for name, (kind, corruption) in CONDITIONS.items():
        columns = {"pixels": jnp.asarray(kind), "corruption": jnp.asarray(corruption)}
        new_images, new_labels = randomize(key, number, images, labels, columns, train=True)
        np.testing.assert_array_equal(new_images, pixels.get(name, lambda: images)())
        np.testing.assert_array_equal(new_labels, corrupt_labels(label_key, labels, 10, corruption))
        np.testing.assert_array_equal(randomize(key, number, images, labels, columns, train=False)[1], labels)
    few = jax.jit(Randomization(10, (1, 3)), static_argnames="train")  # compiles only the kinds that occur
    for kind in (1, 3):
        columns = {"pixels": jnp.asarray(kind), "corruption": jnp.asarray(0.0)}
        expected, actual = (one(key, number, images, labels, columns, train=True)[0] for one in (randomize, few))
        np.testing.assert_array_equal(actual, expected)
    only = Randomization(10, (0,))(key, number, images, labels, {"corruption": jnp.asarray(1.0)}, train=True)
    np.testing.assert_array_equal(only[0], images)


def test_regularizers_are_those_of_the_papers_tables():
    assert (len(TABLE_1), len(TABLE_2)) == (19, 7)
    nets = [(net, 100) for net in NETS.values()]
    cases = regularizer_cases(nets, seeds=(0, 1))
    assert len(cases) == 2 * (19 + 5 + 7)
    assert sum(case.condition == "random labels" for case in cases) == 2 * (6 + 3)
    assert all(case.corruption == (case.condition == "random labels") for case in cases)
    lenet = [case for case in cases if case.net.name == "lenet" and case.seed == 1]
    switches = [(case.crop, case.decay, case.dropout) for case in lenet]
    assert switches == [(True, True, False), (True, False, False), (False, True, False), *[(False,) * 3] * 2]
    assert [case.plain for case in lenet] == [False, False, False, True, True]
    more = regularizer_cases(nets, dropout=True)
    assert len(more) == 19 + 5 + 7 + 7
    alone = [case for case in more if case.dropout and not case.crop and not case.decay]
    assert [case.net.name for case in alone] == list(NETS)


def test_corruption_rises_in_equal_steps():
    cases = condition_cases([(MLP, 10)], seeds=(3, 4))
    np.testing.assert_allclose([case.corruption for case in cases[:22:2]], np.linspace(0, 1, 11))
    assert [case.seed for case in cases[:4]] == [3, 4, 3, 4]
    assert len(cases) == 2 * 14
    assert [case.condition for case in cases[22::2]] == ["shuffled pixels", "random pixels", "gaussian pixels"]
    assert {case.corruption for case in cases[22:]} == {0.0}
    assert len(condition_cases([(MLP, 10)], levels=2)) == 5
    with pytest.raises(ValueError, match="levels=1"):
        condition_cases([(MLP, 10)], levels=1)


def test_widths_have_the_ratios_asked_for():
    cases = width_cases(784, 10, 20_000)
    image = np.zeros((1, 28, 28, 1), np.float32)
    ratios = [lc.models.parameter_count(case.net.build(10), image) / 20_000 for case in cases]
    half_a_unit = 0.5 * (784 + 1 + 10) / 20_000
    np.testing.assert_allclose(ratios, [0.2, 0.5, 1, 2, 5, 10], rtol=0, atol=half_a_unit)
    assert cases[0].net.weight_decay == 1e-4
    assert width_cases(784, 10, 20_000)[0].net is cases[0].net  # so that programs are equal
    smallest = width_cases(9, 10, 20, ratios=(1.0,))  # 20 parameters are exactly 10 and half a unit
    assert smallest[0].net.name == "mlp-1x1"
    with pytest.raises(ValueError, match="too small for one hidden unit, which has 805 with 784 inputs"):
        width_cases(784, 10, 1000)


def test_runs_share_a_program_for_each_network_and_regularizer():
    lenet = NETS["lenet"]
    cases = [
        Case(MLP, 20, "gaussian pixels", seed=1), Case(MLP, 30, "corrupted labels", 0.3, decay=True),
        Case(lenet, 20, crop=True), Case(lenet, 20, dropout=True), Case(lenet, 20, crop=True, seed=2),
    ]  # fmt: skip
    runs = runs_of(cases, 10, RandomizationRecipe(8, batch=4))
    assert runs.program.tolist() == [0, 0, 1, 2, 1]
    assert {program.corrupt for program in runs.programs} == {Randomization(10, (0, 3))}
    assert [program.augment is None for program in runs.programs] == [True, False, True]
    assert type(runs.programs[2].model).__name__ == "WithDropout"
    assert runs.columns["size"].tolist() == [20, 30, 20, 20, 20]
    assert runs.columns["seed"].tolist() == [1, 0, 0, 0, 2]
    assert runs.columns["pixels"].tolist() == [3, 0, 0, 0, 0]
    np.testing.assert_allclose(runs.columns["corruption"], [0, 0.3, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(runs.columns["weight_decay"], [0, 1e-4, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(runs.columns["learning_rate"], [0.01] * 5, rtol=1e-6)
    assert "weight_decay" not in runs_of(cases[:1], 10, RandomizationRecipe(8)).columns
