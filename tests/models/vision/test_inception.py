import jax
import jax.numpy as jnp
import pytest

import lcjax as lc
from lcjax.models.layers.convolution import plain_convolutions
from lcjax.models.vision.inception import InceptionV3, SmallInception
from tests.models.problems import check_counts, check_forward


@pytest.mark.parametrize("batch_norm", [True, False])
def test_counts_of_the_small_form(batch_norm):
    check_counts(SmallInception(batch_norm=batch_norm), (28, 28, 3), 1_649_402)


def test_counts():
    """Zhang et al. (2017) count the running statistics too."""
    images = jax.ShapeDtypeStruct((2, 299, 299, 3), jnp.float32)
    with plain_convolutions():  # they are traced faster
        outputs, variables = jax.eval_shape(InceptionV3(1008).init_with_output, jax.random.key(0), images)
        assert lc.models.parameter_count(InceptionV3(), images) == 23_834_568
    assert outputs.shape == (2, 1008)
    assert lc.models.parameter_count(variables) == 23_850_960
    assert lc.models.parameter_count(variables, collections=("params", "batch_stats")) == 23_885_392


def test_forward_of_the_small_form():
    check_forward(SmallInception(3), (12, 12, 3), 0.0647317, 0.00250723)


@pytest.mark.slow
def test_forward():
    check_forward(InceptionV3(3), (75, 75, 3), 0.171728, None)
