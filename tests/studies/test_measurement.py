"""A measured curve against the table of training runs from which it is computed."""

import dataclasses
import json

import jax
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.studies import measurement
from lcjax.training import Budget, Runs, cosine, epochs

FRACTIONS = (0.1, 0.5, 1.0)  # three sizes are not forecast, which would compile every form
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
    arguments = {"fractions": FRACTIONS, "seeds": 2, "grid": grid, "folder": str(folder)}
    result = lc.measure_learning_curve(jax.random.key(0), data, programs, on_progress=events.append, **arguments)
    assert events[-1].stage == "train"
    assert events[-1].done == events[-1].total == 2 * 2 * 2 * 3 * 80
    return result, folder, arguments


def test_the_curve_is_the_best_member_by_validation_error(data, programs, measured):
    result, _, _ = measured
    np.testing.assert_array_equal(result.program, [0, 0, 1, 1])
    np.testing.assert_array_equal(result.columns["learning_rate"], [*RATES, *RATES])
    np.testing.assert_array_equal(result.curve.size, [24, 120, 240])
    for i, program in enumerate(programs):
        w, members = 12, slice(2 * i, 2 * i + 2)
        columns = {
            "size": np.tile([24, 120, 240], 4),
            "seed": np.tile(np.repeat([0, 1], 3), 2),
            "learning_rate": np.repeat(result.columns["learning_rate"][members], 6),
            "l2": np.zeros(w),
        }
        alone = lc.sweep(jax.random.key(0), data, Runs((program,), np.zeros(w, int), columns))
        test_error = alone.test_error.reshape(2, 2, 3)
        np.testing.assert_allclose(result.members.replicates[members], test_error, atol=2.1 / 150)
        validation = alone.validation_error[:, -1].reshape(2, 2, 3).mean(axis=1)
        np.testing.assert_allclose(result.validation.error[members], validation, atol=2.1 / 120)
    best = np.asarray(result.validation.error).argmin(axis=0)
    np.testing.assert_array_equal(result.choice, best)
    np.testing.assert_array_equal(result.curve.error, np.asarray(result.members.error)[best, range(3)])
    assert (result.columns["learning_rate"][best] == RATES[1]).all()
    assert np.isfinite(result.curve.train_error).all()
    assert result.forecast is None
    assert int(result.curve.test_count) == 150
    assert not result.failed.any()


def test_the_record_is_kept_and_trainings_are_not_repeated(data, programs, measured):
    result, folder, arguments = measured
    kept = json.loads((folder / "measurement.json").read_text())
    np.testing.assert_allclose(kept["measurement"]["curve"]["error"], result.curve.error, rtol=1e-6)
    assert kept["configuration"]["grid"]["learning_rate"] == list(RATES)
    again = lc.measure_learning_curve(jax.random.key(0), data, programs, **arguments)
    np.testing.assert_array_equal(again.curve.replicates, result.curve.replicates)


@pytest.mark.slow
def test_independent_shards_are_other_trainings_in_a_folder_of_their_own(data, programs, tmp_path):
    """In one folder with nested shards, neither uses the runs of the other, and both resume from their own."""

    def measure(**options):
        events = []
        result = lc.measure_learning_curve(
            jax.random.key(0), data, programs[:1], fractions=(0.1, 0.5), seeds=1, grid={"learning_rate": (0.02,)},
            folder=tmp_path, on_progress=events.append, **options,
        )  # fmt: skip
        shards = json.loads((tmp_path / "measurement.json").read_text())["configuration"]["shards"]
        return result.members.replicates, {event.stage for event in events}, shards

    nested, trained, name = measure()
    assert (trained, name) == ({"train"}, "lcjax:nested_shards")
    independent, trained, name = measure(shards=lc.data.independent_shards)
    assert (trained, name) == ({"train"}, "lcjax:independent_shards")
    assert not np.array_equal(nested, independent)
    for shards, expected in ((lc.data.independent_shards, independent), (lc.data.nested_shards, nested)):
        again, trained, _ = measure(shards=shards)
        assert trained == set()  # all runs are present
        np.testing.assert_array_equal(again, expected)
    columns = {"size": np.array([24, 120]), "seed": np.zeros(2, int), "learning_rate": np.full(2, 0.02)}
    runs = Runs((programs[0],), np.zeros(2, int), columns, lc.data.independent_shards)
    alone = lc.sweep(jax.random.key(0), data, runs)
    np.testing.assert_array_equal(independent[0, 0], alone.test_error)


@pytest.mark.slow
def test_four_sizes_are_forecast(data, programs, monkeypatch):
    calls = []
    monkeypatch.setattr(measurement, "forecast", lambda *arguments, **_: calls.append(arguments))
    options = {"seeds": 1, "grid": {"learning_rate": (0.02,)}}
    key = jax.random.key(0)
    for fractions in ((0.1, 0.2, 0.5), (0.1, 0.2, 0.5, 1.0)):
        result = lc.measure_learning_curve(key, data, programs[:1], fractions=fractions, **options)
    ((stream, curve),) = calls
    assert stream == jax.random.fold_in(key, 1)
    np.testing.assert_array_equal(curve.error, result.curve.error)


@pytest.mark.slow
def test_the_forecast_continues_the_curve(data, programs):
    options = {"fractions": (0.1, 0.25, 0.5, 1.0), "seeds": 2, "grid": {"learning_rate": (0.02,)}}
    result = lc.measure_learning_curve(jax.random.key(0), data, programs, **options)
    ahead = float(result.forecast.predict(np.array([960.0]))[0])
    assert 0 < ahead <= 1.2 * float(result.curve.error[-1])


@pytest.mark.slow
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
        ({"grid": {}}, "no learning_rate; it has no column"),
        ({"grid": {"learning_rate": ()}}, "cannot have 0 values of 'learning_rate'"),
        ({"grid": {"learning_rate": (0.1,), "size": (5,)}}, "cannot have 1 values of 'size'"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"fractions": (0.5, 1.5)}, r"lie in \(0, 1\], got \[1.5\]"),
        ({"programs": []}, "At least one program is needed"),
    ],
)
def test_bad_input_is_refused(data, programs, change, message):
    arguments = {"programs": programs, "grid": {"learning_rate": (0.1,)}, **change}
    with pytest.raises(ValueError, match=message):
        lc.measure_learning_curve(jax.random.key(0), data, arguments.pop("programs"), **arguments)


def test_a_withheld_test_split_is_refused(data, programs):
    with pytest.raises(ValueError, match="'clusters' have no test split"):
        lc.measure_learning_curve(jax.random.key(0), data.without_test(), programs, grid={"learning_rate": (0.1,)})
