"""The study of held-out predictions: summaries against the record, the compact copy of the data, and the report."""

import json
import lzma
import types
from pathlib import Path

import numpy as np
import pytest

import lcjax as lc
from benchmarks.prediction_sets import report
from benchmarks.prediction_sets.__main__ import main
from benchmarks.prediction_sets.comparison import compare_methods, failures
from benchmarks.prediction_sets.pack import main as pack_main
from benchmarks.prediction_sets.pack import pack
from benchmarks.prediction_sets.sets import SETS, load_set, make_recipe, read_cifar10
from benchmarks.prediction_sets.summary import FLAGS, exponent_interval, raised_flags, summarize
from lcjax.files import write_json
from lcjax.records import from_dict
from lcjax.studies import Prediction, caveats

RESULT = Path(__file__).parents[1] / "docs/results/predict-digits-mlp/result.json"


@pytest.fixture(scope="module")
def recorded():
    """Return the committed result of the digits, its prediction and the chance error."""
    result = json.loads(RESULT.read_text())
    return result, from_dict(Prediction, result["prediction"]), lc.load_data("digits").chance_error()


@pytest.fixture(scope="module")
def summary(recorded):
    result, prediction, chance_error = recorded
    training = {"seconds": 1.0, "resumed": False, "environment": result["environment"]}
    head = {"set": "digits", "data": "digits", "title": "digits", "network": "MLP", "classes": 10}
    return {
        **head, "configuration": result["configuration"], "environment": result["environment"], "training": training,
        **summarize(prediction, chance_error),
    }  # fmt: skip


def test_the_summary_has_the_numbers_of_the_record(recorded, summary):
    result, prediction, _ = recorded
    assert summary["size"] == prediction.validation.size.tolist()
    for split, curve in (("validation", prediction.validation), ("test", prediction.measured)):
        np.testing.assert_allclose(summary[split]["error"], curve.error, rtol=1e-5)
        np.testing.assert_allclose(summary[split]["standard_error"], curve.standard_error, rtol=1e-5)
    assert set(summary["methods"]) == {"answer", *prediction.methods}
    for name, one in prediction.held_out.items():
        row = summary["methods"][name]
        assert row["log_score"] == pytest.approx(float(one.log_score), rel=1e-5)
        assert row["inside"] == one.inside.tolist()
        np.testing.assert_allclose(row["log_error"], one.log_error, rtol=1e-5)
        assert row["factor"] == pytest.approx(np.exp(np.sqrt(np.mean(np.square(one.log_error)))), rel=1e-5)
        assert row["behind"] == pytest.approx(
            max(r["log_score"] for r in summary["methods"].values()) - row["log_score"], abs=1e-4
        )
    for name, weight in prediction.answer.weights.items():
        assert summary["methods"][name]["weight"] == pytest.approx(float(weight), rel=1e-5)
    assert summary["dimension"]["non_inferiority"]["value"] == int(prediction.dimension)
    assert sum(summary["dimension"]["weights"]["weight"]) == pytest.approx(1, abs=1e-5)
    assert summary["exponent"]["low"] < summary["exponent"]["value"] < summary["exponent"]["high"]
    assert {name: one["verdict"] for name, one in summary["exponents"].items()} == {
        name: one.verdict for name, one in prediction.exponents.items()
    }
    assert summary["caveats"] == result["caveats"]


@pytest.mark.parametrize("chance_error", [0.9, 0.3])
@pytest.mark.parametrize("train_error", [0.0, 0.02])
def test_the_flags_follow_the_rules_of_the_caveats(recorded, chance_error, train_error):
    _, prediction, _ = recorded
    fields = {**vars(prediction.validation), "train_error": np.full(len(prediction.validation.size), train_error)}
    changed = Prediction(**{**vars(prediction), "validation": lc.LearningCurve(**fields)})
    flags = raised_flags(changed, chance_error)
    assert set(flags) <= set(FLAGS)
    assert len(flags) == len(caveats(changed, chance_error=chance_error))
    assert ("training_error" in flags) == (train_error > 0.01)
    assert ("small_data" in flags) == (chance_error < 0.35)


def test_precise_sizes_show_where_the_answer_is_off(recorded):
    _, prediction, chance_error = recorded
    precise = {**vars(prediction.validation), "standard_error": 0.02 * prediction.validation.error}
    changed = Prediction(**{**vars(prediction), "validation": lc.LearningCurve(**precise)})
    sizes = summarize(changed, chance_error)["precise_sizes"]
    ratio = np.exp(prediction.held_out["answer"].log_error)
    assert [one["size"] for one in sizes] == prediction.validation.size[~prediction.fitted].tolist()
    assert [one["off"] for one in sizes] == (np.abs(ratio - 1) > 0.1).tolist()


def test_the_interval_of_the_exponent_is_that_of_the_draws():
    rng = np.random.default_rng(0)
    size = np.geomspace(100, 10_000, 30)
    exponent, level = -0.4 + 0.05 * rng.normal(size=400), 0.1 * rng.normal(size=400)
    draws = np.exp(level[:, None] + exponent[:, None] * np.log(size / 300))
    curve = lc.LearningCurve(size, np.exp(-0.4 * np.log(size / 300)), draws.std(axis=0))
    prediction = types.SimpleNamespace(
        methods={"power_law": types.SimpleNamespace(curve=curve)}, exponent=-0.4,
        validation=types.SimpleNamespace(size=np.array([100, 2000])),
    )  # fmt: skip
    low, high = exponent_interval(prediction)
    assert (high - low) / 2 == pytest.approx(1.645 * exponent.std(), rel=0.1)
    assert (high + low) / 2 == pytest.approx(-0.4)


def test_every_set_is_failed_or_passed_by_its_intervals(summary):
    worse = json.loads(json.dumps(summary))
    worse["methods"]["hypercube"]["inside"] = [False, True, False]
    worse["flags"] = ["training_error"]
    failed = failures({"digits": summary, "dna": worse})
    assert failed["hypercube"]["sets"] == ["dna"]
    assert failed["answer"]["sets"] == []
    factors = failed["power_law"]["factor"]["training_error"]
    assert factors["raised"] == pytest.approx(summary["methods"]["power_law"]["factor"])
    assert np.isnan(failed["power_law"]["factor"]["radius"]["raised"])


def test_networks_on_the_same_data_are_one_cluster(summary):
    other = {**summary, "data": "dna"}
    methods = compare_methods({"digits": summary, "dna": other, "mnist-mlp": other})
    assert methods["answer"]["log_score"]["clusters"] == 2
    assert sum(one["rank"]["value"] for one in methods.values()) == pytest.approx(sum(range(1, 1 + len(methods))))


def test_the_report_is_made_from_the_summaries_that_are_there(summary, tmp_path):
    for name in ("digits", "dna"):
        write_json(tmp_path / "sets" / f"{name}.json", {**summary, "set": name, "data": name, "title": name})
    main(["no-such-folder", str(tmp_path), "--report"])
    study = json.loads((tmp_path / "study.json").read_text())
    assert [*study["sets"]] == ["digits", "dna"]
    best = max(summary["methods"].values(), key=lambda row: row["log_score"])
    text = (tmp_path / "study.md").read_text()
    assert f"**{best['log_score']:.2f}**" in text
    assert "| dna, MLP | 10 | 1,198 / 240 / 359 |" in text
    assert (tmp_path / "study.png").exists()


def test_a_set_that_fails_is_recorded_and_the_others_continue(summary, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "draw_study", lambda *_: None)  # drawn by the test above
    write_json(tmp_path / "sets/digits.json", summary)
    with pytest.raises(SystemExit, match=r"Failed: dna, driving\."):
        main([str(tmp_path / "empty"), str(tmp_path), "--sets", "dna", "driving"])
    assert "FileNotFoundError" in (tmp_path / "sets/driving.error.txt").read_text()
    assert "dna failed: FileNotFoundError" in capsys.readouterr().err
    assert "Failed with an error: dna, driving." in (tmp_path / "study.md").read_text()


def write_cifar10(folder, batches, images):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{i}" for i in batches), "test_batch"]:
        with lzma.open(folder / f"{name}_images.npy.xz", "wb") as file:
            np.save(file, rng.integers(0, 256, (images, 32, 32, 3), np.uint8))
    for split, count in (("train", 5 * images), ("test", images)):
        np.save(folder / f"{split}_labels.npy", np.arange(count, dtype=np.uint8) % 10)


def test_the_copy_has_the_first_images_and_the_other_files(tmp_path, capsys):
    source, target = tmp_path / "source", tmp_path / "target"
    write_cifar10(source / "cifar10", (1, 2), 20)
    (source / "dna").mkdir()
    (source / "dna/dna.scale.gz").write_bytes(b"bytes")
    pack_main([str(source), str(target), "--train", "30", "--test", "10"])
    assert (target / "dna/dna.scale.gz").read_bytes() == b"bytes"
    for whole, part in zip(
        read_cifar10(source / "cifar10", 30, 10), read_cifar10(target / "cifar10", 50, 50), strict=True
    ):
        np.testing.assert_array_equal(part[0], whole[0])
        np.testing.assert_array_equal(part[1], whole[1])
    assert len(read_cifar10(target / "cifar10", 50, 50)[0][0]) == 30
    assert "total" in capsys.readouterr().out


def test_the_identity_of_the_data_is_that_of_the_copy(tmp_path):
    write_cifar10(tmp_path / "whole/cifar10", (1, 2, 3), 40)
    pack(tmp_path / "whole", tmp_path / "copy")
    first, second = (load_set(tmp_path / name, "cifar10") for name in ("whole", "copy"))
    assert first.fingerprint() == second.fingerprint()
    assert first.name == "cifar10"
    assert len(first.train.targets) == 100


def test_labels_must_not_be_fewer_than_images(tmp_path):
    write_cifar10(tmp_path / "cifar10", (1,), 10)
    np.save(tmp_path / "cifar10/test_labels.npy", np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="10 test images and 3 labels"):
        read_cifar10(tmp_path / "cifar10", 10, 10)


def test_every_set_is_read_from_the_shared_folder(shared_data):
    for name in ("digits", "dna"):
        data = load_set(shared_data, name)
        assert data.name == SETS[name].data
        assert data.test is not None
    assert len(load_set(shared_data, "dna").test.targets) == 1186
    assert make_recipe(load_set(shared_data, "dna"), "dna", steps=7).program.budget.steps == 7


@pytest.mark.slow
def test_restored_runs_give_the_same_summary_without_training(tmp_path):
    """A second call reads all runs: neither the lines of the stores nor the scores change."""
    arguments = ["no-such-folder", str(tmp_path), "--sets", "digits", "--steps", "30", "--seeds", "2"]
    main(arguments)
    path = tmp_path / "sets/digits.json"
    first, lines = json.loads(path.read_text()), sorted((tmp_path / "runs").rglob("runs*.jsonl"))
    stamps = [line.stat().st_mtime_ns for line in lines]
    assert len(lines) == 2
    main(arguments)
    second = json.loads(path.read_text())
    assert [line.stat().st_mtime_ns for line in lines] == stamps
    assert second["methods"] == first["methods"]
    assert second["training"] == first["training"]
