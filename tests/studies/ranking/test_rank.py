"""The ranking of tasks: grids of known power laws, the best guess, variants, and real trainings in miniature."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.data.subsets import random_order
from lcjax.models.sequence_losses import token_cross_entropy, token_mistakes, tokens_of
from lcjax.studies.ranking import tasks as hestness_tasks
from lcjax.studies.ranking.rank import _hierarchy, compare_variants, rank
from lcjax.studies.ranking.task import Task, best_guess, parameters_of
from lcjax.studies.ranking.task_curve import TaskGrid, fit_task, measure_task
from lcjax.training import Budget, Scoring, constant, epochs, nesterov
from lcjax.training.execution.permutations import orders_of
from lcjax.training.execution.step import ORDER

SIZE = np.array([10, 40, 160, 640, 2560, 10240])
PARAMETERS = np.array([100, 100, 1000, 1000, 10000, 10000])


def grid_of(exponent, *, scale=2.0, offset=(0.3, 0.1, 0.0), noise=0.0, seed=0, guess=0.9):
    """Three nets with two rates: each net has its own offset, the second rate is 20 % worse; never above the guess."""
    generator = np.random.default_rng(seed)
    curve = scale * SIZE**exponent + np.repeat(offset, 2)[:, None]
    curve = curve * np.tile([1.0, 1.2], 3)[:, None]
    scores = np.minimum(curve[:, None] * np.exp(noise * generator.normal(size=(6, 5, len(SIZE)))), guess)
    return TaskGrid(
        SIZE,
        SIZE.astype(float),
        PARAMETERS,
        np.tile([0.1, 0.01], 3),
        {"error": scores},
        {"error": scores},
        {"error": guess},
        {"error": guess},
        1000,
    )


def test_a_power_law_comes_back():
    curve = fit_task(jax.random.key(0), grid_of(-0.4, noise=0.01, guess=0.8), "error")
    np.testing.assert_array_equal(curve.fitted, [False, True, True, True, True, True])
    assert curve.exponent == pytest.approx(-0.4, abs=0.02)
    low, high = curve.interval()
    assert low < -0.4 < high
    assert high - low < 0.05
    law = curve.law()
    assert (law["exponent"], law["low"], law["high"]) == (curve.exponent, low, high)
    error = np.asarray(curve.curve.error)[1:]
    off = law["scale"] * SIZE[1:].astype(float) ** law["exponent"] / error - 1
    assert law["relative_error"] == pytest.approx(np.sqrt(np.mean(off**2)), rel=1e-3)
    np.testing.assert_array_equal(curve.best_parameters[1:], 10000)


def test_what_is_fitted_is_told_by_the_validation_set():
    grid = grid_of(-0.4, guess=0.8)
    test = {"error": grid.test["error"] * np.array([0.1, 1, 1, 1, 1, 1])}  # by luck far below the guess
    curve = fit_task(jax.random.key(0), dataclasses.replace(grid, test=test), "error")
    np.testing.assert_array_equal(curve.fitted, [False, True, True, True, True, True])
    validation = {"error": np.where(SIZE == 160, 0.8, grid.validation["error"])}
    curve = fit_task(jax.random.key(0), dataclasses.replace(grid, validation=validation), "error")
    np.testing.assert_array_equal(curve.fitted, [False, False, False, True, True, True])


def test_nets_of_fixed_size_have_their_own_offset():
    curve = fit_task(jax.random.key(0), grid_of(-0.5, scale=1.5, guess=2.0), "error")
    np.testing.assert_array_equal(curve.fixed_parameters, [100, 1000, 10000])
    np.testing.assert_allclose(curve.fixed.parameters["offset"], [0.3, 0.1, 0.0], atol=1e-6)
    np.testing.assert_allclose(curve.fixed_relative_error, 0, atol=1e-6)
    nets = curve.laws_of_nets()
    assert [net["parameters"] for net in nets] == [100, 1000, 10000]
    np.testing.assert_allclose([(net["exponent"], net["scale"]) for net in nets], [(-0.5, 1.5)] * 3, atol=1e-4)
    np.testing.assert_allclose([net["offset"] for net in nets], [0.3, 0.1, 0.0], atol=1e-6)


def test_the_best_net_grows_with_the_data():
    """Net g is best at its own sizes: parameters 100 * 10^g where the size grows by 16 a step in g."""
    scores = np.full((6, 2, 6), 0.5)
    for net in range(3):
        scores[2 * net, :, 2 * net : 2 * net + 2] = 0.5 * 0.8 ** np.arange(2 * net, 2 * net + 2)
    grid = TaskGrid(
        SIZE,
        SIZE.astype(float),
        PARAMETERS,
        np.tile([0.1, 0.01], 3),
        {"error": scores},
        {"error": scores},
        {"error": 0.9},
        {"error": 0.9},
        1000,
    )
    curve = fit_task(jax.random.key(0), grid, "error")
    np.testing.assert_array_equal(curve.best_parameters, [100, 100, 1000, 1000, 10000, 10000])
    expected = np.polyfit(np.log(SIZE), np.log(curve.best_parameters), 1)[0]
    assert float(curve.model_size.exponent) == pytest.approx(expected, rel=1e-5)


def test_nothing_is_fitted_where_nothing_is_learnt():
    curve = fit_task(jax.random.key(0), grid_of(-0.01, scale=5.0), "error")
    assert not curve.fitted.any()
    assert curve.fit is None
    assert np.isnan(curve.exponent)
    assert curve.law() is None
    assert curve.laws_of_nets() == ()


def test_failed_trainings_are_absent():
    grid = grid_of(-0.4, noise=0.01)
    grid.validation["error"][:, 0] = np.nan
    grid.test["error"][:, 0] = np.nan
    curve = fit_task(jax.random.key(0), grid, "error")
    assert curve.exponent == pytest.approx(-0.4, abs=0.02)


@pytest.fixture(scope="module")
def data():
    def split(seed, n):
        inputs = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
        return lc.Examples(inputs, (inputs.sum(axis=1) > 0).astype(np.int32))

    return lc.Data(split(0, 256), split(1, 400), split(2, 400), classes=2, name="signs")


def programs(*widths):
    return tuple(
        lc.Program(lc.models.MLP(width, 2), lc.cross_entropy, optax.adam, constant, 16, Budget(steps=120), epochs)
        for width in widths
    )


@pytest.fixture(scope="module")
def tasks(data):
    first = Task("signs", "toy", data, programs((), (8,)), (0.03, 0.003), (16, 32, 64, 128, 256))
    return [first, dataclasses.replace(first, name="signs, shallow", programs=programs(()))]


def test_a_ranking_is_written_task_by_task_and_goes_on(tasks, tmp_path):
    alone = rank(jax.random.key(0), tasks[:1], seeds=2, folder=tmp_path)
    written = json.loads((tmp_path / "hierarchy.json").read_text())
    assert [task["name"] for task in written["tasks"]] == ["signs"]
    assert written["shards"] == "lcjax:nested_shards"
    steps = []
    both = rank(jax.random.key(0), tasks, seeds=2, folder=tmp_path, on_progress=lambda stage, *_: steps.append(stage))
    assert set(steps) == {"signs, shallow"}  # the first task is read from the folder
    np.testing.assert_array_equal(both.grids["signs"].test["loss"], alone.grids["signs"].test["loss"])
    assert both.ranking.names in (("signs", "signs, shallow"), ("signs, shallow", "signs"))
    written = json.loads((tmp_path / "hierarchy.json").read_text())
    assert [task["name"] for task in written["tasks"]] == list(both.curves)
    for name, by_metric in both.curves.items():
        assert written["laws"][name]["error"]["envelope"] == pytest.approx(by_metric["error"].law(), rel=1e-6)
    (pair,) = both.comparisons
    a, b = (both.curves[name]["error"].exponent for name in (pair.first, pair.second))
    assert pair.difference == pytest.approx(a - b)
    assert pair.low <= pair.difference <= pair.high


def test_variants_of_one_curve_are_the_same_and_others_are_not(tasks):
    curves = {
        "signs": {"error": fit_task(jax.random.key(0), grid_of(-0.4, noise=0.02), "error")},
        "signs, shallow": {"error": fit_task(jax.random.key(1), grid_of(-0.4, noise=0.02, scale=1.5, seed=1), "error")},
    }
    (same,) = compare_variants(tasks, curves)
    assert same.stable
    assert same.ratio_low < 2.0 / 1.5 < same.ratio_high
    curves["signs, shallow"] = {"error": fit_task(jax.random.key(1), grid_of(-0.2, noise=0.02, seed=1), "error")}
    assert not compare_variants(tasks, curves)[0].stable


def test_exponents_of_error_and_model_size_are_correlated_over_tasks(tasks):
    error, size = [-0.2, -0.3, -0.5], [0.7, 0.9, 0.6]
    fits = [fit_task(jax.random.key(0), grid_of(exponent), "error") for exponent in error]
    laws = [dataclasses.replace(fit.model_size, exponent=jnp.asarray(one)) for fit, one in zip(fits, size, strict=True)]
    three = [dataclasses.replace(tasks[0], name=str(i)) for i in range(3)]
    curves = {str(i): {"error": dataclasses.replace(fits[i], model_size=laws[i])} for i in range(3)}
    hierarchy = _hierarchy(three, {}, curves)
    assert hierarchy.correlation == pytest.approx(np.corrcoef(error, size)[0, 1], abs=1e-3)
    assert hierarchy.rank_correlation == pytest.approx(0.5)


def test_sizes_in_tokens_and_losses_per_token():
    generator = np.random.default_rng(0)
    length = generator.integers(2, 7, 60)
    inside = np.arange(6) < length[:, None]
    tokens = np.where(inside, generator.integers(0, 5, (60, 6)), 0).astype(np.int32)
    part = lc.Examples(tokens, np.where(inside, tokens, -1).astype(np.int32))
    data = lc.Data(part, part, part, classes=5, name="copy")
    program = lc.Program(
        lc.models.CharacterLanguageModel(5, 4, depth=1), token_cross_entropy, optax.adam, constant, 8,
        Budget(steps=20), epochs,
        scoring=Scoring(tokens_of, token_mistakes),
    )  # fmt: skip
    task = Task("copy", "toy", data, (program,), (0.01,), (15, 30, 60), "loss", "tokens", True)
    grid = measure_task(jax.random.key(0), task, seeds=2, shards=lc.data.independent_shards)
    streams = [jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), ORDER) for seed in range(2)]
    orders = [lc.data.independent_orders(stream, 60, task.sizes) for stream in streams]
    held = [[length[order[:n]].sum() for order, n in zip(rows, task.sizes, strict=True)] for rows in orders]
    np.testing.assert_array_equal(grid.units, np.mean(held, axis=0))
    assert grid.units[-1] == length.sum()
    # Nested, without training:
    columns = {"size": np.tile(task.sizes, 2), "seed": np.repeat([0, 1], 3), "learning_rate": np.ones(6)}
    runs = lc.Runs((program,), np.zeros(6, int), columns)
    orders, order = orders_of(jax.random.key(0), data, runs)
    absent = {f.name: None for f in dataclasses.fields(lc.SweepResult)}
    nested = task.units(lc.SweepResult(**{**absent, "runs": runs, "orders": orders, "order": order}))
    held = [np.cumsum(length[random_order(stream, 60)])[[14, 29, 59]] for stream in streams]
    np.testing.assert_array_equal(nested, np.mean(held, axis=0))
    assert np.all(nested[:2] != grid.units[:2])
    assert set(grid.validation) == {"loss", "error"}
    counts = np.bincount(tokens[inside], minlength=5)
    assert grid.guess["loss"] == pytest.approx(
        -np.sum(counts * np.log((counts + 1) / (counts.sum() + 5))) / counts.sum()
    )
    assert grid.guess["error"] == pytest.approx(1 - counts.max() / counts.sum())
    shapes = jax.eval_shape(program.model.init, jax.random.key(0), jnp.zeros((1, 6), jnp.int32))
    assert parameters_of(program, data) == sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def test_the_guess_is_scored_on_the_test_set_as_the_curve_is():
    def part(*targets):
        return lc.Examples(np.zeros((len(targets), 1), np.float32), np.array(targets))

    data = lc.Data(part(0, 0, 1), part(0, 0), part(1, 1, 0, 1), classes=2)
    assert best_guess(data, "error") == 0.75
    assert best_guess(data, "loss") == pytest.approx(-(3 * np.log(2 / 5) + np.log(3 / 5)) / 4)
    assert best_guess(dataclasses.replace(data, test=None), "error") == 0.0
    real = lc.Data(part(0.0, 1.0, 5.0), part(1.0, 1.0), part(1.0, 3.0, 0.95, 9.0), classes=0, tolerance=0.1)
    assert best_guess(real, "error") == 0.5


def test_top5_is_that_of_ten_classes():
    task = hestness_tasks.hestness_task("images", "digits", hestness_tasks.SMOKE)
    budget = Budget(steps=40, records=2)
    small = tuple(dataclasses.replace(program, budget=budget) for program in task.programs[:1])
    task = dataclasses.replace(task, programs=small, rates=(3e-3,), sizes=(10, 400))
    grid = measure_task(jax.random.key(0), task, seeds=1)
    assert np.all(grid.test["top5"] <= grid.test["error"])
    assert grid.guess["top5"] == best_guess(task.data, "top5") < grid.guess["error"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "bleu"}, "'bleu'; known are loss, error, top5"),
        ({"sizes": (16, 300)}, r"in \[1, 256\]"),
        ({"sizes": (16,)}, "at least two ascending"),
        ({"rates": ()}, "at least one program and one learning rate"),
    ],
)
def test_bad_tasks(tasks, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tasks[0], **changes)


def test_bad_rankings(tasks):
    with pytest.raises(ValueError, match="different names, got signs, signs"):
        rank(jax.random.key(0), [tasks[0], tasks[0]])
    with pytest.raises(ValueError, match="at least 1, got 0"):
        rank(jax.random.key(0), tasks, seeds=0)
    rank_unchecked = getattr(rank, "__wrapped__", rank)  # past the run-time type check
    with pytest.raises(ValueError, match="shards is 'disjoint', which is not a function"):
        rank_unchecked(jax.random.key(0), tasks, shards="disjoint")
    with pytest.raises(ValueError, match="no task 'chess'"):
        hestness_tasks.hestness_task("chess", "", hestness_tasks.SMOKE)


def test_repeats_are_drawn_with_the_rate_that_validates_best():
    from matplotlib.figure import Figure

    from lcjax.plots.hierarchy import plot_repeats, plot_spread

    rng = np.random.default_rng(0)
    test = rng.uniform(0.1, 0.5, (4, 12, 3))
    validation = test + np.array([0.0, 0.1, 0.1, 0.0])[:, None, None]
    grid = TaskGrid(
        np.array([10, 20, 40]), np.array([10.0, 20.0, 40.0]), np.array([5, 5, 9, 9]), np.array([0.1, 0.2, 0.1, 0.2]),
        {"error": validation}, {"error": test}, {"error": 0.9}, {"error": 0.9}, 100,
    )  # fmt: skip
    axes = Figure().subplots(1, 2)
    plot_repeats(grid, "error", axes[0])
    plot_spread(grid, "error", axes[1])
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["5 parameters", "9 parameters"]
    lines = axes[1].get_lines()
    for line, member in zip(lines, (0, 3), strict=False):
        np.testing.assert_allclose(line.get_ydata(), test[member].std(axis=0, ddof=1))
    error = test[3].mean(axis=0)
    np.testing.assert_allclose(lines[2].get_ydata(), np.sqrt(error * (1 - error) / 100))


def test_frames_are_averaged():
    """Means of whole groups; what does not fill one is dropped."""
    frames = np.arange(2 * 7 * 3, dtype=np.float32).reshape(2, 7, 3)
    part = lc.Examples({"frames": frames, "length": np.array([7, 4])}, np.zeros((2, 1), np.int32))
    task = lc.data.SequenceTask(
        lc.Data(part, part, part, classes=2, name="toy"), lc.data.Vocabulary(("a", "b")), "utterances"
    )
    short = hestness_tasks._averaged(task, 2).data.train.inputs
    assert short["length"].tolist() == [3, 2]
    np.testing.assert_array_equal(short["frames"][1], (frames[1, 0:6:2] + frames[1, 1:6:2]) / 2)


PAPER = {  # of error and model size: Hestness et al., Table 2, then Table 3 and the text where they differ
    "images": ((-0.309,), (0.57,)),
    "words": ((-0.066,), (0.68,)),
    "words, LSTM of 4 layers": ((-0.066,), (0.68, 0.89)),
    "words, RHN": ((-0.066, -0.070), (0.68,)),
    "characters": ((-0.092, -0.094), (0.89, 0.92)),
    "characters, momentum": ((-0.092, -0.094), (0.89, 0.78)),
    "translation": ((-0.128,), (0.68,)),
    "translation, dropout": ((-0.128,), (0.68,)),
    "speech, CTC": ((-0.291, -0.299), (0.54,)),
    "speech, attention": ((-0.291, -0.296), (0.54,)),
}


@pytest.mark.parametrize("name", PAPER)
def test_every_task_is_made_of_the_real_data(shared_data, name):
    """Data, models and sizes fit together: every net begins on examples of the task."""
    tiny = dataclasses.replace(hestness_tasks.SMOKE, validation=20)
    task = hestness_tasks.hestness_task(name, hestness_tasks.find_data(shared_data, name), tiny)
    assert task.sizes[-1] >= 16 * task.sizes[0] - 16
    assert len(task.sizes) >= 5
    sizes = [parameters_of(program, task.data) for program in task.programs]
    assert sizes == sorted(sizes)
    task.data.check()
    assert (task.published_in(task.metric), task.published_in("model size")) == PAPER[name]


def test_residual_nets_rank_as_other_images():
    task = hestness_tasks.hestness_task("images, ResNet", "digits", hestness_tasks.SMOKE)
    assert [program.model.width for program in task.programs] == [4, 8, 16]
    assert {program.optimizer for program in task.programs} == {nesterov}
    assert task.published_in("error") == (-0.309,)


def test_only_a_front_of_a_tfds_set_is_read(monkeypatch):
    """LM1B has 30 million sentences, the largest shard 1,600 windows."""

    def load(name, **options):
        raise ValueError(f"{name} by {options['most']}")

    monkeypatch.setattr(hestness_tasks, "load_sequences", load)
    for name, path in (("words", "tfds-words:lm1b"), ("speech, CTC", "tfds-speech:librispeech")):
        most = 8 * hestness_tasks.SMOKE.extents[name.partition(",")[0]].most
        with pytest.raises(ValueError, match=f"^{path} by {most}$"):
            hestness_tasks.hestness_task(name, path, hestness_tasks.SMOKE)


def test_a_task_may_name_its_reader(tmp_path):
    """So that any text of one's own, or a set of TFDS, is ranked as the paper's are."""
    path = tmp_path / "own.txt"
    path.write_text("one two three four\n" * 400)
    tiny = dataclasses.replace(hestness_tasks.SMOKE, words=5)
    task = hestness_tasks.hestness_task("words", f"words:{path}", tiny)
    assert task.data.name == f"words:{path}"
    assert "examples to validate and to test" in task.note
    with pytest.raises(OSError, match=r"own\.txt"):
        hestness_tasks.hestness_task("characters", f"parallel:{path}", tiny)
