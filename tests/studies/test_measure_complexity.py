import dataclasses

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.measure_complexity import measure_complexity
from lcjax.studies.zhang_protocol import NETS, Protocol

PROTOCOL = Protocol(1500, batch=20, records=30, stop_when_fit=True)


def test_measures_are_those_of_the_labels_that_the_nets_saw():
    study = measure_complexity(
        jax.random.key(0), lc.load_data("digits"), NETS["mlp-1x512"], PROTOCOL, size=60, seeds=(0, 1)
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


def test_bad_input():
    data = lc.load_data("digits")
    with pytest.raises(ValueError, match=r"at least 2 seeds, got \[3\]"):
        measure_complexity(jax.random.key(0), data, NETS["mlp-1x512"], PROTOCOL, size=60, seeds=[3])
    with pytest.raises(ValueError, match="small-inception has state"):
        measure_complexity(
            jax.random.key(0), data, NETS["small-inception"], dataclasses.replace(PROTOCOL, steps=1, records=1), size=20
        )
