"""Lines of finished runs: every change is noticed, and no run has an outcome that its budget does not allow."""

import dataclasses
import json
import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.sealed_lines import unseal_line
from lcjax.training import Budget, constant, epochs
from lcjax.training.storage.lines import check_outcome, encode_line, outcome_of
from lcjax.training.storage.run_state import Outcome
from lcjax.training.storage.store import Store

BUDGET = Budget(steps=8, records=4, patience=2)
NONE = np.zeros(3, bool)


def outcome(**changes):
    curve = [0.5, math.inf, math.nan, 0.25]
    fields = {
        "status": 0, "steps": 8, "recorded_step": [2, 4, 6, 4], "train_loss": [0.5] * 4, "train_error": [0.5] * 4,
        "validation_loss": curve, "validation_error": [0.5] * 4, "test_loss": math.nan, "test_error": 0.1,
        "validation_wrong": np.array([True, False, True]), "wrong": NONE, "variables": {"params": {"bias": np.ones(2)}},
    }  # fmt: skip
    return Outcome(**(fields | changes))


@pytest.fixture
def data():
    part = lc.Examples(np.zeros((3, 1), np.float32), np.zeros(3, np.int32))
    return lc.Data(part, part, part, classes=2)


def test_a_line_gives_the_outcome_back(data):
    fields = unseal_line(encode_line("a", 5, outcome()).rstrip())
    assert (fields["sweep"], fields["run"], len(fields["variables"])) == ("a", 5, 64)
    read = outcome_of(fields, data)
    for name, value in vars(outcome(variables=None)).items():
        np.testing.assert_array_equal(getattr(read, name), value)
    check_outcome(read, BUDGET, 8)


def test_every_flipped_bit_is_noticed():
    line = encode_line("a", 5, outcome()).rstrip()
    for place in range(len(line)):
        for bit in range(8):
            changed = line[:place] + bytes([line[place] ^ (1 << bit)]) + line[place + 1 :]
            with pytest.raises(ValueError, match=r"the line (is incomplete|has changed since it was written)"):
                unseal_line(changed)
    for end in range(len(line)):
        with pytest.raises(ValueError, match="incomplete"):
            unseal_line(line[:end])


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 7}, {"steps": 9}, {"steps": 4, "status": 0, "patience": 0}, {"recorded_step": [2, 6, 4, 4]},
        {"recorded_step": [2, 4, 3, 3]}, {"recorded_step": [2, 4, 6]}, {"recorded_step": [2, 4, 4, 2]},
        {"train_error": [-3.0] * 4}, {"test_error": -0.5}, {"train_loss": [math.inf] * 4},
        {"validation_loss": [0.5] * 3}, {"recorded_step": [2, 4, 6, 6], "status": 1, "steps": -5},
    ],
    ids=str,
)  # fmt: skip
def test_an_outcome_that_no_run_has_is_refused(changes):
    patience = changes.pop("patience", 2)
    with pytest.raises(ValueError, match=r"status|steps|negative|not finite|values"):
        check_outcome(outcome(**changes), dataclasses.replace(BUDGET, patience=patience), 8)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": True}, {"status": "0"}, {"steps": -5}, {"steps": 1e300}, {"wrong": [-1]}, {"wrong": [3]},
        {"wrong": None}, {"test_loss": "many"}, {"test_error": []}, {"train_loss": 5}, {"recorded_step": {"a": 1}},
        {"recorded_step": [[1]]},
    ],
    ids=str,
)  # fmt: skip
def test_fields_of_other_types_are_refused(data, changes):
    fields = json.loads(encode_line("a", 5, outcome()))
    with pytest.raises((ValueError, TypeError, IndexError)):
        outcome_of(fields | changes, data)


def test_bfloat16_variables_keep_their_dtype(data, tmp_path):
    program = lc.Program(
        lc.models.MLP((), 2), lc.cross_entropy, optax.sgd, constant, 1, BUDGET, epochs
    )  # fmt: skip
    runs, budget, keep = lc.Runs.grid(program, size=[3], seed=0, learning_rate=0.1), np.array([8]), np.ones(1, bool)
    written = outcome(variables={"params": {"bias": np.arange(2, dtype=jnp.bfloat16)}})
    store = Store(tmp_path, {"parameters": [{"['params']['bias']": ["bfloat16", 2]}]}, ())
    store.add(0, written)
    read = store.read(data, runs, budget, keep)[0].variables["params"]["bias"]
    store.close()
    assert read.dtype == jnp.bfloat16
    np.testing.assert_array_equal(read, written.variables["params"]["bias"])
