"""Complexity measures of a network on true and on random labels."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.studies.randomization import complexity
from lcjax.studies.randomization.cases import Randomization
from lcjax.studies.randomization.complexity import _Replacing, measure_complexity
from lcjax.studies.randomization.nets import NETS, Net
from lcjax.studies.randomization.recipe import RandomizationRecipe

NET = Net("mlp-1x64", lambda classes: NETS["mlp-1x512"].build(classes).clone(widths=(64,)), 0.05, 1e-4)
RECIPE = RandomizationRecipe(600, batch=20, records=12, stop_when_fit=True)


@pytest.mark.slow
def test_measures_are_those_of_the_labels_that_the_networks_saw(key, digits):
    events = []
    study = measure_complexity(
        key, digits, NET, RECIPE, size=40, seeds=(0, 1), replacements=2, on_progress=events.append
    )  # fmt: skip
    assert list(dict.fromkeys(event.stage for event in events)) == ["labels", "signs"]
    np.testing.assert_array_equal(study.train_error, 0)
    report = study.report
    rows = dict(zip(report.name, zip(report.true_labels, report.random_labels, strict=True), strict=True))
    # Finite: the training error recomputed from weights and labels is also zero.
    np.testing.assert_array_equal(np.isfinite(rows["VC bound, without root"]), True)
    np.testing.assert_array_equal(rows["parameters"], 64 * 64 + 64 + 64 * 10 + 10)
    assert study.test_error[0].max() < 0.5
    assert study.test_error[1].min() > 0.8
    assert float(study.rademacher.value) == 1
    assert float(study.rademacher.standard_error) == 0
    # Losses lie in [0, 1]; one fresh example among 40 changes some of them, and the mean is below the maximum.
    for one, label in zip(study.stability, ("true_labels", "random_labels"), strict=True):
        assert one.by_replacement.shape == (2,)
        assert 0.01 < float(one.largest) <= 1
        assert 0 < float(one.mean) < float(one.largest) / 2
        np.testing.assert_allclose(getattr(report, label)[report.name.index("uniform stability")], one.largest)


def test_stability_is_the_largest_change_of_the_loss():
    def apply(params, inputs):
        return inputs * params["scale"]

    inputs = jnp.array([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]])
    targets = jnp.array([1, 1, 0])
    scales = jnp.array([1.0, 2.0])
    stability = complexity._stability(apply, {"scale": jnp.ones(1)}, {"scale": scales}, inputs, targets)

    def losses(scale):
        outputs = np.asarray(inputs) * scale
        softmax = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
        return 1 - softmax[np.arange(3), targets]

    change = np.abs(np.stack([losses(scale) for scale in scales]) - losses(1.0))
    np.testing.assert_allclose(stability.by_replacement, change.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(stability.mean, change.mean(), rtol=1e-5)
    np.testing.assert_allclose(stability.largest, change.max(), rtol=1e-5)


@pytest.mark.slow
def test_one_example_is_replaced_by_a_fresh_one_and_no_other():
    images = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype(np.float32)
    labels = np.arange(6, dtype=np.int32)
    replacing = jax.jit(_Replacing(Randomization(10), -images[:2], labels[:2] + 7, 100), static_argnames="train")
    randomize = jax.jit(Randomization(10), static_argnames="train")
    for corruption in (0.0, 1.0):
        columns = {"pixels": jnp.asarray(0), "corruption": jnp.asarray(corruption)}
        intact = {**columns, "replaced": jnp.asarray(-1), "replacement": jnp.asarray(0)}
        chosen = {**columns, "replaced": jnp.asarray(3), "replacement": jnp.asarray(1)}
        key, number = jax.random.key(1), np.arange(6)
        before = randomize(key, number, images, labels, columns, train=True)
        none = replacing(key, number, images, labels, intact, train=True)
        jax.tree.map(np.testing.assert_array_equal, before, none)
        after = replacing(key, number, images, labels, chosen, train=True)
        others = number != 3
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(np.asarray(old)[others], np.asarray(new)[others])
        np.testing.assert_array_equal(after[0][3], -images[1])
        fresh = randomize(key, np.array([101]), images[:1], labels[1:2] + 7, columns, train=True)[1]
        assert after[1][3] == fresh[0]
        test = replacing(key, number, images, labels, chosen, train=False)
        np.testing.assert_array_equal(test[0], images)


def test_runs_replace_examples_spread_over_the_shard(digits):
    runs = complexity._label_runs(NET, RECIPE, digits, digits, 40, (5, 6), 3)
    assert runs.columns["seed"].tolist() == [5, 6, 5, 6] + [5] * 6
    np.testing.assert_array_equal(runs.columns["corruption"], [0, 0, 1, 1, 0, 0, 0, 1, 1, 1])
    assert runs.columns["replaced"].tolist() == [-1] * 4 + [0, 19, 39] * 2
    assert runs.columns["replacement"].tolist() == [0] * 4 + [0, 1, 2] * 2
    (program,) = runs.programs
    assert program.corrupt.first == 1198 + 240 + 359
    np.testing.assert_array_equal(program.corrupt.labels, digits.validation.targets[:3])


def test_bad_input(key, digits):
    with pytest.raises(ValueError, match=r"at least 2 seeds, got \[3\]"):
        measure_complexity(key, digits, NET, RECIPE, size=60, seeds=[3])
    for replacements in (0, 61):
        with pytest.raises(ValueError, match=rf"in \[1, 60\].*got {replacements}"):
            measure_complexity(key, digits, NET, RECIPE, size=60, replacements=replacements)
    one_step = dataclasses.replace(RECIPE, steps=1, records=1)
    with pytest.raises(ValueError, match="small-inception has state"):
        measure_complexity(key, digits, NETS["small-inception"], one_step, size=20)
