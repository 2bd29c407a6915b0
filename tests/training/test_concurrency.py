"""Executions: their spelling and the rule that chooses them."""

import json

import jax
import jax.numpy as jnp
import pytest

import lcjax as lc
from lcjax.models.sequence.language import CharacterLanguageModel, LanguageModel, WordLanguageModel
from lcjax.records import from_dict, to_dict
from lcjax.training.concurrency import Execution
from lcjax.training.execution import heuristics
from lcjax.training.execution.heuristics import choose_execution


def chosen(model, shape, budgets):
    dtype = jnp.int32 if isinstance(model, LanguageModel) else jnp.float32
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape), dtype))
    return str(choose_execution(variables["params"], budgets))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the choice is the CPU's")
@pytest.mark.parametrize(
    ("model", "shape", "runs", "expected"),
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
def test_the_execution_of_a_net_on_two_processors(model, shape, runs, expected, monkeypatch):
    monkeypatch.setattr(heuristics, "cores", lambda: 2)
    assert chosen(model, shape, [1000] * runs) == expected


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the choice is the CPU's")
def test_few_long_runs_get_few_slots():
    assert chosen(lc.models.MLP((32,)), (64,), [1000, 10, 10, 10, 10, 10]) in (
        "vmap:1",
        "vmap:2",
        "vmap:2@2",
        "vmap:4@4",
    )


@pytest.mark.parametrize("text", ["vmap:8", "map:1", "step:2/plain", "map:16/plain", "vmap:8@2", "map:4@4/plain"])
def test_an_execution_reads_as_it_is_spelled(text):
    execution = Execution.parse(text)
    assert str(execution) == text
    assert from_dict(Execution, json.loads(json.dumps(to_dict(execution)))) == execution


def test_fields_are_those_of_the_spelling():
    assert Execution.parse("map:4@2/plain") == Execution("map", 4, threads=2, plain=True)
    assert Execution.parse("vmap:8") == Execution("vmap", 8)


@pytest.mark.parametrize(
    "text", ["", "vmap", "vmap:", "vmap:0", "vmap:-1", "pmap:2", "map:2/", "map:2/banded", "vmap:3@2", "step:2@2"]
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"An execution is spelled|must divide its width|takes no threads"):
        Execution.parse(text)
