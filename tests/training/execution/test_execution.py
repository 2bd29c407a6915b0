"""Which form is chosen, and how it is written."""

import jax
import jax.numpy as jnp
import pytest

import lcjax as lc
from lcjax.models.sequence.language import CharacterLanguageModel, LanguageModel, WordLanguageModel
from lcjax.training.execution import execution as forms
from lcjax.training.execution.execution import Form, choose_form


def chosen(model, shape, budgets):
    dtype = jnp.int32 if isinstance(model, LanguageModel) else jnp.float32
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape), dtype))
    return choose_form(variables["params"], budgets)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the choice is the CPU's")
@pytest.mark.parametrize(
    ("model", "shape", "runs", "form"),
    [
        (lc.models.MLP((32,)), (64,), 64, "vmap:32@2"),
        (lc.models.MLP((32,)), (64,), 1, "vmap:1"),
        (lc.models.MLP((32,)), (64,), 5, "vmap:6@2"),
        (lc.models.MLP((50,)), (784,), 64, "vmap:8@2"),
        (lc.models.MLP((512,)), (28, 28, 3), 64, "vmap:8@2"),
        (lc.models.LeNet(), (28, 28), 8, "map:2@2"),
        (lc.models.DrivingNet(), (22, 66, 3), 8, "map:2@2"),
        (lc.models.QuickNet(), (32, 32, 3), 8, "map:2@2/plain"),
        (lc.models.resnet(18), (32, 32, 3), 1, "map:1/plain"),
        (WordLanguageModel(1000, 48), (80,), 8, "map:2@2"),
        (WordLanguageModel(1000, 48), (80,), 1, "map:1"),
        (CharacterLanguageModel(65, 256, depth=4), (150,), 8, "map:2@2"),
    ],
)
def test_the_form_of_a_net_on_two_processors(model, shape, runs, form, monkeypatch):
    monkeypatch.setattr(forms, "cores", lambda: 2)
    assert chosen(model, shape, [1000] * runs) == form


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the choice is the CPU's")
def test_few_long_runs_get_few_slots():
    assert chosen(lc.models.MLP((32,)), (64,), [1000, 10, 10, 10, 10, 10]) in (
        "vmap:1",
        "vmap:2",
        "vmap:2@2",
        "vmap:4@4",
    )


@pytest.mark.parametrize("text", ["vmap:8", "map:1", "step:2/plain", "map:16/plain", "vmap:8@2", "map:4@4/plain"])
def test_a_form_reads_as_it_is_written(text):
    form = Form.parse(text)
    threads = f"@{form.threads}" if form.threads > 1 else ""
    assert f"{form.kind}:{form.width}{threads}{'/plain' if form.plain else ''}" == text


@pytest.mark.parametrize(
    "text", ["", "vmap", "vmap:", "vmap:0", "vmap:-1", "pmap:2", "map:2/", "map:2/banded", "vmap:3@2", "step:2@2"]
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="form must be"):
        Form.parse(text)
