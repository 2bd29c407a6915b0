import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.models.layers.bottleneck import Bottleneck, Bottlenecked
from lcjax.models.vision.mlp import MLP
from tests.models.problems import scaled_variables


def features_of_rank(n, d, seed=0):
    generator = np.random.default_rng(seed)
    scale = np.geomspace(3, 0.1, d)
    return np.maximum(generator.normal(size=(n, d)) * scale @ np.linalg.qr(generator.normal(size=(d, d)))[0], 0).astype(
        np.float32
    )


FEATURES = features_of_rank(400, 9)
initialize = jax.jit(lambda width: Bottleneck(9).init_with_output(jax.random.key(0), FEATURES, width))


@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_a_bottleneck_starts_as_the_best_linear_code(width):
    """The bottleneck reconstructs the features of its initialization from the first principal components."""
    (code, restored), _ = initialize(width)
    mean = FEATURES.mean(axis=0)
    _, _, directions = np.linalg.svd(FEATURES - mean, full_matrices=False)
    expected = mean + (FEATURES - mean) @ directions[:width].T @ directions[:width]
    np.testing.assert_allclose(restored, np.maximum(expected, 0), atol=1e-4)
    assert np.min(code[:, :width]) == pytest.approx(0.1, abs=1e-4)  # no dead unit
    np.testing.assert_allclose(np.std(code[:, :width], axis=0), 1, rtol=1e-3)
    assert (np.asarray(code)[:, width:] == 0).all()


def test_units_shared_by_two_widths_start_equal():
    one, three = (initialize(width)[1]["params"] for width in (1, 3))
    for name in ("down_kernel", "down_bias", "up_kernel"):
        np.testing.assert_array_equal(one[name], three[name])


def test_directions_without_variance_are_not_amplified():
    constant = np.tile(FEATURES[:1, :3], (5, 1))
    initial = jax.jit(lambda features: Bottleneck(3).init_with_output(jax.random.key(0), features, 3))
    for features in (constant, np.concatenate([constant, FEATURES[:5, :3] * np.array([0, 0, 1], "f4")])):
        (code, restored), variables = initial(features)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((code, variables)))
        np.testing.assert_allclose(restored, features, atol=1e-3)


def test_masked_units_get_no_gradient():
    variables = initialize(2)[1]
    loss = jax.jit(jax.grad(lambda v: jnp.sum(Bottleneck(9).apply(v, FEATURES, 2)[1] ** 2)))
    gradient = loss(variables)["params"]
    assert (np.asarray(gradient["down_kernel"])[:, 2:] == 0).all()
    assert (np.asarray(gradient["up_kernel"])[2:] == 0).all()
    assert (np.abs(gradient["down_kernel"])[:, :2].sum(axis=0) > 0).all()


def test_a_bottleneck_is_inserted_into_trained_weights():
    """The parameters of the model are kept; those of the bottleneck are initialized on its features."""
    inputs = np.random.default_rng(0).normal(size=(60, 7)).astype(np.float32)
    model = MLP((20,), 3)
    trained = scaled_variables(model, inputs)
    narrow = Bottlenecked(model, 16)

    @jax.jit
    def insert(trained):
        rngs = {"params": jax.random.key(0)}
        outputs, variables = narrow.apply(trained, inputs, bottleneck_width=16, mutable=True, rngs=rngs)
        code, restored = (
            narrow.apply(variables, inputs, bottleneck_width=16, method=name) for name in ("code", "features")
        )
        return outputs, variables, code, restored

    outputs, variables, code, restored = insert(trained)
    for name, layer in trained["params"].items():
        jax.tree.map(np.testing.assert_array_equal, variables["params"][name], layer)
    assert set(variables["params"]) == {*trained["params"], "bottleneck"}
    assert code.shape == (60, 16)
    head = trained["params"]["head"]
    np.testing.assert_allclose(outputs, restored @ head["kernel"] + head["bias"], atol=1e-5)


@pytest.mark.parametrize("largest", [0, 7])
def test_a_bottleneck_without_units_or_wider_than_the_features_is_refused(largest):
    with pytest.raises(ValueError, match=f"over 6 features has at least 1 and at most 6 units, got {largest}"):
        Bottleneck(largest).init(jax.random.key(0), np.ones((3, 6), np.float32), 2)
