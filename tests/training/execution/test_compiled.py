"""The compiled training step: no operation that XLA runs slowly inside a loop."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.models.vision.driving import DrivingNet
from lcjax.training import Budget, cosine, epochs, momentum, with_replacement
from lcjax.training.execution import step as steps
from lcjax.training.execution.slots import broadcast


@pytest.mark.parametrize("mapped", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("model", "shape", "sampling"),
    [
        pytest.param(lc.models.LeNet(), (28, 28), with_replacement, marks=pytest.mark.slow),
        (lc.models.Bottlenecked(lc.models.LeNet(), 8), (28, 28), with_replacement),
        (DrivingNet(10), (22, 66, 3), with_replacement),
        (lc.models.MLP((8,)), (4,), epochs),
    ],
)
def test_a_step_has_no_slow_convolution_and_no_scatter(model, shape, sampling, mapped):
    inputs = np.zeros((6, *shape), np.uint8)
    examples = lc.Examples(inputs, np.arange(6, dtype=np.int32))
    data = lc.Data(examples, examples, None, classes=10)
    columns = ("bottleneck_width",) if isinstance(model, lc.models.Bottlenecked) else ()
    program = lc.Program(model, lc.cross_entropy, momentum, cosine, 4, Budget(steps=3), sampling, columns)
    values = {"size": 6, "seed": 0, "learning_rate": 0.1, "bottleneck_width": 2}
    values = {name: jnp.asarray(value) for name, value in values.items()}
    orders = jnp.arange(6)[None]
    arguments = jax.random.key(0), data, orders, {}, None, values, jnp.int32(0), jnp.int32(3)

    def chunk(*arguments):
        return broadcast(steps.start(*arguments, program=program), width=2)

    slots = jax.eval_shape(chunk, *arguments)
    todo = jax.ShapeDtypeStruct((2 if mapped else 1,), jnp.int32)
    text = steps.advance.lower(slots, data, orders, todo, program=program, mapped=mapped).compile().as_text()
    assert "dot(" in text or "dot." in text
    assert " while(" in text
    assert not re.findall(r"scatter\(", text)
    assert set(re.findall(r"dim_labels=(\S+?),", text)) <= {"b01f_01io->b01f"}


def test_the_guard_sees_a_plain_convolution():
    """The same check finds the gradient convolutions of a plain layer."""
    import flax.linen as nn

    layer = nn.Conv(3, (5, 5))
    inputs = jnp.zeros((2, 8, 8, 2))
    variables = jax.jit(layer.init)(jax.random.key(0), inputs)

    def body(_, variables):
        return jax.grad(lambda v: jnp.sum(layer.apply(v, inputs) ** 2))(variables)

    text = jax.jit(lambda v: jax.lax.fori_loop(0, 3, body, v)).lower(variables).compile().as_text()
    assert set(re.findall(r"dim_labels=(\S+?),", text)) - {"b01f_01io->b01f"}
