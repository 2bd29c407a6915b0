import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.complexity.capacity import Stability, linear_class, rademacher_complexity
from lcjax.complexity.report import complexity_report

KEY = jax.random.key(0)


def linear(weights, inputs):
    return inputs @ weights


def test_report_names_the_measures_that_separate():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4)).astype(np.float32)
    true, random = rng.normal(size=(3, 4, 5)).astype(np.float32), 10 * rng.normal(size=(3, 4, 5)).astype(np.float32)
    labels = np.argmax(x @ true[0], axis=1)
    others = np.stack([np.argmax(x @ w, axis=1) for w in random])
    complexity = rademacher_complexity(KEY, linear_class(1.0), x, draws=4)
    stability = tuple(Stability(*(jnp.float32(value) for value in (v, 0.0, v))) for v in (0.25, 0.5))
    table = complexity_report(
        KEY, linear, true, random, x, labels, others, layers=1, rademacher=complexity, stability=stability
    )
    separates = dict(zip(table.name, table.separates.tolist(), strict=True))
    assert not separates["parameters"]
    assert not separates["VC bound, without root"]
    assert not separates["Rademacher complexity"]
    assert separates["Frobenius norm"]
    assert separates["spectral product"]
    at = table.name.index("Frobenius norm")
    np.testing.assert_allclose(table.true_labels[at], np.linalg.norm(true, axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(table.ratio[at], table.random_labels[at].mean() / table.true_labels[at].mean())
    assert "sqrt(sum w^2)" in str(table)
    rows = dict(zip(table.name, np.asarray(table.true_labels), strict=True))
    outputs = x @ true[0]
    margin = np.sort(outputs, axis=1)[:, -1] - np.sort(outputs, axis=1)[:, -2]  # the first network makes no mistakes
    capacity = (20 * np.log2(20) - np.log(0.05)) / 30
    spectral = np.linalg.norm(true[0], ord=2)
    expected = {
        "parameters": 20,
        "parameters / examples": 20 / 30,
        "VC bound, root": np.sqrt(capacity),
        "VC bound, without root": capacity,
        "Rademacher complexity": complexity.value,
        "uniform stability": 0.25,
        "spectral product": spectral,
        "path norm": np.linalg.norm(true[0]),
        "margin, 10th percentile": np.quantile(margin, 0.1),
        "spectral product / margin": spectral / margin.mean(),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(rows[name][0], value, rtol=2e-5, err_msg=name)
    assert np.isnan(rows["VC bound, without root"][1:]).all()
    assert rows["VC bound, root"][1] > rows["VC bound, root"][0]


def test_a_smaller_margin_is_more_complex():
    x, y = np.eye(2, dtype=np.float32), np.array([0, 1])
    wide, narrow = 3 * np.eye(2, dtype=np.float32)[None], np.eye(2, dtype=np.float32)[None]
    table = complexity_report(KEY, linear, wide, narrow, x, y, y, layers=1)
    separates = dict(zip(table.name, table.separates.tolist(), strict=True))
    assert separates["margin, 10th percentile"]
    assert not separates["Frobenius norm"]


def test_bad_input():
    x, y = np.ones((17, 2), np.float32), np.ones(17, int)
    with pytest.raises(ValueError, match="differ in shape"):
        complexity_report(KEY, linear, x[None], x[None, :3], x, y, y, layers=1)
