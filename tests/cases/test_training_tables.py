"""Tables of runs: values out of range are refused by column, row and value; lists and whole floats are converted."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.training import Budget, Execution, Runs, constant, epochs, momentum
from lcjax.training.runs import check_columns
from lcjax.training.validation import check_keep, check_sweep

INPUTS = np.random.default_rng(0).normal(size=(60, 3)).astype("f4")
PART = lc.Examples(INPUTS, (INPUTS[:, 0] > 0).astype("i4"))
DATA = lc.Data(PART, PART, None, classes=2)
PROGRAM = lc.Program(lc.models.MLP((4,), 2), lc.cross_entropy, momentum, constant, 4, Budget(steps=5), epochs)
COLUMNS = {"size": [20, 20], "seed": [0, 1], "learning_rate": [0.1, 0.1]}
REFUSED = {
    "seed_negative": ("seed", [0, -1], r"'seed' is -1 in row 1: seeds must be whole numbers in \[0, 2\^32\)"),
    "seed_large": ("seed", [2**32, 0], "'seed' is 4294967296 in row 0"),
    "seed_fraction": ("seed", [0.5, 0.7], r"'seed' is 0\.5 in row 0"),
    "seed_bool": ("seed", [True, False], "'seed' is True in row 0"),
    "size_fraction": ("size", [20, 20.5], r"'size' is 20\.5 in row 1: sizes must be whole numbers in \[1, 60\]"),
    "size_zero": ("size", [0, 20], "'size' is 0 in row 0"),
    "size_large": ("size", [20, 61], "'size' is 61 in row 1"),
    "size_nan": ("size", [20, np.nan], "'size' is nan in row 1"),
    "rate_inf": ("learning_rate", [0.1, np.inf], "'learning_rate' is inf in row 1: .* positive and finite"),
    "rate_nan": ("learning_rate", [0.1, np.nan], "'learning_rate' is nan in row 1"),
    "rate_zero": ("learning_rate", [0, 0.1], r"'learning_rate' is 0\.0 in row 0"),
    "rate_negative": ("learning_rate", [0.1, -1], r"'learning_rate' is -1\.0 in row 1"),
    "penalty_nan": ("l2", [0.1, np.nan], "'l2' is nan in row 1: it must be finite"),
    "decay_large": ("weight_decay", [0, 2**40], "'weight_decay' is 1099511627776 in row 1: .* 32 bits"),
    "short": ("seed", [0], r"'seed' has shape \(1,\) for 2 runs"),
    "program_absent": ("program", [0, 1], "'program' is 1 in row 1: there are 1 programs"),
}
NOT_NUMBERS = {
    "text": (["a", "b"], "'learning_rate' is 'a' in row 0: it must hold numbers"),
    "schedule": ([0.1, optax.constant_schedule(0.1)], r"in row 1: it must hold numbers. Pass a schedule as Program"),
    "none": ([0.1, None], "'learning_rate' is None in row 1"),
    "huge": ([1, 10**400], "in row 1: it must hold numbers"),
    "complex": ([1j, 1], "'learning_rate' is 1j in row 0"),
}


def unchecked(value, **fields):
    """Return a copy of a dataclass with other fields, past the run-time type check."""
    copy = dataclasses.replace(value)
    for name, field in fields.items():
        object.__setattr__(copy, name, field)
    return copy


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_out_of_range_is_refused(case):
    name, values, message = REFUSED[case]
    runs = Runs((PROGRAM,), [0, 0], COLUMNS)
    column = np.asarray(values)
    changes = {"program": column} if name == "program" else {"columns": {**runs.columns, name: column}}
    with pytest.raises(ValueError, match=message):
        check_columns(unchecked(runs, **changes), 60)


@pytest.mark.parametrize("case", NOT_NUMBERS)
def test_a_column_that_holds_no_numbers_is_refused(case):
    values, message = NOT_NUMBERS[case]
    runs = Runs((PROGRAM,), [0, 0], COLUMNS)
    with pytest.raises(ValueError, match=message):
        check_columns(unchecked(runs, columns={**runs.columns, "learning_rate": np.asarray(values)}), 60)


def test_lists_whole_floats_and_arrays_of_other_libraries_are_columns():
    plain = Runs((PROGRAM,), [0, 0], COLUMNS)
    floats = Runs([PROGRAM], jnp.zeros(2, int), {**COLUMNS, "size": (20.0, 20.0), "seed": jnp.arange(2.0)})
    whole = Runs(PROGRAM, [0, 0], {**COLUMNS, "learning_rate": [1, 1]})
    for runs in (plain, floats, whole):
        check_sweep(runs, DATA, None, None)
        assert {name: runs.columns[name].tolist() for name in ("size", "seed")} == {"size": [20, 20], "seed": [0, 1]}
        assert all(runs.columns[name].dtype.kind == "i" for name in ("size", "seed"))


def test_the_rest_of_a_table_is_refused_by_name():
    runs = Runs((PROGRAM,), [0, 0], COLUMNS)
    assert runs.rows([1]).program.tolist() == [0]
    with pytest.raises(ValueError, match=r"Program 0 is 3: pass a lcjax.Program"):
        check_columns(unchecked(runs, programs=(3,)), 60)
    with pytest.raises(ValueError, match="The table of runs has no rows"):
        check_columns(Runs((PROGRAM,), [], {name: [] for name in COLUMNS}), 60)
    none = lc.Examples(INPUTS[:0], PART.targets[:0])
    with pytest.raises(ValueError, match="on the validation split, which has no examples"):
        check_sweep(runs, dataclasses.replace(DATA, validation=none), None, None)
    with pytest.raises(ValueError, match=r"on the test split, .* Withhold it with Data.without_test\(\)"):
        check_sweep(runs, dataclasses.replace(DATA, test=none), None, None)
    with pytest.raises(ValueError, match=r"initial has leading axes \[0\] for 2 runs"):
        check_sweep(runs, DATA, 3, None)
    sweep = lc.sweep
    while hasattr(sweep, "__wrapped__"):
        sweep = sweep.__wrapped__  # past the run-time type check
    with pytest.raises(ValueError, match=r"such as Execution.parse\('vmap:2'\)"):
        sweep(jax.random.key(0), DATA, runs, execution="vmap:2")


@pytest.mark.parametrize(
    ("keep", "message"),
    [([True], r"bool of shape \(1,\)"), ([0, 1], r"int64 of shape \(2,\)"), (True, r"bool of shape \(\)")],
    ids=["short", "rows", "scalar"],
)
def test_keep_of_another_length_or_type_is_refused(keep, message):
    with pytest.raises(ValueError, match=rf"keep must hold True or False for each of 2 runs, got {message}"):
        check_keep(keep, 2)


def test_seeds_up_to_32_bits_differ_and_a_sweep_runs_under_a_transfer_guard():
    """Moving a table to the device and scores back is what a sweep is for, in its threads too."""
    runs = Runs((PROGRAM,), [0] * 3, {"size": [20] * 3, "seed": [0, 2**31, 2**32 - 1], "learning_rate": [0.1] * 3})
    key, keep = jax.random.key(0), np.ones(3, bool)
    expected = lc.sweep(key, DATA, runs, keep=keep)
    assert len(set(expected.train_loss[:, -1].tolist())) == 3
    with jax.transfer_guard("disallow"):
        result = lc.sweep(key, DATA, runs, keep=keep, execution=expected.executions[0])
        wrong = lc.evaluate(result, DATA, DATA.validation)
        assert lc.features(result, 0, DATA, INPUTS).shape == (60, 4)
    np.testing.assert_array_equal(result.train_loss, expected.train_loss)
    np.testing.assert_array_equal(wrong, expected.validation_wrong)


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["map:2", "step:2", "vmap:2@2"])
def test_every_execution_runs_under_a_transfer_guard(execution):
    runs = Runs((PROGRAM,), [0, 0], COLUMNS)
    key = jax.random.key(0)
    with jax.transfer_guard("disallow"):
        result = lc.sweep(key, DATA, runs, execution=Execution.parse(execution))
    assert result.status.tolist() == [0, 0]
