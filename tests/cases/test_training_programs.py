"""Programs: every field that JAX, Flax or Optax would accept is accepted, or refused by name with a remedy."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lcjax as lc
from lcjax.records import canonical_hash
from lcjax.training import Budget, Runs, constant, cosine, epochs, momentum
from lcjax.training.execution.local import LocalScorer
from lcjax.training.execution.recording import Recording
from lcjax.training.execution.step import Score
from lcjax.training.program import to_number
from lcjax.training.storage.run_state import Job
from lcjax.training.validation import check_sweep

INPUTS = np.random.default_rng(0).normal(size=(60, 3)).astype("f4")
PART = lc.Examples(INPUTS, (INPUTS[:, 0] > 0).astype("i4"))
DATA = lc.Data(PART, PART, None, classes=2)
PROGRAM = lc.Program(lc.models.MLP((4,), 2), lc.cross_entropy, momentum, constant, 4, Budget(steps=5), epochs)


class Normalized(nn.Module):
    average: bool | None = None
    grid: bool = False

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Dense(8)(x)
        x = x.reshape(-1, 2, 2, 2) if self.grid else x
        x = nn.BatchNorm(use_running_average=not train if self.average is None else self.average)(x)
        return nn.Dense(2, name="head")(x.reshape(len(x), -1))


class WithoutTrain(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x)


class Pair(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(2)(x), x


class Listed(nn.Module):
    widths: list

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(2)(x)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.head = nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x):
        return self.head(x)


def mean(outputs, targets):
    return jnp.mean(lc.cross_entropy(outputs, targets))


def total(outputs, targets):
    return jnp.sum(lc.cross_entropy(outputs, targets))


def column(outputs, targets):
    return lc.cross_entropy(outputs, targets)[:, None]


def whole(outputs, targets):
    return targets


def injected(rate):
    return optax.chain(optax.clip(9.0), optax.inject_hyperparams(optax.sgd)(learning_rate=rate))


def accumulated(rate):
    return optax.MultiSteps(optax.inject_hyperparams(optax.sgd)(learning_rate=rate), 1)


def first_layer(rate):
    labels = {"hidden_0": {"kernel": "a", "bias": "a"}, "head": {"kernel": "b", "bias": "b"}}
    return optax.multi_transform({"a": optax.sgd(rate), "b": optax.set_to_zero()}, labels)


decayed = functools.partial(optax.adamw, weight_decay=1e-3)
ACCEPTED = {
    "optimizer_partial": {"optimizer": decayed},
    "optimizer_of_the_parameters": {"optimizer": first_layer},
    "optimizer_accumulating": {"optimizer": accumulated},
    "objective_of_optax": {"objective": optax.softmax_cross_entropy_with_integer_labels},
    "schedule_of_floats": {"schedule": lambda progress: 1.0},
    "batchnorm_frozen": {"model": Normalized(average=True), "batch": 1},
    "batchnorm_of_places": {"model": Normalized(grid=True), "batch": 1},
    "batchnorm_of_batches": {"model": Normalized()},
}
REFUSED = {
    "objective_mean": ({"objective": mean}, r"objective mean, which returns .* of shape \(\) .* leave out the mean"),
    "objective_total": ({"objective": total}, "one loss for each example; leave out the mean"),
    "objective_column": ({"objective": column}, r"of shape \(3, 1\) for 3 examples: return one loss for each example"),
    "objective_whole": ({"objective": whole}, r"which returns int32 of shape \(3,\)"),
    "objective_arguments": ({"objective": lambda o: o}, "objective <lambda>, which does not take outputs and targets"),
    "optimizer_made": ({"optimizer": optax.adam(0.1)}, "pass the function that makes it, such as optax.adam"),
    "optimizer_with_rate": (
        {"optimizer": functools.partial(optax.sgd, learning_rate=0.1)}, "multiple values for argument 'learning_rate'"
    ),
    "optimizer_of_values": ({"optimizer": optax.polyak_sgd}, "which needs more than gradients.*'value'"),
    "schedule_number": ({"schedule": 0.1}, "schedule 0.1, which is not a function: .* lcjax.training.cosine"),
    "schedule_of_optax": (
        {"schedule": optax.cosine_decay_schedule(1.0, 10)}, "counts steps; .* fraction of the run's steps"
    ),
    "schedule_vector": ({"schedule": lambda progress: jnp.ones(3)}, r"array of shape \(\), got .*\(3,\)"),
    "schedule_without_hash": ({"schedule": np.poly1d([1.0])}, "is not hashable"),
    "sampling_arguments": ({"sampling": lambda key, step: 0}, "does not take key, step, size, batch"),
    "augment_text": ({"augment": "flip"}, "augment 'flip', which is neither a function nor None"),
    "augment_shape": ({"augment": lambda key, inputs: inputs[:2]}, r"shapes of a batch from \(3, 3\) to \(2, 3\)"),
    "corrupt_arguments": ({"corrupt": lambda key: key}, "does not take key, number, inputs, targets, columns, train"),
    "dtype_wide": ({"dtype": "float64"}, "computes in float64, which needs jax.enable_x64"),
    "model_class": ({"model": lc.models.MLP}, r"a class as its model: pass a module, MLP\(...\)"),
    "model_of_nnx": ({"model": Nnx(nnx.Rngs(0))}, r"model Nnx, .* pass lcjax.models.from_nnx\(Nnx, ...\)"),
    "model_function": ({"model": mean}, "pass lcjax.models.from_functions"),
    "model_without_train": ({"model": WithoutTrain()}, r"define __call__\(self, x, train=False\)"),
    "model_of_two_outputs": ({"model": Pair()}, r"outputs of shape \(\(2,\), \(3,\)\) per example"),
    "model_with_list": ({"model": Listed([3])}, "is not hashable"),
    "batchnorm_of_one_example": (
        {"model": Normalized(), "batch": 1}, "batches of one example, which layer BatchNorm_0 normalizes to zero"
    ),
}  # fmt: skip


def unchecked(value, **fields):
    """Return a copy of a dataclass with other fields, past the run-time type check."""
    copy = dataclasses.replace(value)
    for name, field in fields.items():
        object.__setattr__(copy, name, field)
    return copy


def check(program, **columns):
    return check_sweep(
        Runs(program, [0], {"size": [20], "seed": [0], "learning_rate": [0.1]} | columns), DATA, None, None
    )


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_field_that_trains_is_accepted(case):
    assert check(unchecked(PROGRAM, **ACCEPTED[case]))[0][0]["params"]


@pytest.mark.parametrize("case", REFUSED)
def test_a_field_that_does_not_train_is_refused_by_name(case):
    change, message = REFUSED[case]
    runs = Runs(PROGRAM, [0], {"size": [20], "seed": [0], "learning_rate": [0.1]})
    object.__setattr__(runs, "programs", (unchecked(PROGRAM, **change),))
    with pytest.raises(ValueError, match=f"(?s)Program 0 .*{message}"):
        check_sweep(runs, DATA, None, None)


def test_shards_of_one_example_are_refused_too():
    with pytest.raises(ValueError, match="batches of one example, which layer BatchNorm_0"):
        check(dataclasses.replace(PROGRAM, model=Normalized()), size=[1])


@pytest.mark.parametrize(
    "kind", [np.int64, np.uint8, np.float32, jnp.int32, jnp.float32, np.asarray], ids=lambda k: k.__name__
)
def test_numbers_of_other_libraries_become_those_of_python(kind):
    program = unchecked(PROGRAM, batch=kind(4), dtype=jnp.bfloat16, model_columns=[])
    budget = unchecked(PROGRAM.budget, steps=kind(5), epochs=kind(2), stop_when_fit=np.bool_(True))
    for value in (program, budget):
        value.__post_init__()
    assert (program.batch, type(program.batch)) == (4, int)
    assert (program.dtype, program.model_columns) == ("bfloat16", ())
    assert budget == Budget(steps=5, epochs=2, stop_when_fit=True)
    assert {type(budget.steps), type(budget.stop_when_fit)} == {int, bool}
    assert hash(program) == hash(dataclasses.replace(PROGRAM, dtype="bfloat16"))


@pytest.mark.parametrize(
    "value", [20.5, -1, True, np.nan, np.inf, "4", None, [4], np.ones(1), 4j], ids=lambda value: str(value)
)
def test_other_values_are_no_counts(value):
    with pytest.raises(ValueError, match=r"Budget.steps must be a whole number of at least 0, got "):
        to_number("Budget.steps", value, whole=True, least=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 0}, "Program.batch must be a whole number of at least 1, got 0"),
        ({"dtype": "int32"}, "Program.dtype must be a floating dtype, .* got 'int32'"),
        ({"dtype": "float33"}, "got 'float33'"),
        ({"dtype": None}, "got None"),
        ({"model_columns": "width"}, r"must be a tuple of names: \('width',\)"),
        ({"budget": 10}, "Program.budget must be a Budget, .* got 10"),
        ({"scoring": "errors"}, "Program.scoring must be a Scoring or None, got 'errors'"),
    ],
    ids=["batch", "dtype_int", "dtype_typo", "dtype_none", "columns_text", "budget_int", "scoring_text"],
)
def test_a_field_out_of_range_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        unchecked(PROGRAM, **change).__post_init__()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, "Budget.steps"),
        ({"epochs": np.inf}, "Budget.epochs must be a finite number of at least 0, got inf"),
        ({"records": 0}, "Budget.records must be a whole number of at least 1, got 0"),
        ({"patience": -1}, "Budget.patience must be a whole number of at least 0, got -1"),
    ],
    ids=["steps", "epochs", "records", "patience"],
)
def test_a_budget_out_of_range_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Budget(**{"steps": 5} | change)


def test_numbers_of_a_recipe_are_those_of_python():
    recipe = unchecked(lc.Recipe(PROGRAM, 0.1, Budget(steps=5), 0.01, 0.02), learning_rate=np.float32(0.5), margin=0)
    recipe.__post_init__()
    assert (recipe.learning_rate, recipe.margin, type(recipe.margin)) == (0.5, 0.0, float)
    with pytest.raises(ValueError, match=r"Recipe.fine_tune_rate must be a finite number of at least 0, got nan"):
        dataclasses.replace(recipe, fine_tune_rate=np.nan)


def test_equal_partials_are_one_optimizer_of_a_stored_sweep():
    again = functools.partial(optax.adamw, weight_decay=1e-3)
    other = functools.partial(optax.adamw, weight_decay=1e-4)
    hashes = [canonical_hash(dataclasses.replace(PROGRAM, optimizer=made)) for made in (decayed, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.slow
def test_a_scheduled_rate_reaches_hyper_parameters_in_the_state():
    """Optax keeps the rate of `inject_hyperparams` in its state; alone, it would stay that of the first step."""
    programs = [
        dataclasses.replace(PROGRAM, optimizer=optimizer, schedule=cosine, budget=Budget(steps=20, records=1))
        for optimizer in (optax.sgd, injected)
    ]
    runs = Runs(programs, [0, 1], {"size": [20] * 2, "seed": [0] * 2, "learning_rate": [0.5] * 2})
    result = lc.sweep(jax.random.key(0), DATA, runs)
    np.testing.assert_allclose(result.train_loss[0], 0.2533, atol=1e-4)
    np.testing.assert_allclose(result.train_loss[1], result.train_loss[0], rtol=1e-5)


@pytest.mark.slow
def test_a_scheduled_rate_reaches_accumulated_steps():
    programs = [
        dataclasses.replace(PROGRAM, optimizer=optimizer, schedule=cosine) for optimizer in (optax.sgd, accumulated)
    ]
    result = lc.sweep(jax.random.key(0), DATA, Runs.grid(programs, size=20, seed=0, learning_rate=0.5))
    np.testing.assert_allclose(result.train_loss[1], result.train_loss[0], rtol=1e-5)


@pytest.mark.slow
def test_a_run_that_diverges_under_debug_nans_says_so():
    """The steps that JAX repeats have donated arguments if they were compiled without the setting."""
    runs = Runs.grid(PROGRAM, size=20, seed=0, learning_rate=[0.1, 1e30])
    key = jax.random.key(0)
    assert lc.sweep(key, DATA, runs).status.tolist() == [0, 1]
    with jax.debug_nans(True), pytest.raises(FloatingPointError, match=r"A run diverged, one of rows .*status 1"):
        lc.sweep(key, DATA, runs)


def test_a_loss_of_nan_is_never_the_lowest():
    """A comparison with nan is false, which would keep the weights of the first record for good."""

    program = dataclasses.replace(PROGRAM, budget=Budget(steps=4, patience=3))
    scorer = LocalScorer(DATA, jnp.zeros((1, 60), jnp.int32), program)
    recording = Recording(Job(0, 4, {}, 0, {}, None, False), [1, 2, 3, 4])
    for step, loss in enumerate((np.nan, 0.7, np.nan), start=1):
        recording.step = step
        recording._compare(scorer, Score(jnp.float32(loss), jnp.float32(0.5), jnp.zeros(60, bool)), {})
    assert (recording.best.step, recording.stale) == (2, 1)
