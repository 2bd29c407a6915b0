"""A measured curve against the table of trainings that it is made of."""

import dataclasses
import json

import jax
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.studies.sweeps import runs_folder
from lcjax.training import Budget, Runs, cosine, epochs, momentum, with_replacement

FRACTIONS = (0.1, 0.25, 0.5, 1.0)
RATES = (1e-4, 0.02)


def clusters(seed, n):
    generator = np.random.default_rng(seed)
    targets = (np.arange(n) % 3).astype(np.int32)
    centres = np.array([[0, 0], [2, 0], [0, 2]])
    return lc.Examples((centres[targets] + generator.normal(size=(n, 2))).astype(np.float32), targets)


@pytest.fixture(scope="module")
def data():
    return lc.Data(clusters(1, 240), clusters(2, 120), clusters(3, 150), classes=3, name="clusters")


@pytest.fixture(scope="module")
def programs():
    program = lc.Program(lc.models.MLP((2,), 3), lc.cross_entropy, optax.adam, cosine, 16, Budget(steps=80), epochs)
    return [program, dataclasses.replace(program, model=lc.models.MLP((16,), 3))]


@pytest.fixture(scope="module")
def measured(data, programs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    events = []
    grid = {"learning_rate": RATES, "l2": (0.0,)}
    arguments = {"fractions": FRACTIONS, "seeds": 2, "grid": grid, "folder": folder}
    result = lc.measure_learning_curve(
        jax.random.key(0), data, programs, on_progress=lambda *event: events.append(event), **arguments
    )
    assert events[-1][0] == "train"
    assert events[-1][1] == events[-1][2] == 2 * 2 * 2 * 4 * 80
    return result, folder, arguments


def test_the_curve_is_the_best_member_by_validation_error(data, programs, measured):
    result, _, _ = measured
    np.testing.assert_array_equal(result.program, [0, 0, 1, 1])
    np.testing.assert_array_equal(result.columns["learning_rate"], [*RATES, *RATES])
    np.testing.assert_array_equal(result.curve.size, [24, 60, 120, 240])
    for member in range(4):
        w = 8
        columns = {
            "size": np.tile([24, 60, 120, 240], 2),
            "seed": np.repeat([0, 1], 4),
            "learning_rate": np.full(w, result.columns["learning_rate"][member]),
            "l2": np.zeros(w),
        }
        alone = lc.sweep(jax.random.key(0), data, Runs((programs[member // 2],), np.zeros(w, int), columns))
        np.testing.assert_allclose(result.members.replicates[member], alone.test_error.reshape(2, 4), atol=2.1 / 150)
        validation = alone.validation_error[:, -1].reshape(2, 4).mean(axis=0)
        np.testing.assert_allclose(result.validation.error[member], validation, atol=2.1 / 120)
    best = np.asarray(result.validation.error).argmin(axis=0)
    np.testing.assert_array_equal(result.choice, best)
    np.testing.assert_array_equal(result.curve.error, np.asarray(result.members.error)[best, range(4)])
    assert (result.columns["learning_rate"][best] == RATES[1]).all()
    assert np.isfinite(result.curve.train_error).all()
    assert result.forecast is not None
    assert not result.failed.any()


def test_the_record_is_kept_and_trainings_are_not_repeated(data, programs, measured):
    result, folder, arguments = measured
    kept = json.loads((folder / "measurement.json").read_text())
    np.testing.assert_allclose(kept["measurement"]["curve"]["error"], result.curve.error, rtol=1e-6)
    assert kept["configuration"]["grid"]["learning_rate"] == list(RATES)
    again = lc.measure_learning_curve(jax.random.key(0), data, programs, **arguments)
    np.testing.assert_array_equal(again.curve.replicates, result.curve.replicates)


def test_independent_shards_are_other_trainings_in_a_folder_of_their_own(data, programs, tmp_path):
    """In one folder with nested ones: neither takes what the other has trained, and both go on from their own."""

    def measure(**options):
        stages = []
        result = lc.measure_learning_curve(
            jax.random.key(0), data, programs[:1], fractions=(0.1, 0.5), seeds=1, grid={"learning_rate": (0.02,)},
            folder=tmp_path, on_progress=lambda stage, *_: stages.append(stage), **options,
        )  # fmt: skip
        told = json.loads((tmp_path / "measurement.json").read_text())["configuration"]["shards"]
        return result.members.replicates, set(stages), told

    nested, trained, told = measure()
    assert (trained, told) == ({"train"}, "lcjax:nested_shards")
    independent, trained, told = measure(shards=lc.data.independent_shards)
    assert (trained, told) == ({"train"}, "lcjax:independent_shards")
    assert not np.array_equal(nested, independent)
    for shards, expected in ((lc.data.independent_shards, independent), (lc.data.nested_shards, nested)):
        again, trained, _ = measure(shards=shards)
        assert trained == set()  # all is there
        np.testing.assert_array_equal(again, expected)
    columns = {"size": np.array([24, 120]), "seed": np.zeros(2, int), "learning_rate": np.full(2, 0.02)}
    runs = Runs((programs[0],), np.zeros(2, int), columns, lc.data.independent_shards)
    alone = lc.sweep(jax.random.key(0), data, runs)
    np.testing.assert_array_equal(independent[0, 0], alone.test_error)


def test_folders_of_sweeps_keep_their_names(tmp_path):
    """Since functions have lasting names."""
    examples = lc.Examples(np.arange(24, dtype=np.float32).reshape(12, 2), np.arange(12, dtype=np.int32) % 3)
    data = lc.Data(examples, examples, None, classes=3)
    program = lc.Program(
        lc.models.MLP((12,), 3), lc.cross_entropy, momentum, cosine, 4, Budget(steps=100), with_replacement
    )  # fmt: skip
    columns = {"size": np.array([4, 12]), "seed": np.array([0, 7]), "learning_rate": np.array([0.1, 0.05])}
    runs = Runs((program,), np.zeros(2, int), columns)
    assert runs_folder(tmp_path, "measure", jax.random.key(3), runs, data).name == "measure-5263fbc01b3b"
    other = dataclasses.replace(runs, shards=lc.data.independent_shards)
    assert runs_folder(tmp_path, "measure", jax.random.key(3), other, data).name != "measure-5263fbc01b3b"


def test_what_diverges_is_absent(data, programs):
    grid = {"learning_rate": (1e30, 0.02)}
    sgd = dataclasses.replace(programs[0], optimizer=optax.sgd)
    result = lc.measure_learning_curve(jax.random.key(0), data, [sgd], fractions=(0.5, 1.0), seeds=1, grid=grid)
    np.testing.assert_array_equal(result.failed, [2, 0])
    assert np.isnan(result.members.error[0]).all()
    np.testing.assert_array_equal(result.choice, [1, 1])
    assert result.forecast is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": {}}, "no learning_rate; it has nothing"),
        ({"grid": {"learning_rate": ()}}, "cannot have 0 values of 'learning_rate'"),
        ({"grid": {"learning_rate": (0.1,), "size": (5,)}}, "cannot have 1 values of 'size'"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"fractions": (0.5, 1.5)}, r"lie in \(0, 1\], got \[1.5\]"),
        ({"programs": []}, "No program to train"),
    ],
)
def test_bad_input_is_refused(data, programs, change, message):
    arguments = {"programs": programs, "grid": {"learning_rate": (0.1,)}, **change}
    with pytest.raises(ValueError, match=message):
        lc.measure_learning_curve(jax.random.key(0), data, arguments.pop("programs"), **arguments)


def test_a_withheld_test_split_is_refused(data, programs):
    with pytest.raises(ValueError, match="'clusters' have no test split"):
        lc.measure_learning_curve(jax.random.key(0), data.without_test(), programs, grid={"learning_rate": (0.1,)})
