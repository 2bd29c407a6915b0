"""Which form is chosen, and how it is written."""

import jax
import jax.numpy as jnp
import pytest

import lcjax as lc
from lcjax.training.forms import Form, choose_form
from lcjax.training.threads import cores


def chosen(model, shape, budgets):
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
    return choose_form(variables["params"], budgets)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the choice is the CPU's")
@pytest.mark.parametrize(
    ("model", "shape", "runs", "form"),
    [
        (lc.MLP((32,)), (64,), 64, "vmap:64"),
        (lc.MLP((32,)), (64,), 5, "vmap:5"),
        (lc.MLP((50,)), (784,), 64, "vmap:32"),
        (lc.MLP((512,)), (28, 28, 3), 64, "vmap:4"),
        (lc.LeNet(), (28, 28), 8, "map:1"),
        (lc.DrivingNet(), (22, 66, 3), 8, "map:1"),
        (lc.QuickNet(), (32, 32, 3), 8, f"step:{min(8, cores())}/plain"),
        (lc.resnet(18), (32, 32, 3), 1, "step:1/plain"),
    ],
)
def test_the_form_of_a_net_on_cpu(model, shape, runs, form):
    assert chosen(model, shape, [1000] * runs) == form


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the choice is the CPU's")
def test_few_long_runs_get_few_slots():
    assert chosen(lc.MLP((32,)), (64,), [1000, 10, 10, 10, 10, 10]) in ("vmap:1", "vmap:2")


@pytest.mark.parametrize("text", ["vmap:8", "map:1", "step:2/plain", "map:16/plain"])
def test_a_form_reads_as_it_is_written(text):
    form = Form.parse(text)
    assert f"{form.kind}:{form.width}{'/plain' if form.plain else ''}" == text


@pytest.mark.parametrize("text", ["", "vmap", "vmap:", "vmap:0", "vmap:-1", "pmap:2", "map:2/", "map:2/banded"])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="form must be"):
        Form.parse(text)
