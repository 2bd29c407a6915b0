"""The engine against a plain loop in NumPy, and against other executions of the same runs."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.data.subsets import random_order, stratified_order
from lcjax.training import Budget, Execution, Runs, constant, cosine, epochs, nesterov
from lcjax.training.execution import slots
from lcjax.training.execution import step as steps
from lcjax.training.execution.step import INITIALIZATION, MINIBATCHES, ORDER
from lcjax.training.scoring import is_wrong

ALL = np.ones(6, bool)
NEGLIGIBLE = 1e-30  # learning rate that leaves the weights as they are


def assert_same(actual, expected, rows, atol=None):
    """Check that runs `rows` of `expected` are those of `actual`, bit for bit unless `atol` is given."""
    for i, row in enumerate(rows):
        for a, e in zip(jax.tree.leaves(actual.params[i]), jax.tree.leaves(expected.params[row]), strict=True):
            if atol is None:
                np.testing.assert_array_equal(a, e)
            else:
                np.testing.assert_allclose(a, e, atol=atol)
    if atol is None:
        for name in ("train_loss", "train_error", "validation_error", "wrong", "validation_wrong", "steps"):
            np.testing.assert_array_equal(getattr(actual, name), np.asarray(getattr(expected, name))[rows])


@pytest.fixture(scope="module")
def expected(data, table):
    return lc.sweep(jax.random.key(3), data, table, keep=ALL, execution=Execution("vmap", 2))


def test_one_run_is_a_plain_loop(data, table, expected, key):
    """Weights after 100 steps equal those of a NumPy loop with the same streams."""
    row = 1
    size, seed, rate = (table.columns[name][row] for name in ("size", "seed", "learning_rate"))
    stream = lambda number: jax.random.fold_in(jax.random.fold_in(key, seed), number)  # noqa: E731
    order = stratified_order(stream(ORDER), data.train.targets)
    inputs = (data.train.inputs[order[:size]].astype(np.float64) - 128) / 64
    targets = data.train.targets[order[:size]]
    model = table.programs[0].model
    variables = jax.jit(model.init)(stream(INITIALIZATION), jnp.zeros((1, 5)))["params"]
    w1, b1 = (np.asarray(variables["hidden_0"][name], np.float64) for name in ("kernel", "bias"))
    w2, b2 = (np.asarray(variables["head"][name], np.float64) for name in ("kernel", "bias"))
    parameters, velocity = [w1, b1, w2, b2], [0.0] * 4
    for step in range(100):
        chosen = np.asarray(jax.random.randint(jax.random.fold_in(stream(MINIBATCHES), step), (16,), 0, int(size)))
        x, y = inputs[chosen], targets[chosen]
        w1, b1, w2, b2 = parameters
        hidden = np.maximum(x @ w1 + b1, 0)
        outputs = hidden @ w2 + b2
        probability = np.exp(outputs - outputs.max(1, keepdims=True))
        probability /= probability.sum(1, keepdims=True)
        error = (probability - np.eye(3)[y]) / 16
        back = (error @ w2.T) * (hidden > 0)
        gradient = [x.T @ back, back.sum(0), hidden.T @ error, error.sum(0)]
        velocity = [0.9 * v + g for v, g in zip(velocity, gradient, strict=True)]
        factor = rate * 0.5 * (1 + np.cos(np.pi * step / 100))
        parameters = [p - factor * v for p, v in zip(parameters, velocity, strict=True)]
    found = expected.params[row]["params"]
    found = [found["hidden_0"]["kernel"], found["hidden_0"]["bias"], found["head"]["kernel"], found["head"]["bias"]]
    for actual, wanted in zip(found, parameters, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=2e-5)

    w1, b1, w2, b2 = found
    outputs = lambda examples: np.maximum((examples.inputs / 64.0 - 2) @ w1 + b1, 0) @ w2 + b2  # noqa: E731
    np.testing.assert_array_equal(expected.wrong[row], outputs(data.test).argmax(1) != data.test.targets)
    wrong = outputs(data.validation).argmax(1) != data.validation.targets
    np.testing.assert_array_equal(expected.validation_wrong[row], wrong)
    assert expected.validation_error[row, -1] == pytest.approx(wrong.mean())
    on_shard = np.maximum(inputs @ w1 + b1, 0) @ w2 + b2
    loss = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(on_shard), targets).mean()
    assert expected.train_loss[row, -1] == pytest.approx(float(loss), rel=1e-4)
    assert expected.train_error[row, -1] == pytest.approx((on_shard.argmax(1) != targets).mean())


@pytest.mark.parametrize("rows", [[2], [5, 1], [4, 3, 2, 1, 0], [0, 0, 0]])
def test_a_run_does_not_depend_on_the_other_runs(data, table, expected, key, rows):
    result = lc.sweep(key, data, table.rows(rows), keep=ALL[: len(rows)], execution=Execution("vmap", 2))
    assert_same(result, expected, rows)


@pytest.mark.slow
def test_a_mapped_run_does_not_depend_on_the_other_runs(data, table, key):
    together = lc.sweep(key, data, table, keep=ALL, execution=Execution("map", 3))
    alone = lc.sweep(key, data, table.rows([4]), keep=ALL[:1], execution=Execution("map", 3))
    assert_same(alone, together, [4])


@pytest.mark.parametrize(
    "text",
    [
        "vmap:6@2",
        "map:4",
        *(pytest.param(text, marks=pytest.mark.slow) for text in ("vmap:6", "vmap:1", "map:1", "map:4@2", "step:3")),
    ],
)
def test_execution_and_width_change_rounding_only(data, table, expected, key, text):
    execution = Execution.parse(text)
    result = lc.sweep(key, data, table, keep=ALL, execution=execution)
    assert result.executions == (execution,)
    assert_same(result, expected, range(6), atol=1e-6)
    assert np.abs(result.wrong.sum(1).astype(int) - expected.wrong.sum(1)).max() <= 2


def test_chunks_of_steps_leave_no_trace(data, table, expected, key, monkeypatch):
    monkeypatch.setattr("lcjax.training.execution.scheduler.CHUNK_SECONDS", 0.0)  # one step per chunk
    assert_same(lc.sweep(key, data, table, keep=ALL, execution=Execution("vmap", 2)), expected, range(6))


def test_runs_of_different_length_fill_the_slots(data, program, key):
    program = dataclasses.replace(program, budget=Budget(steps=10, epochs=3))
    columns = {"size": np.array([16, 240, 80, 160, 32]), "seed": np.arange(5), "learning_rate": np.full(5, 0.1)}
    runs = Runs((program,), np.zeros(5, int), columns)
    events = []
    result = lc.sweep(key, data, runs, keep=ALL[:5], execution=Execution("vmap", 2), on_progress=events.append)
    np.testing.assert_array_equal(result.steps, [10, 45, 15, 30, 10])
    np.testing.assert_array_equal(result.recorded_step[1], [12, 23, 34, 45])
    assert events[-1].done == events[-1].total == 110
    assert events[-1].ended == events[-1].runs == 5
    assert sorted(row for event in events for row in event.just_ended) == [0, 1, 2, 3, 4]
    assert all(before.done <= after.done for before, after in itertools.pairwise(events))
    assert_same(lc.sweep(key, data, runs.rows([3]), keep=ALL[:1], execution=Execution("vmap", 2)), result, [3])


def test_runs_of_one_seed_share_start_order_and_minibatches(data, table, key):
    """A negligible learning rate keeps the initial weights: equal for all sizes of a seed, different between seeds."""
    runs = Runs(table.programs, table.program, {**table.columns, "learning_rate": np.full(6, NEGLIGIBLE)})
    result = lc.sweep(key, data, runs, keep=ALL)
    weights = [params["params"]["head"]["kernel"] for params in result.params]
    np.testing.assert_array_equal(weights[0], weights[2])
    assert not np.array_equal(weights[0], weights[3])
    np.testing.assert_array_equal(result.shard(0), result.shard(2)[:20])
    assert len(result.shard(1)) == 60
    order = stratified_order(jax.random.fold_in(jax.random.fold_in(key, 7), ORDER), data.train.targets)
    np.testing.assert_array_equal(result.shard(4), order[:60])


@pytest.mark.slow
def test_several_programs_keep_the_table_order(data, program, key):
    """Interleaved runs of two programs equal those of separate tables of each program."""
    changes = {"optimizer": optax.adam, "schedule": constant, "sampling": epochs}
    other = dataclasses.replace(program, model=lc.models.MLP((4, 4), 3), **changes)
    columns = {"size": np.full(4, 240), "seed": np.arange(4), "learning_rate": np.array([0.1, 0.01, 0.05, 0.02])}
    result = lc.sweep(
        key, data, Runs((program, other), np.array([0, 1, 0, 1]), columns), keep=ALL[:4], execution=Execution("vmap", 2)
    )
    assert [len(params["params"]) for params in result.params] == [2, 3, 2, 3]
    for part, rows in ((program, [0, 2]), (other, [1, 3])):
        runs = Runs((part,), np.zeros(4, int), columns).rows(rows)
        assert_same(lc.sweep(key, data, runs, keep=ALL[:2], execution=Execution("vmap", 2)), result, rows)


@pytest.mark.parametrize("optimizer", [optax.sgd, pytest.param(nesterov, marks=pytest.mark.slow), optax.adam])
def test_every_optimizer_trains_with_its_own_rate(data, program, key, optimizer):
    program = dataclasses.replace(program, optimizer=optimizer, schedule=constant)
    rates = np.array([NEGLIGIBLE, 0.02, 0.1])
    columns = {"size": np.full(3, 240), "seed": np.zeros(3, int), "learning_rate": rates}
    result = lc.sweep(key, data, Runs((program,), np.zeros(3, int), columns))
    assert result.train_loss[0, 0] == result.train_loss[0, -1]
    assert result.train_loss[1, -1] < result.train_loss[0, -1]
    assert result.train_error[2, -1] < 0.25 * result.train_error[0, -1]


def test_weight_decay_is_added_to_the_gradient(data, program, key):
    """After one step of plain descent the weights with and without decay differ by rate * decay * weights."""
    program = dataclasses.replace(program, optimizer=optax.sgd, schedule=constant, budget=Budget(steps=1))
    columns = {"size": np.full(3, 60), "seed": np.zeros(3, int), "learning_rate": np.array([NEGLIGIBLE, 0.1, 0.1])}
    columns["weight_decay"] = np.array([0.0, 0.0, 0.5])
    result = lc.sweep(key, data, Runs((program,), np.zeros(3, int), columns), keep=ALL[:3])
    start, plain, decayed = (params["params"]["hidden_0"]["kernel"] for params in result.params)
    np.testing.assert_allclose(decayed, plain - 0.1 * 0.5 * start, atol=1e-7)


def test_a_loss_that_is_not_finite_fails_its_run_only(data, table, expected, key):
    columns = {name: np.copy(column) for name, column in table.columns.items()}
    columns["learning_rate"] = columns["learning_rate"].astype(float)
    columns["learning_rate"][3] = 1e30
    result = lc.sweep(key, data, Runs(table.programs, table.program, columns), keep=ALL, execution=Execution("vmap", 2))
    np.testing.assert_array_equal(result.status, [0, 0, 0, 1, 0, 0])
    assert 0 < result.steps[3] < 25
    assert np.isnan(result.train_loss[3]).all()
    assert np.isnan(result.validation_error[3]).all()
    assert result.wrong[3].all()
    assert result.params[3] is None
    others = [0, 1, 2, 4, 5]
    for row in others:
        for a, e in zip(jax.tree.leaves(result.params[row]), jax.tree.leaves(expected.params[row]), strict=True):
            np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize(
    "execution", [Execution("vmap", 5), pytest.param(Execution("map", 4), marks=pytest.mark.slow)], ids=str
)
def test_out_of_memory_halves_the_width(data, table, expected, key, execution, monkeypatch):
    """The running jobs restart and end with the same result."""
    advance, widths = steps.advance, []

    def short(slots, *arguments, **options):
        widths.append(len(slots.step))
        if widths[-1] > 2 and len(widths) > 3:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12345 bytes.")
        return advance(slots, *arguments, **options)

    monkeypatch.setattr(steps, "advance", short)
    with pytest.warns(UserWarning, match=f"Out of memory with {execution.width} concurrent runs; continuing with 2"):
        result = lc.sweep(key, data, table, keep=ALL, execution=execution)
    assert set(widths) == {execution.width, 2}
    assert_same(result, expected, range(6), atol=1e-6)
    np.testing.assert_array_equal(result.steps, 100)

    def broken(*arguments, **options):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12345 bytes.")

    monkeypatch.setattr(steps, "advance", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        lc.sweep(key, data, table, execution=Execution("vmap", 1))


def test_out_of_memory_for_the_slots_themselves(data, table, expected, key, monkeypatch):
    """No step fails: memory is insufficient for all runs before the first step."""
    broadcast = slots.broadcast

    def short(slot, *, width):
        if width > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12345 bytes.")
        return broadcast(slot, width=width)

    monkeypatch.setattr(slots, "broadcast", short)
    with pytest.warns(UserWarning, match="Out of memory with 4 concurrent runs; continuing with 2"):
        result = lc.sweep(key, data, table, keep=ALL, execution=Execution("vmap", 4))
    assert_same(result, expected, range(6), atol=1e-6)


def test_a_withheld_test_split_is_scored_afterwards(data, table, expected, key):
    result = lc.sweep(key, data.without_test(), table, keep=ALL, execution=Execution("vmap", 2))
    assert result.wrong.shape == (6, 0)
    assert np.isnan(result.test_error).all()
    wrong = lc.training.evaluate(result, data, data.test)
    np.testing.assert_array_equal(wrong, expected.wrong)
    np.testing.assert_allclose(expected.test_error, wrong.mean(axis=1))


def test_top_two(data, table, expected):
    from lcjax.training.evaluation import evaluate

    wrong = evaluate(expected, data, data.test, top=2)
    for row in range(6):
        outputs = np.asarray(table.programs[0].model.apply(expected.params[row], (data.test.inputs / 64.0 - 2)))
        np.testing.assert_array_equal(wrong[row], outputs.argmin(axis=1) == data.test.targets)
    assert (wrong <= expected.wrong).all()
    assert not evaluate(expected, data, data.test, top=3).any()
    with pytest.raises(ValueError, match=r"top must lie in \[1, 3\], the classes, got 4"):
        evaluate(expected, data, data.test, top=4)


def test_features_of_a_kept_net(data, table, expected):
    from lcjax.training.evaluation import features

    params = expected.params[1]["params"]["hidden_0"]
    by_hand = lambda inputs: np.maximum((inputs / 64.0 - 2) @ params["kernel"] + params["bias"], 0)  # noqa: E731
    actual = features(expected, 1, data, data.test.inputs)
    np.testing.assert_allclose(actual, by_hand(data.test.inputs), atol=1e-5)
    shard = features(expected, 1, data, shard=True)
    np.testing.assert_allclose(shard, by_hand(data.train.inputs[expected.shard(1)]), atol=1e-5)
    with pytest.raises(ValueError, match="either `inputs` or `shard=True`, not both"):
        features(expected, 1, data)


def test_variables_that_were_not_stored_raise(data, table, key):
    runs = table.rows([0])
    result = lc.sweep(key, data, runs, execution=Execution("vmap", 2))
    assert result.params == (None,)
    with pytest.raises(ValueError, match="Run 0 has no stored parameters"):
        lc.training.evaluate(result, data, data.test)


def test_a_warm_start_continues_where_it_was(data, table, expected, key):
    runs = Runs(table.programs, table.program, {**table.columns, "learning_rate": np.full(6, NEGLIGIBLE)})
    for initial in (list(expected.params), jax.tree.map(lambda *leaves: np.stack(leaves), *expected.params)):
        result = lc.sweep(key, data, runs, initial=initial, keep=ALL, execution=Execution("vmap", 2))
        assert_same(result, expected, range(6), atol=0)
        np.testing.assert_array_equal(result.wrong, expected.wrong)


def test_masked_parameters_stay_zero(data, table, expected, key):
    mask = jax.tree.map(lambda leaf: (np.abs(leaf) > 0.3).astype(np.float32), expected.params[0]["params"])
    result = lc.sweep(
        key, data, table, initial=list(expected.params), mask=[mask, *[jax.tree.map(np.ones_like, mask)] * 5], keep=ALL
    )
    pruned = jax.tree.map(lambda leaf, held: np.all(leaf[held == 0] == 0), result.params[0]["params"], mask)
    assert all(jax.tree.leaves(pruned))
    kept = jax.tree.map(lambda leaf, held: np.all(leaf[held == 1] != 0), result.params[0]["params"], mask)
    assert all(jax.tree.leaves(kept))
    assert np.count_nonzero(result.params[1]["params"]["head"]["kernel"]) == 36


def test_an_output_that_is_nan_is_wrong(data):
    outputs = jnp.array([[np.nan, 0.0, 0.0], [0.0, 1.0, np.nan], [1.0, 0.0, 0.0]])
    assert is_wrong(data, outputs, jnp.array([0, 1, 0])).tolist() == [True, True, False]


def test_regression_counts_what_is_further_than_the_tolerance(key):
    generator = np.random.default_rng(0)

    def split(n):
        inputs = generator.normal(size=(n, 2)).astype(np.float32)
        return lc.Examples(inputs, (inputs[:, 0] + 0.2 * generator.normal(size=n)).astype(np.float32))

    data = lc.Data(split(200), split(80), split(90), tolerance=0.15)
    program = lc.Program(
        lc.models.MLP((8,), 1),
        lc.models.mean_squared_error,
        optax.adam,
        cosine,
        batch=20,
        budget=Budget(steps=600),
        sampling=epochs,
    )
    columns = {"size": np.array([200]), "seed": np.array([0]), "learning_rate": np.array([0.02])}
    result = lc.sweep(key, data, lc.Runs((program,), np.array([0]), columns), keep=ALL[:1])
    outputs = np.asarray(program.model.apply(result.params[0], data.test.inputs))[:, 0]
    np.testing.assert_array_equal(result.wrong[0], np.abs(outputs - data.test.targets) > 0.15)
    shard = random_order(jax.random.fold_in(jax.random.fold_in(key, 0), ORDER), 200)
    np.testing.assert_array_equal(result.shard(0), shard)
    design = np.column_stack([data.train.inputs, np.ones(200)])
    _, residual, _, _ = np.linalg.lstsq(design, data.train.targets.astype(float))
    assert 0.8 * residual / 200 < result.train_loss[0, -1] < 1.1 * residual / 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": np.array([0])}, r"'size' is 0 in row 0: sizes must be whole numbers in \[1, 240\], the training set"),
        ({"size": np.array([241])}, "'size' is 241 in row 0"),
        ({"seed": None}, "no column 'seed'"),
        ({"weight_deacy": np.array([1e-4])}, "No program reads column 'weight_deacy'"),
    ],
)
def test_a_bad_table_is_refused(data, program, key, change, message):
    columns = {"size": np.array([5]), "seed": np.array([0]), "learning_rate": np.array([0.1]), **change}
    columns = {name: column for name, column in columns.items() if column is not None}
    runs = Runs((program,), np.array([0]), columns)
    with pytest.raises(ValueError, match=message):
        lc.sweep(key, data, runs)


def test_data_that_disagree_are_refused(data, table, key):
    train = dataclasses.replace(data.train, targets=data.train.targets + 1)
    with pytest.raises(ValueError, match=r"train targets must be integers in \[0, 2\].*from 1 to 3"):
        lc.sweep(key, dataclasses.replace(data, train=train), table)
    short = dataclasses.replace(data.validation)
    object.__setattr__(short, "targets", data.validation.targets[1:])  # past the run-time type check
    with pytest.raises(ValueError, match="validation has 99 inputs and 98 targets"):
        lc.sweep(key, dataclasses.replace(data, validation=short), table)


def test_a_ragged_table_is_refused(data, table, key):
    runs = table.rows([0])
    object.__setattr__(runs, "columns", {**runs.columns, "seed": np.array([5, 6])})  # past the run-time type check
    with pytest.raises(ValueError, match=r"'seed' has shape \(2,\) for 1 runs"):
        lc.sweep(key, data, runs)


def test_a_bad_program_is_refused(data, program, table, key):
    def run(**change):
        return lc.sweep(key, data, Runs((dataclasses.replace(program, **change),), table.program, table.columns))

    unknown = dataclasses.replace(program)
    object.__setattr__(unknown, "optimizer", "sgdd")  # past the run-time type check
    with pytest.raises(
        ValueError, match=r"optimizer 'sgdd', which is not a function: pass one, such as lcjax\.training\.momentum"
    ):
        lc.sweep(key, data, Runs((unknown,), table.program, table.columns))
    with pytest.raises(ValueError, match=r"does not return an optax.GradientTransformation for a learning rate but"):
        run(optimizer=constant)
    with pytest.raises(ValueError, match="makes no steps"):
        run(budget=Budget())
    with pytest.raises(ValueError, match=r"Budget.epochs must be a finite number of at least 0, got inf"):
        run(budget=Budget(epochs=float("inf")))
    with pytest.raises(ValueError, match="batch of 64 is larger than a shard of 20 examples"):
        run(budget=Budget(epochs=3), batch=64)
    with pytest.raises(ValueError, match=r"shape \(4,\) per example, but the data have 3 classes"):
        run(model=lc.models.MLP((12,), 4))
    with pytest.raises(ValueError, match="needs columns dropout"):
        run(model_columns=("dropout",))


def test_a_warm_start_that_does_not_fit_is_refused(data, table, expected, key):
    params = expected.params[0]
    with pytest.raises(ValueError, match="5 entries for 6 runs"):
        lc.sweep(key, data, table, initial=[params] * 5)
    with pytest.raises(ValueError, match=r"initial\[2\] has params/extra/kernel, which the model lacks"):
        lc.sweep(key, data, table, initial=[None, None, {"params": {"extra": {"kernel": np.ones(2)}}}, *[None] * 3])
    with pytest.raises(ValueError, match=r"head/bias of shape \(2,\), the model's is \(3,\)"):
        lc.sweep(key, data, table, initial=[{"params": {"head": {"bias": np.ones(2)}}}, *[None] * 5])
