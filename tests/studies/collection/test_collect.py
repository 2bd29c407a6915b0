"""Collections: subsets, resumption, failures, executors."""

import functools
import json
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import lcjax as lc
from lcjax.data.shards import independent_shards
from lcjax.studies.collection import collect as collection
from lcjax.studies.collection.trainers.command import Command
from lcjax.studies.fitting.fitted_curves import fit_learning_curves

SIZES = (10, 20, 40)
SCORING = ("accuracy", "f1_macro")


def collect(trainer, sizes, **options):
    """Collect from 100 examples, unless the options tell their number."""
    known = {"examples": 100} if not {"examples", "labels", "data"} & set(options) else {}
    return collection.collect(trainer, sizes, **known, **options)


def power_law(seed, indices, scale=1.0):
    return {"error": scale * len(indices) ** -0.5 * (1 + 0.01 * seed)}


class Recorder:
    """A trainer that keeps the subsets it was given."""

    def __init__(self, fail=()):
        self.seen, self.fail = {}, set(fail)

    def __call__(self, seed, indices):
        self.seen[seed, len(indices)] = np.array(indices)
        if (seed, len(indices)) in self.fail:
            raise RuntimeError("diverged\nbadly")
        return {"error": 1 / len(indices)}


def test_subsets_are_nested_stratified_and_the_same_again():
    labels = np.repeat(["cat", "dog", "owl"], [50, 30, 20])
    first, second = Recorder(), Recorder()
    for trainer in (first, second):
        collect(trainer, SIZES, repeats=2, labels=labels)
    assert set(first.seen) == {(seed, size) for seed in (0, 1) for size in SIZES}
    for (seed, size), indices in first.seen.items():
        np.testing.assert_array_equal(indices, second.seen[seed, size])
        np.testing.assert_array_equal(indices, first.seen[seed, 40][:size])
        counts = np.array([np.sum(labels[indices] == name) for name in ("cat", "dog", "owl")])
        assert np.all(np.abs(counts - size * np.array([0.5, 0.3, 0.2])) < 1)
    assert set(first.seen[0, 40]) != set(first.seen[1, 40])


def test_independent_subsets_are_not_nested():
    trainer = Recorder()
    collect(trainer, SIZES, repeats=1, examples=1000, shards=independent_shards)
    assert len(set(trainer.seen[0, 10]) & set(trainer.seen[0, 40])) < 5


def test_a_collection_resumes_and_grows(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        collect(power_law, SIZES, repeats=2, folder=tmp_path, on_progress=interrupt_after(3))
    calls = []

    def report(progress):
        calls.append((progress.done, progress.total, progress.restored))

    table = collect(power_law, SIZES, repeats=2, folder=tmp_path, on_progress=report)
    assert calls == [(done, 6, 3) for done in (4, 5, 6)]
    reference = collect(power_law, SIZES, repeats=2)
    np.testing.assert_array_equal(table.value, reference.value)
    calls.clear()
    grown = collect(power_law, (*SIZES, 80), repeats=3, folder=tmp_path, on_progress=report)
    assert calls == [(done, 12, 6) for done in range(7, 13)]
    assert len(grown.size) == 12
    again = collect(power_law, SIZES[:2], repeats=1, folder=tmp_path)
    np.testing.assert_array_equal(again.size, [10, 20])


def interrupt_after(count):
    def report(progress):
        if progress.done >= count:
            raise KeyboardInterrupt

    return report


def test_another_trainer_seed_or_set_is_refused(tmp_path):
    collect(power_law, SIZES, folder=tmp_path)
    with pytest.raises(ValueError, match="holds trainings of another collection: its trainer is"):
        collect(functools.partial(power_law, scale=2.0), SIZES, folder=tmp_path)
    with pytest.raises(ValueError, match="its seed is 0, not 1"):
        collect(power_law, SIZES, seed=1, folder=tmp_path)
    with pytest.raises(ValueError, match="its examples is 100, not 200"):
        collect(power_law, SIZES, examples=200, folder=tmp_path)
    with pytest.raises(ValueError, match="its labels is null, not"):
        collect(power_law, SIZES, labels=np.arange(100) % 3, folder=tmp_path)
    (tmp_path / "collection.json").unlink()
    with pytest.raises(ValueError, match=r"has trainings but no collection\.json"):
        collect(power_law, SIZES, folder=tmp_path)


def test_a_finished_collection_is_read_from_a_read_only_folder(tmp_path, monkeypatch):
    expected = collect(power_law, SIZES, folder=tmp_path)
    monkeypatch.setattr("lcjax.studies.collection.store.open_lock", lambda path: None)
    np.testing.assert_array_equal(collect(power_law, SIZES, folder=tmp_path).value, expected.value)
    with pytest.raises(OSError, match="is not writable, and 3 trainings are left"):
        collect(power_law, (*SIZES, 80), folder=tmp_path)


@pytest.mark.parametrize("damage", ["flip", "cut", "unfinished"])
def test_a_damaged_line_is_told_and_its_training_repeated(tmp_path, damage):
    expected = collect(power_law, SIZES, repeats=1, folder=tmp_path)
    file = tmp_path / "trainings.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    lines[1] = {"flip": lines[1].replace(b"20", b"30", 1), "cut": b'{"size"\n', "unfinished": lines[1]}[damage]
    file.write_bytes(b"".join(lines)[: -5 if damage == "unfinished" else None])
    with pytest.warns(UserWarning, match=r"trainings\.jsonl, line \d .* its training is repeated"):
        table = collect(power_law, SIZES, repeats=1, folder=tmp_path)
    np.testing.assert_array_equal(table.value, expected.value)
    if damage != "unfinished":
        with pytest.warns(UserWarning, match="line 2"):
            again = collect(power_law, SIZES, repeats=1, folder=tmp_path)
    else:
        with pytest.warns(UserWarning, match="line 3"):
            again = collect(power_law, SIZES, repeats=1, folder=tmp_path)
    np.testing.assert_array_equal(again.value, expected.value)


def test_failures_are_named_and_the_others_kept(tmp_path):
    trainer = Recorder(fail=[(0, 20)])
    table = collect(trainer, SIZES, repeats=1)
    assert table.size.tolist() == [10, 40]
    assert table.failures == ("size 20, repeat 0: RuntimeError: diverged badly",)
    with pytest.raises(ValueError, match="Every training failed; the first: size 10, repeat 0: RuntimeError"):
        collect(Recorder(fail=[(0, size) for size in SIZES]), SIZES, repeats=1)
    for error, reason in ((ValueError("oom"), "ValueError: oom"), (MemoryError(), "MemoryError")):

        def broken(seed, indices, error=error):
            if len(indices) == 20:
                raise error
            return {"error": 0.1}

        assert collect(broken, SIZES, repeats=1).failures == (f"size 20, repeat 0: {reason}",)
    with pytest.raises(
        ValueError, match=r'the first: size 10, repeat 0: A trainer must return .* \{"error": 0.1\}, got 0.5'
    ):
        collect(lambda seed, indices: 0.5, SIZES)
    attempts = []

    def flaky(seed, indices):
        attempts.append(seed)
        if len(attempts) < 3:
            raise OSError("busy")
        return {"error": 0.1}

    assert collect(flaky, [10], repeats=1, retries=2).failures == ()
    assert len(attempts) == 3


def test_executors_give_the_same_table(tmp_path):
    expected = collect(power_law, SIZES)
    with ThreadPoolExecutor(3) as pool:
        table = collect(power_law, SIZES, executor=pool, folder=tmp_path)
    np.testing.assert_array_equal(table.value, expected.value)
    assert len((tmp_path / "trainings.jsonl").read_text().splitlines()) == 9


@pytest.mark.slow
def test_processes_give_the_same_table():
    import multiprocessing

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        table = collect(power_law, SIZES, executor=pool)
    np.testing.assert_array_equal(table.value, collect(power_law, SIZES).value)


def test_threads_train_concurrently():
    barrier = threading.Barrier(3, timeout=20)

    def meet(seed, indices):
        barrier.wait()
        return {"error": 0.1}

    with ThreadPoolExecutor(3) as pool:
        assert collect(meet, [10], repeats=3, executor=pool).failures == ()


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ([], {}, "At least one size"),
        ([0, 10], {}, "A size must be a whole number from 1 to the 100 training examples, got 0"),
        ([10.5], {"examples": 20}, "got 10.5"),
        ([10, 30], {"examples": 20}, "from 1 to the 20 training examples, got 30"),
        ([10], {"repeats": 0}, "repeats must be at least 1, got 0"),
        ([10], {"seed": -1}, "seed must be at least 0"),
        ([10], {"labels": np.zeros(5), "examples": 20}, r"labels must have shape \(20,\).*got \(5,\)"),
    ],
)
def test_wrong_arguments_are_named(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        collect(power_law, sizes, **options)


def test_the_number_of_examples_must_be_known_where_it_matters():
    script = "import json, sys; print(json.dumps({'error': 1 / int(sys.argv[1])}))"
    table = collection.collect(Command((sys.executable, "-c", script, "{size}")), [1, 2], repeats=1)
    assert table.value.ravel().tolist() == [1.0, 0.5]
    for trainer in (power_law, Command(("train", "{indices}"))):
        with pytest.raises(ValueError, match="The number of training examples is not known"):
            collection.collect(trainer, SIZES)


def test_what_is_no_trainer_is_refused():
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(ValueError, match="An estimator needs data="):
        collect(LogisticRegression(), SIZES)
    with pytest.raises(ValueError, match="trainer must be a function"):
        collect("train.py", SIZES)


def test_data_of_an_estimator_are_a_pair_a_bunch_or_a_frame():
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    model, bunch = LogisticRegression(max_iter=1000), load_iris()
    frame = {"width": bunch.data[:, 3].tolist(), "target": bunch.target_names[bunch.target].tolist()}
    expected = lc.collect(model, [20, 60], data=lc.load_data((bunch.data, bunch.target)), repeats=2)
    for data in ((bunch.data, bunch.target), bunch, frame):
        assert lc.collect(model, [20, 60], data=data, repeats=2).value.shape == expected.value.shape
    np.testing.assert_array_equal(lc.collect(model, [20, 60], data=bunch, repeats=2).value, expected.value)
    with pytest.raises(ValueError, match=r"A data set must be the name of one, a scikit-learn Bunch, .* got list"):
        lc.collect(model, [20, 60], data=[bunch.data, bunch.target])


@pytest.mark.slow
def test_a_random_forest_is_collected_and_forecast(tmp_path):
    import jax
    from sklearn.ensemble import RandomForestClassifier

    data = lc.load_data("digits")
    model, sizes = RandomForestClassifier(30), (75, 150, 300, 600, 1100)
    table = lc.collect(model, sizes, data=data, scoring=SCORING, folder=tmp_path)
    assert table.metrics == SCORING
    assert table.failures == ()
    fitted = fit_learning_curves(jax.random.key(0), table.curves("accuracy"), target_error=0.02)
    assert 0.01 < float(fitted.predicted[0, 0]) < float(table.curves().curve.error[0, -1]) < 0.08
    json.dumps(lc.to_dict(table))


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_table():
    distributed = pytest.importorskip("distributed")
    command = Command((sys.executable, "-c", "import json, sys; print(json.dumps({'a': int(sys.argv[1])}))", "{size}"))
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        table = collection.collect(command, SIZES, executor=client.get_executor())
    assert table.value.ravel().tolist() == np.repeat(SIZES, 3).tolist()


def test_the_first_training_is_checked_before_others_are_run(tmp_path):
    log = tmp_path / "log"

    def train(seed, indices):
        with log.open("a") as file:
            file.write(f"{len(indices)} ")
        return {"accuracy": 88.5}

    with pytest.raises(ValueError, match=r"88\.5 is better than the best possible value, 1; for percentages"):
        collect(train, [100, 200], repeats=3, examples=300, metric="accuracy", folder=tmp_path)
    with pytest.raises(ValueError, match="No training reports 'f1'; the metrics are accuracy"):
        collect(train, [100, 200], repeats=3, examples=300, metric="f1", folder=tmp_path)
    assert log.read_text() == "100 "  # it is stored, and checked first
    with pytest.raises(ValueError, match="mine"):
        collect(train, [100, 200], examples=300, folder=tmp_path, check=refuse)


def refuse(first):
    assert len(first.size) == 1
    raise ValueError("mine")


def test_a_collection_without_trainings_is_replaced(tmp_path):
    def crash(seed, indices):
        raise RuntimeError("out of memory")

    with pytest.raises(ValueError, match="Every training failed"):
        collect(crash, [10], repeats=1, examples=20, folder=tmp_path)
    table = collect(lambda seed, indices: {"error": 0.5}, [10], repeats=1, examples=20, folder=tmp_path)
    assert table.value.tolist() == [[0.5]]
    with pytest.raises(ValueError, match="holds trainings of another collection: its trainer is"):
        collect(crash, [10], repeats=1, examples=20, folder=tmp_path)


def test_repeats_that_share_their_examples_count_once():
    def train(seed, indices):
        return {"error": 10 / len(indices) * (1 + 0.1 * seed)}

    table = collect(train, [50, 200], repeats=3, examples=200)
    curves = table.curves()
    assert table.pool == 200
    np.testing.assert_allclose(curves.curve.error, [[0.22, 0.055]])
    assert np.isnan(curves.curve.replicates[0, 1:, 1]).all()
    spread = np.std(np.log(table.value[:3, 0]))
    assert np.std(np.log(curves.curve.replicates[0, :, 0])) == pytest.approx(spread / np.sqrt(0.75))
    assert curves.notes == (
        "Repeats on more than half of the 200 examples share most of them: their mean counts once.",
    )
    assert collect(train, [50, 100], examples=200).curves().notes == ()
    assert collect(train, [50, 200], examples=200, order="recent").pool is None
