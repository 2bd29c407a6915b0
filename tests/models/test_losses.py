import jax
import numpy as np
import pytest

from lcjax.models.losses import cross_entropy, largest_hinge, mean_squared_error, multiclass_hinge, vc_penalty


def test_losses_match_their_definitions():
    with jax.enable_x64(True):
        outputs = np.random.default_rng(0).normal(size=(6, 4)) * 30
        targets = np.array([0, 3, 1, 2, 2, 0])
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        expected = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(6), targets]
        np.testing.assert_allclose(cross_entropy(outputs, targets), expected, rtol=1e-12)
        margins = 1 - outputs[np.arange(6), targets][:, None] + outputs
        margins[np.arange(6), targets] = 0
        np.testing.assert_allclose(multiclass_hinge(outputs, targets), np.maximum(margins, 0).sum(axis=1), rtol=1e-12)
        np.testing.assert_allclose(largest_hinge(outputs, targets), np.maximum(margins, 0).max(axis=1), rtol=1e-12)
        np.testing.assert_allclose(vc_penalty(outputs), (outputs**2).sum(axis=1) / 2, rtol=1e-12)
        np.testing.assert_allclose(vc_penalty(outputs.reshape(3, 2, 4)), (outputs**2).reshape(3, 8).sum(1) / 2)
        real = np.linspace(-1, 1, 6)
        np.testing.assert_allclose(mean_squared_error(outputs[:, :1], real), (outputs[:, 0] - real) ** 2, rtol=1e-15)
    with pytest.raises(ValueError, match="one output for each example, got 4"):
        mean_squared_error(outputs, real)
