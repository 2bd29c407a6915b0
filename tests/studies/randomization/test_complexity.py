import dataclasses

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.randomization.cases import Randomization
from lcjax.studies.randomization.complexity import _Replacing, measure_complexity
from lcjax.studies.randomization.protocol import NETS, Protocol

PROTOCOL = Protocol(600, batch=20, records=12, stop_when_fit=True)


def test_measures_are_those_of_the_labels_that_the_nets_saw():
    study = measure_complexity(
        jax.random.key(0), lc.load_data("digits"), NETS["mlp-1x512"], PROTOCOL, size=40, seeds=(0, 1), replacements=2
    )  # fmt: skip
    np.testing.assert_array_equal(study.train_error, 0)
    report = study.report
    rows = dict(zip(report.name, zip(report.true_labels, report.random_labels, strict=True), strict=True))
    # Not absent: the training error, worked out anew from weights and labels, is zero too.
    np.testing.assert_array_equal(np.isfinite(rows["VC bound, without root"]), True)
    np.testing.assert_array_equal(rows["parameters"], 64 * 512 + 512 + 512 * 10 + 10)
    assert study.test_error[1].min() > 0.8
    assert float(study.rademacher.value) == 1
    assert float(study.rademacher.standard_error) == 0
    # Losses lie in [0, 1]; one fresh example among 40 changes some of them, fewer on average than at most.
    for found, label in zip(study.stability, ("true_labels", "random_labels"), strict=True):
        assert found.by_replacement.shape == (2,)
        assert 0.01 < float(found.largest) <= 1
        assert 0 < float(found.mean) < float(found.largest) / 2
        np.testing.assert_allclose(getattr(report, label)[report.name.index("uniform stability")], found.largest)


def test_one_example_is_replaced_by_a_fresh_one_and_no_other():
    images = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype(np.float32)
    labels = np.arange(6, dtype=np.int32)
    replacing = jax.jit(_Replacing(Randomization(10), -images[:2], labels[:2] + 7, 100), static_argnames="train")
    see = jax.jit(Randomization(10), static_argnames="train")
    for corruption in (0.0, 1.0):
        columns = {"pixels": 0, "corruption": corruption}
        key, number = jax.random.key(1), np.arange(6)
        before = see(key, number, images, labels, columns, train=True)
        none = replacing(key, number, images, labels, {**columns, "replaced": -1, "replacement": 0}, train=True)
        jax.tree.map(np.testing.assert_array_equal, before, none)
        chosen = {**columns, "replaced": 3, "replacement": 1}
        after = replacing(key, number, images, labels, chosen, train=True)
        others = number != 3
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(np.asarray(old)[others], np.asarray(new)[others])
        np.testing.assert_array_equal(after[0][3], -images[1])
        fresh = see(key, np.array([101]), images[:1], labels[1:2] + 7, columns, train=True)[1]
        assert after[1][3] == fresh[0]
        test = replacing(key, number, images, labels, chosen, train=False)
        np.testing.assert_array_equal(test[0], images)


def test_bad_input():
    data = lc.load_data("digits")
    with pytest.raises(ValueError, match=r"at least 2 seeds, got \[3\]"):
        measure_complexity(jax.random.key(0), data, NETS["mlp-1x512"], PROTOCOL, size=60, seeds=[3])
    for replacements in (0, 61):
        with pytest.raises(ValueError, match=rf"in \[1, 60\].*got {replacements}"):
            measure_complexity(
                jax.random.key(0), data, NETS["mlp-1x512"], PROTOCOL, size=60, replacements=replacements
            )  # fmt: skip
    with pytest.raises(ValueError, match="small-inception has state"):
        measure_complexity(
            jax.random.key(0), data, NETS["small-inception"], dataclasses.replace(PROTOCOL, steps=1, records=1), size=20
        )
