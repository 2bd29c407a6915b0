"""Early stopping: runs that fit, or whose validation error no longer falls."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.training import Budget, Execution, Runs, constant, epochs
from lcjax.training.evaluation import evaluate
from lcjax.training.execution.recording import Recording
from lcjax.training.execution.scheduler import _Schedule
from lcjax.training.storage.run_state import Job, Outcome

RECORDS = 12


@pytest.fixture(scope="module")
def noisy(data):
    """Every third label is wrong, so the validation error falls, then rises."""
    targets = np.where(np.arange(240) % 3 == 0, np.roll(data.train.targets, 1), data.train.targets)
    return dataclasses.replace(data, train=lc.Examples(data.train.inputs, targets.astype(np.int32)))


@pytest.fixture(scope="module")
def overfitting(program):
    return dataclasses.replace(
        program, model=lc.models.MLP((24,), 3), optimizer=optax.adam, schedule=constant, sampling=epochs, batch=20
    )


def stopping(program, **budget):
    return dataclasses.replace(program, budget=Budget(steps=600, records=RECORDS, **budget))


@pytest.fixture(scope="module")
def columns():
    return {
        "size": np.array([12, 30, 24, 60, 12, 240]),
        "seed": np.array([0, 1, 2, 3, 4, 5]),
        "learning_rate": np.array([0.05, 0.02, 0.03, 0.02, 1e-30, 0.01]),
    }


@pytest.fixture(scope="module")
def whole(noisy, overfitting, columns):
    """Train the same runs to the end, one at a time."""
    runs = Runs((stopping(overfitting),), np.zeros(6, int), columns)
    return lc.sweep(jax.random.key(3), noisy, runs, keep=np.ones(6, bool), execution=Execution("map", 1))


def weights_after(noisy, program, columns, row, steps, key):
    """Train one run alone for `steps` steps."""
    alone = dataclasses.replace(program, budget=Budget(steps=steps))
    runs = Runs((alone,), np.zeros(6, int), columns).rows([row])
    return lc.sweep(key, noisy, runs, keep=np.ones(1, bool), execution=Execution("map", 1))


@pytest.mark.parametrize(
    "execution",
    [
        pytest.param(Execution("map", 1), marks=pytest.mark.slow),
        pytest.param(Execution("map", 4), marks=pytest.mark.slow),
        Execution("vmap", 4),
    ],
    ids=str,
)
def test_a_run_that_fits_stops(noisy, overfitting, columns, whole, key, execution, monkeypatch):
    # Slots are repacked wherever they can be.
    monkeypatch.setattr("lcjax.training.execution.scheduler.REPACKED_STEPS", 1)
    program = stopping(overfitting, stop_when_fit=True)
    runs = Runs((program,), np.zeros(6, int), columns)
    ended = []
    result = lc.sweep(
        key,
        noisy,
        runs,
        keep=np.ones(6, bool),
        execution=execution,
        on_progress=lambda event: ended.extend(event.just_ended),
    )
    fits = whole.train_error == 0
    first = np.where(fits.any(axis=1), fits.argmax(axis=1), RECORDS - 1)
    assert len(set(first)) >= 4  # the runs stop at different steps, or never
    np.testing.assert_array_equal(result.steps, whole.recorded_step[np.arange(6), first])
    assert sorted(ended) == list(range(6))
    for row, last in enumerate(first):
        np.testing.assert_array_equal(result.recorded_step[row, :last], whole.recorded_step[row, :last])
        np.testing.assert_array_equal(result.recorded_step[row, last:], result.steps[row])
        np.testing.assert_allclose(result.train_loss[row, : last + 1], whole.train_loss[row, : last + 1], rtol=1e-3)
        assert (result.train_loss[row, last:] == result.train_loss[row, last]).all()
    np.testing.assert_array_equal(evaluate(result, noisy, noisy.test), result.wrong)
    row = 1
    alone = weights_after(noisy, overfitting, columns, row, int(result.steps[row]), key)
    for a, e in zip(jax.tree.leaves(result.params[row]), jax.tree.leaves(alone.params[0]), strict=True):
        np.testing.assert_allclose(a, e, atol=0 if execution == Execution("map", 1) else 1e-4)


def test_a_larger_shard_must_fit_as_a_whole(noisy, overfitting, columns, key, monkeypatch):
    """Scoring only the head of a shard is not sufficient."""
    monkeypatch.setattr("lcjax.training.execution.recording.RECORDED_EXAMPLES", 3)
    runs = Runs((stopping(overfitting, stop_when_fit=True),), np.zeros(6, int), columns).rows([1])
    result = lc.sweep(key, noisy, runs, execution=Execution("map", 1))
    assert result.train_error[0, -1] == 0
    monkeypatch.undo()
    np.testing.assert_array_equal(result.steps, lc.sweep(key, noisy, runs, execution=Execution("map", 1)).steps)


@pytest.mark.parametrize(
    "execution", [pytest.param(Execution("map", 1), marks=pytest.mark.slow), Execution("vmap", 4)], ids=str
)
def test_patience_goes_back_to_the_best_step(noisy, overfitting, columns, whole, key, execution):
    patience = 3
    runs = Runs((stopping(overfitting, patience=patience),), np.zeros(6, int), columns)
    result = lc.sweep(key, noisy, runs, keep=np.ones(6, bool), execution=execution)
    stopped = 0
    for row in range(6):
        errors = whole.validation_error[row]
        made = int(result.steps[row]) // 50  # records seen
        best = int(np.flatnonzero(whole.recorded_step[row] == result.recorded_step[row, -1])[0])
        assert errors[best] == errors[:made].min()
        if made < RECORDS:
            stopped += 1
            assert made - 1 - best == patience  # exactly `patience` records without a better one
            assert (errors[best + 1 : made] >= errors[best]).all()
        assert result.validation_error[row, -1] == pytest.approx(errors[best])
        assert result.validation_error[row, -1] == pytest.approx(result.validation_wrong[row].mean())
        np.testing.assert_allclose(result.validation_error[row, : made - 1], errors[: made - 1], atol=2.1 / 99)
        np.testing.assert_allclose(result.train_loss[row, -1], whole.train_loss[row, best], rtol=2e-3)
    assert stopped >= 3
    for row in (1, 3):  # each number of steps is a separate program
        assert result.recorded_step[row, -1] < result.steps[row]
        alone = weights_after(noisy, overfitting, columns, row, int(result.recorded_step[row, -1]), key)
        np.testing.assert_allclose(result.train_loss[row, -1], alone.train_loss[0, -1], rtol=2e-3)
        assert np.abs(result.wrong[row].sum() - alone.wrong[0].sum()) <= (0 if execution == Execution("map", 1) else 2)


@pytest.mark.slow
def test_a_sweep_with_stops_resumes_from_its_folder(noisy, overfitting, columns, key, tmp_path):
    runs = Runs((stopping(overfitting, stop_when_fit=True, patience=4),), np.zeros(6, int), columns)

    def interrupt(progress):
        if progress.ended >= 2:
            raise KeyboardInterrupt

    expected = lc.sweep(key, noisy, runs, execution=Execution("map", 2))
    with pytest.raises(KeyboardInterrupt):
        lc.sweep(key, noisy, runs, execution=Execution("map", 2), folder=tmp_path, on_progress=interrupt)
    result = lc.sweep(key, noisy, runs, folder=tmp_path)
    for name in ("steps", "recorded_step", "train_loss", "validation_error", "wrong"):
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))


@pytest.mark.parametrize(
    "seconds", [pytest.param(1e9, id="no checkpoint", marks=pytest.mark.slow), pytest.param(0.0, id="checkpoints")]
)
def test_slots_shrink_at_the_same_steps_after_an_interruption(
    noisy, overfitting, columns, key, tmp_path, monkeypatch, seconds
):
    """The width changes the rounding: a resumed sweep replays the steps of the finished runs, among them one of nan."""
    widths, compute = {}, _Schedule._compute

    def seen(schedule, todo):
        for place, run in schedule.running.items():
            if run.job.row not in schedule.silent:
                widths.update(dict.fromkeys([(run.job.row, run.step + i) for i in range(todo[place])], schedule.width))
        return compute(schedule, todo)

    monkeypatch.setattr(_Schedule, "_compute", seen)
    monkeypatch.setattr("lcjax.training.execution.scheduler.REPACKED_STEPS", 1)
    monkeypatch.setattr("lcjax.training.storage.checkpoints.SECONDS", seconds)
    columns = {name: np.tile(values, 2) for name, values in columns.items()}
    columns["learning_rate"][3] = 1e30
    runs = Runs((stopping(overfitting, stop_when_fit=True, patience=4),), np.zeros(12, int), columns)
    expected = lc.sweep(key, noisy, runs, execution=Execution("vmap", 4), folder=tmp_path / "whole")
    assert len(set(expected.steps)) >= 4
    assert expected.status[3] == 1
    calm = dict(widths)
    assert len(set(calm.values())) > 1
    for after in (2, 6, 10):
        folder = tmp_path / str(after)

        def interrupt(progress, after=after):
            if progress.ended >= after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            lc.sweep(key, noisy, runs, execution=Execution("vmap", 4), folder=folder, on_progress=interrupt)
        result = lc.sweep(key, noisy, runs, folder=folder)
        for name in ("status", "steps", "recorded_step", "train_loss", "validation_loss", "test_loss", "wrong"):
            np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))
        assert widths == calm


def test_programs_with_different_records_share_a_table(data, program, key):
    few, many = (dataclasses.replace(program, budget=Budget(steps=20, records=r)) for r in (1, 5))
    columns = {"size": np.full(2, 30), "seed": np.zeros(2, int), "learning_rate": np.full(2, 0.1)}
    result = lc.sweep(key, data, Runs((few, many), np.array([0, 1]), columns))
    np.testing.assert_array_equal(result.recorded_step, [[20] * 5, [4, 8, 12, 16, 20]])
    np.testing.assert_array_equal(result.validation_error[0], result.validation_error[1, -1])


def test_a_failed_run_keeps_its_slot_until_the_event_that_finds_it():
    """A loss that is nan at the step of an event, after a finite score there, is found at the next one."""
    run = Recording.begin(Job(0, 600, {}, 0, {}, None, False), Budget(steps=600, records=RECORDS))

    def end(status, steps, first):
        losses = [first, *[1.0 if status == 0 else np.nan] * (RECORDS - 1)]
        curves = [run.events, losses, losses, losses, losses]
        return run.end(Outcome(status, steps, *curves, 0.0, 0.0, np.zeros(3, bool), np.zeros(3, bool)))

    assert end(0, 250, 1.0) == 250
    assert end(1, 30, np.nan) == end(1, 50, np.nan) == 50
    assert end(1, 50, 1.0) == 100
