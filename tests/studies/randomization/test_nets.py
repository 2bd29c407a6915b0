"""Networks of Zhang et al. (2017): parameters, dropout, and the table of the slides."""

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.randomization.nets import NETS, parameter_table

MLP = NETS["mlp-1x512"]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mlp-1x512", 1_209_866),
        ("mlp-3x512", 1_735_178),
        ("small-alexnet", 1_387_786),
        ("small-inception", 1_649_402),
        ("small-inception-without-norm", 1_649_402),
    ],
)
def test_parameters_are_the_papers(name, count):
    assert lc.models.parameter_count(NETS[name].build(10), np.zeros((1, 28, 28, 3))) == count


@pytest.mark.slow
def test_the_table_has_parameters_over_examples():
    rows = {name: (count, examples, ratio) for name, count, examples, ratio in parameter_table()}
    assert rows["mlp-1x512"] == (1_209_866, 50_000, 1_209_866 / 50_000)
    assert rows["Inception V3"][1] == 1_200_000
    assert list(rows)[:5] == ["small-inception", "small-alexnet", "mlp-3x512", "mlp-1x512", "Inception V3"]
    assert rows["ResNet-18"][0] == 11_689_512
    assert rows["ResNet-152"][0] == 60_192_808


def test_dropout_leaves_the_network_as_it_is_except_in_training():
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype(np.float32)
    plain, dropping = MLP.module(10), MLP.module(10, dropout=True)
    variables = plain.init(jax.random.key(0), images)
    jax.tree.map(np.testing.assert_array_equal, variables, dropping.init(jax.random.key(0), images))
    np.testing.assert_array_equal(plain.apply(variables, images), dropping.apply(variables, images))
    rngs = {"dropout": jax.random.key(1)}
    dropped = np.asarray(dropping.apply(variables, images, train=True, rngs=rngs, method="features"))
    whole = np.asarray(plain.apply(variables, images, method="features"))
    assert 0.4 < np.mean(dropped[whole > 0] == 0) < 0.6
    np.testing.assert_allclose(dropped[dropped > 0], 2 * whole[dropped > 0], rtol=1e-5)
    shape = jax.ShapeDtypeStruct((1, 28, 28, 1), np.float32)
    for net in (MLP, NETS["lenet"], NETS["small-alexnet"]):
        shapes = [jax.eval_shape(net.module(10, dropout=d).init, jax.random.key(0), shape) for d in (False, True)]
        assert jax.tree.map(np.shape, shapes[0]) == jax.tree.map(np.shape, shapes[1]), net.name


def test_inception_v3_has_the_wrappers_dropout_alone():
    net = NETS["inception-v3"]
    assert net.module(1000).dropout == 0
    assert net.module(1000, dropout=True).rate == 0.2
    assert (net.side, net.learning_rate, net.weight_decay) == (299, 0.045, 4e-5)
