"""The execution of a long table: measured once, stored, and used by the sweep."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.files import cache_folder, read_checked
from lcjax.models.sequence.language import CharacterLanguageModel, LanguageModel, WordLanguageModel
from lcjax.training.concurrency import Execution
from lcjax.training.execution import autotune, heuristics
from lcjax.training.execution.autotune import Sample, fastest_execution, seconds_of_a_step
from lcjax.training.execution.heuristics import choose_execution, plausible_executions
from lcjax.training.storage.run_state import Job

BUDGETS = [1000] * 16
pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="the executions are the CPU's")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Pretend to have two processors and no stored measurements, and measure every program."""
    for module in (heuristics, autotune):
        monkeypatch.setattr(module, "cores", lambda: 2)
    monkeypatch.setattr(autotune, "devices_of_job", lambda: 1)
    monkeypatch.setattr(autotune, "_measured", {})
    monkeypatch.setattr(autotune, "WORTH_MEASURING", {"cpu": 0.0})
    monkeypatch.setenv("LCJAX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def sample(data, program, table):
    columns = {name: jnp.asarray(column[0]) for name, column in table.columns.items()}
    return Sample(program, jax.random.key(3), data, 2, Job(0, 100, columns, 0, {}, None, keep=False))


@pytest.fixture
def params(sample):
    return shapes(sample.program.model, (5,))


def shapes(model, shape):
    dtype = jnp.int32 if isinstance(model, LanguageModel) else jnp.float32
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape), dtype))["params"]


class Fake:
    """A stub with given timings that records its calls."""

    def __init__(self, seconds):
        self.seconds, self.asked = seconds, []

    def __call__(self, sample, executions):
        self.asked += executions
        return {execution: self.seconds[execution] for execution in executions}


def parse(*texts):
    return tuple(map(Execution.parse, texts))


def fail(sample, executions):
    raise AssertionError(f"{executions} were measured.")


@pytest.mark.parametrize(
    ("model", "shape", "runs", "expected"),
    [
        (lc.models.MLP((32,)), (64,), 64, ("vmap:32@2", "vmap:16@2", "vmap:64@2")),
        (lc.models.MLP((50,)), (784,), 8, ("vmap:8@2", "vmap:4@2")),
        (lc.models.MLP((32,)), (64,), 1, ("vmap:1",)),
        (lc.models.LeNet(), (28, 28), 8, ("map:2@2", "step:2/plain", "map:2@2/plain", "vmap:4@2")),
        (lc.models.LeNet(), (28, 28), 1, ("map:1", "step:1/plain", "map:1/plain")),
        (lc.models.QuickNet(), (32, 32, 3), 8, ("map:2@2/plain", "step:2/plain")),
        (WordLanguageModel(1000, 48), (80,), 8, ("map:2@2", "vmap:8@2")),
        (WordLanguageModel(1000, 48), (80,), 2, ("map:2@2",)),
        (CharacterLanguageModel(65, 256, depth=4), (150,), 8, ("map:2@2", "vmap:8@2")),
    ],
)
def test_candidates_begin_with_the_rule(model, shape, runs, expected):
    found = plausible_executions(shapes(model, shape), [1000] * runs)
    assert tuple(map(str, found)) == expected
    assert found[0] == choose_execution(shapes(model, shape), [1000] * runs)
    assert all(execution.width <= max(runs, 2) for execution in found)


def test_accelerators_compare_two_widths_and_both_convolutions(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert plausible_executions(shapes(lc.models.MLP((32,)), (64,)), [1000] * 100) == parse("vmap:50", "vmap:25")
    convolutional = plausible_executions(shapes(lc.models.LeNet(), (28, 28)), [1000] * 8)
    assert convolutional == parse("vmap:8", "vmap:8/plain", "vmap:4", "vmap:4/plain")


def test_the_fastest_is_taken_and_the_rule_unless_another_is_clearly_faster(sample, params, monkeypatch):
    rule, half = plausible_executions(params, BUDGETS)
    assert (rule, half) == parse("vmap:16@2", "vmap:8@2")
    for seconds, expected in ((1.0, half), (1.95, rule), (4.0, rule)):
        monkeypatch.setattr(autotune, "_measured", {})
        monkeypatch.setenv("LCJAX_CACHE", "")
        assert fastest_execution(params, BUDGETS, sample, Fake({rule: 2.0, half: seconds})) == expected


def test_idle_slots_count(sample, params):
    """Seventeen runs take one round of eighteen slots or three of eight, which must be a quarter faster per step."""
    budgets = [1000] * 17
    rule, half = plausible_executions(params, budgets)
    assert (rule, half) == parse("vmap:18@2", "vmap:8@2")
    assert fastest_execution(params, budgets, sample, Fake({rule: 1.0, half: 0.8})) == rule
    autotune._measured.clear()
    (cache_folder() / "executions.json").unlink()
    assert fastest_execution(params, budgets, sample, Fake({rule: 1.0, half: 0.7})) == half


def test_measured_once_in_a_process_and_once_on_disk(sample, params, monkeypatch):
    rule, half = plausible_executions(params, BUDGETS)
    fake = Fake({rule: 2.0, half: 1.0})
    assert fastest_execution(params, BUDGETS, sample, fake) == half
    assert fake.asked == [rule, half]
    assert fastest_execution(params, BUDGETS, sample, fail) == half  # from the process
    monkeypatch.setattr(autotune, "_measured", {})
    assert fastest_execution(params, BUDGETS, sample, fail) == half  # from the disk
    (wide,) = parse("vmap:32@2")
    more = Fake({wide: 0.5, half: 2.0, rule: 2.0})
    assert fastest_execution(params, [1000] * 32, sample, more) == wide
    assert more.asked == [wide, rule]  # a longer table has other executions; only timings taken in turn are comparable
    assert fastest_execution(params, [1000] * 32, sample, fail) == wide


def test_another_batch_or_device_is_another_measurement(sample, params, monkeypatch):
    rule, half = plausible_executions(params, BUDGETS)
    fastest_execution(params, BUDGETS, sample, Fake({rule: 2.0, half: 1.0}))
    other = dataclasses.replace(sample, program=dataclasses.replace(sample.program, batch=8))
    assert fastest_execution(params, BUDGETS, other, Fake({rule: 1.0, half: 2.0})) == rule
    budget = lc.training.Budget(steps=7)
    longer = dataclasses.replace(sample, program=dataclasses.replace(sample.program, budget=budget))
    assert fastest_execution(params, BUDGETS, longer, fail) == half
    monkeypatch.setattr(autotune, "_identity", lambda sample: "another device")
    assert fastest_execution(params, BUDGETS, sample, Fake({rule: 1.0, half: 2.0})) == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"a": 1}',
        '{"a": {"vmap:2": "x"}}',
        '{"a": {"pmap:2": 1.0}}',
        '{"a": {"vmap:2": 0}}',
        "[" * 100_000,
        '{"a": {"vmap:2": 1.0}, "checksum": ""}',
    ],
    ids=["empty", "cut", "list", "number", "text", "mode", "zero", "nested", "checksum"],
)
def test_a_damaged_file_counts_as_none(text, sample, params, tmp_path):
    (tmp_path / "cache").mkdir()
    file = tmp_path / "cache" / "executions.json"
    file.write_text(text)
    rule, half = plausible_executions(params, BUDGETS)
    assert fastest_execution(params, BUDGETS, sample, Fake({rule: 2.0, half: 1.0})) == half
    assert list(read_checked(file).values()) == [{str(rule): 2.0, str(half): 1.0}]


def test_no_folder_no_file(sample, params, tmp_path, monkeypatch):
    rule, half = plausible_executions(params, BUDGETS)
    monkeypatch.setenv("LCJAX_CACHE", "")
    assert fastest_execution(params, BUDGETS, sample, Fake({rule: 2.0, half: 1.0})) == half
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("LCJAX_CACHE", str(blocked))
    monkeypatch.setattr(autotune, "_measured", {})
    assert fastest_execution(params, BUDGETS, sample, Fake({rule: 2.0, half: 1.0})) == half
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_forms_without_enough_memory_are_left_out(sample, params, monkeypatch, tmp_path):
    rule, half = plausible_executions(params, BUDGETS)

    def seconds(executor, job, count):
        if executor.execution.width == 16:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return 8.0

    monkeypatch.setattr(autotune, "_seconds", seconds)
    assert seconds_of_a_step(sample, [rule, half]) == {rule: math.inf, half: 1.0}
    assert fastest_execution(params, BUDGETS, sample) == half
    held = read_checked(tmp_path / "cache" / "executions.json")
    assert list(held.values()) == [{str(rule): "inf", str(half): 1.0}]
    monkeypatch.setattr(autotune, "_measured", {})
    assert fastest_execution(params, BUDGETS, sample, fail) == half

    def broken(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(autotune, "_seconds", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        seconds_of_a_step(sample, [rule])


def test_no_execution_is_measured_after_the_longest_time(sample, params, monkeypatch):
    monkeypatch.setattr(autotune, "LONGEST", -1.0)
    monkeypatch.setattr(autotune, "_seconds", lambda *_: 8.0)
    rule, half = plausible_executions(params, BUDGETS)
    assert seconds_of_a_step(sample, [rule, half]) == {rule: 0.5}
    assert fastest_execution(params, BUDGETS, sample) == rule
    monkeypatch.setattr(autotune, "_measured", {})
    assert fastest_execution(params, BUDGETS, sample, fail) == rule  # nor in the next process


def test_forms_take_turns_and_the_best_turn_counts(sample, monkeypatch):
    """A step of the first execution takes 0.01 s, of the second 0.02; other load slows the machine at first."""
    calls = []

    def seconds(executor, job, count):
        calls.append(executor.execution.width)
        return count * (0.01 if executor.execution.width == 4 else 0.02) * (3 if len(calls) < 12 else 1)

    monkeypatch.setattr(autotune, "_seconds", seconds)
    wide, narrow = parse("vmap:4", "vmap:2")
    found = seconds_of_a_step(sample, [wide, narrow])
    assert (found[wide], found[narrow]) == pytest.approx((0.0025, 0.01))
    assert calls[-10:] == [4, 2] * 5


def test_short_tables_several_devices_and_nameless_programs_take_the_rule(sample, params, monkeypatch):
    rule = choose_execution(params, BUDGETS)
    nameless = dataclasses.replace(sample, program=dataclasses.replace(sample.program, optimizer=lambda rate: None))
    assert fastest_execution(params, BUDGETS, nameless, fail) == rule
    few = [30 * (16 + 8) // 16 - 1] * 16  # steps, of which measuring would take more than a tenth
    assert fastest_execution(params, few, sample, fail) == rule
    weights = 5 * 12 + 12 + 12 * 3 + 3
    monkeypatch.setattr(autotune, "WORTH_MEASURING", {"cpu": 16_000.0 * 16 * weights + 1})
    assert fastest_execution(params, BUDGETS, sample, fail) == rule
    monkeypatch.setattr(autotune, "WORTH_MEASURING", {"cpu": 16_000.0 * 16 * weights})
    with pytest.raises(AssertionError, match="were measured"):
        fastest_execution(params, BUDGETS, sample, fail)
    monkeypatch.setattr(autotune, "devices_of_job", lambda: 4)
    assert fastest_execution(params, BUDGETS, sample, fail) == choose_execution(params, BUDGETS, 4)


@pytest.mark.slow
def test_a_sweep_measures_and_is_the_sweep_in_that_form(data, table, key, tmp_path, monkeypatch):
    monkeypatch.setattr(autotune, "TURN_SECONDS", 0.01)
    keep = np.ones(6, bool)
    seen = []
    found = lc.sweep(key, data, table, keep=keep, folder=tmp_path / "runs", on_progress=seen.append)
    (measured,) = read_checked(tmp_path / "cache" / "executions.json").values()
    assert set(measured) == set(map(str, plausible_executions(shapes(table.programs[0].model, (5,)), [100] * 6)))
    assert len(measured) > 1
    assert min(measured.values()) > 0
    assert str(found.executions[0]) in measured
    assert seen[0].runs == 6
    assert (
        json.loads((tmp_path / "runs" / "manifest.json").read_text())["executions"][0]["width"]
        == found.executions[0].width
    )

    monkeypatch.setattr(autotune, "seconds_of_a_step", fail)
    forced = lc.sweep(key, data, table, keep=keep, execution=found.executions[0])
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(forced), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_folder_keeps_its_form_and_a_forced_one_is_not_measured(data, table, key, tmp_path, monkeypatch):
    rule, other = plausible_executions(shapes(table.programs[0].model, (5,)), [100] * 6)[:2]
    monkeypatch.setattr(autotune, "seconds_of_a_step", Fake({rule: 2.0, other: 1.0}))
    assert lc.sweep(key, data, table, folder=tmp_path / "runs").executions == (other,)
    monkeypatch.setattr(autotune, "_measured", {})
    monkeypatch.setenv("LCJAX_CACHE", "")
    monkeypatch.setattr(autotune, "seconds_of_a_step", fail)
    assert lc.sweep(key, data, table, folder=tmp_path / "runs").executions == (other,)
    assert lc.sweep(key, data, table, execution=rule).executions == (rule,)
    with pytest.raises(ValueError, match="was started with execution"):
        lc.sweep(key, data, table, folder=tmp_path / "runs", execution=rule)
