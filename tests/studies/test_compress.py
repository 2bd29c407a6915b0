import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax import cli
from lcjax.compression.pruning import prune
from lcjax.studies import compress
from lcjax.studies.compress import LOSSES, PENALTIES, Grid, compress_nets, settings_of
from lcjax.studies.compress_verdicts import verdicts
from lcjax.studies.sharma_tables import TABLES, paper_row

SMALL = Grid((1e-3, 1e-1), (1e-4,), (0.1,))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    data = lc.load_data("digits")
    model = lc.MLP((12,), 10)
    folder = tmp_path_factory.mktemp("compress")
    stages = []
    options = {"losses": ("H", "S+W1+LCL"), "grid": SMALL, "passes": 3, "seeds": 2, "folder": folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compress, "PICTURED", 5)
        result = compress_nets(jax.random.key(0), data, model, on_progress=lambda *step: stages.append(step), **options)
    return data, model, options, result, stages


def test_the_papers_grids():
    counts = {name: len(settings_of(name, Grid())) for name in LOSSES}
    assert counts == {"H": 2, "H+W2": 8, "H+W1": 8, "H+LCA": 10, "H+W2+LCA": 40, "H+W1+LCA": 40}
    assert set(PENALTIES.values()) == {"l1", "l2", "vc", "vc/head"}


def test_choice_is_the_best_of_the_grid_on_the_validation_set(found):
    _, _, _, result, _ = found
    for loss in result.losses:
        best = np.max(loss.grid["validation_accuracy"])
        at = np.all([loss.grid[name] == np.float64(value) for name, value in loss.chosen.items()], axis=0)
        assert loss.grid["validation_accuracy"][at] == [best]


def test_numbers_are_those_of_the_nets(found):
    *_, result, _ = found
    loss = result.losses[1]
    assert loss.accuracy.shape == (2,)
    assert np.all(loss.ratio >= 1)
    assert np.all(loss.pruning_test[:, 0] == loss.accuracy)
    best = np.asarray(loss.pruning.accuracy).max(axis=1)
    chosen = np.asarray(loss.pruning.accuracy)[np.arange(2), loss.step]
    assert np.all(chosen >= best - 0.01 - 1e-6)
    assert result.parameters == 64 * 12 + 12 + 12 * 10 + 10
    assert 0 <= loss.larger_scores["towards_zero"].min() <= loss.larger_scores["towards_zero"].max() < 1
    assert loss.validation_curve.shape == (2, len(loss.epoch))
    np.testing.assert_allclose(loss.epoch[-1], 3, rtol=0.05)
    np.testing.assert_allclose(loss.validation_curve[:, -1], np.asarray(loss.pruning.accuracy)[:, 0], atol=1e-6)


def test_pictures_have_their_silhouettes(found):
    _, _, _, result, _ = found
    n = len(result.picture_classes)
    assert set(result.embedding) == {"H", "S+W1+LCL"}
    for name, points in result.embedding.items():
        assert points.shape == (3, n, 2)
        assert np.all(np.abs(result.silhouette[name]) <= 1)


def test_finished_trainings_are_kept(found):
    data, model, options, result, stages = found
    again = []
    second = compress_nets(
        jax.random.key(0), data, model, pictures=False, on_progress=lambda *step: again.append(step), **options
    )
    np.testing.assert_array_equal(second.losses[1].pruning_test, result.losses[1].pruning_test)
    assert any(stage == "grid" for stage, *_ in stages)
    assert not any(stage == "grid" for stage, *_ in again)


def test_a_net_that_says_one_class_has_the_majoritys_accuracy(found):
    data, model, _, result, _ = found
    params = model.init(jax.random.key(0), data.test.inputs[:1].astype(np.float32))["params"]
    dead = prune(params, threshold=np.inf).params
    dead["head"]["bias"] = dead["head"]["bias"].at[np.bincount(data.train.targets).argmax()].set(1.0)
    said = np.argmax(model.apply({"params": dead}, data.test.inputs.astype(np.float32)), axis=1)
    assert np.mean(said == data.test.targets) == pytest.approx(float(result.majority))


def test_verdicts_follow_the_numbers(found):
    *_, result, _ = found
    base = result.losses[0]

    def changed(name, **values):
        return dataclasses.replace(base, name=name, **{key: np.asarray(value) for key, value in values.items()})

    same = {"pruned_accuracy": [0.9, 0.9, 0.9], "accuracy": [0.9, 0.9, 0.9]}
    curve = np.array([[0.5, 0.9], [0.5, 0.9], [0.5, 0.9]])
    a = changed("H", ratio=[2.0, 2.1, 2.2], fewest_bits=[8, 8, 9], validation_curve=curve, epoch=[1.0, 2.0], **same)
    b = changed("H+LCA", ratio=[9.0, 9.1, 9.5], fewest_bits=[8, 9, 9], validation_curve=curve, epoch=[1.0, 2.0], **same)

    def told(*losses):
        rows = verdicts([dataclasses.replace(result, losses=losses)])
        return {row.claim: row for row in rows if "->" in row.losses}

    first = told(a, b)
    assert first["compresses further at equal accuracy"].holds
    assert first["compresses further at equal accuracy"].after == pytest.approx(np.prod([9.0, 9.1, 9.5]) ** (1 / 3))
    assert not first["stands fewer bits"].holds
    assert not first["converges faster"].holds
    worse = dataclasses.replace(b, pruned_accuracy=np.array([0.8, 0.8, 0.8]))
    assert not told(a, worse)["compresses further at equal accuracy"].holds
    assert not told(b, dataclasses.replace(a, name="H+LCA"), dataclasses.replace(b, name="H"))[
        "compresses further at equal accuracy"
    ].holds


def test_tables_of_the_paper():
    assert paper_row("libsvm:x/dna.scale.gz", 3).ratio == (1.3, 3.6, 596.0, 4.4, 18.2, 2.9)
    assert all(len(column) == 6 for row in TABLES.values() for column in row)
    assert len(TABLES) == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": ("Q",)}, "'Q'"),
        ({"losses": ("H+W3",)}, r"H\+W3"),
        ({"losses": ("H+W+W2",)}, r"H\+W\+W2"),
        ({"seeds": 0}, "0"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        compress_nets(jax.random.key(0), lc.load_data("digits"), lc.MLP((4,), 10), grid=SMALL, **options)


def test_a_regression_is_refused(tmp_path):
    (tmp_path / "r").write_text("".join(f"{i / 4} 1:{i}\n" for i in range(40)))
    with pytest.raises(ValueError, match="0 classes"):
        compress_nets(jax.random.key(0), lc.load_data(f"libsvm:{tmp_path / 'r'}"), lc.MLP((4,), 1))


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["lcjax", "compress", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stopped:
        return stopped.code or 0, capsys.readouterr()
    return 0, capsys.readouterr()


def test_the_command(monkeypatch, capsys, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.random((300, 8)) < 0.5
    lines = [f"{1 + int(row[:3].sum() > 1)} {' '.join(f'{j + 1}:1' for j in np.flatnonzero(row))}\n" for row in x]
    (tmp_path / "set").write_text("".join(lines))
    code, captured = run(
        monkeypatch, capsys, "--data", f"libsvm:{tmp_path / 'set'}", "--layers", "1", "--width", "6", "--epochs", "2",
        "--losses", "H,H+LCA", "--preactivation", "1e-4", "--rates", "0.1", "--seeds", "2", "--batch", "20",
        "--output", tmp_path / "out",
    )  # fmt: skip
    assert code == 0
    assert "Claims of the paper" in captured.out
    told = json.loads((tmp_path / "out" / "compress.json").read_text())
    assert [loss["chosen"]["learning_rate"] for loss in told["compressions"][0]["losses"]]
    assert told["configuration"]["splits"] == [200, 40, 60]
    for name in ("trade_off", "figure3", "weights_1", "figure2_1"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 10000
    code, captured = run(monkeypatch, capsys, "--losses", "H+Q")
    assert code == 1
    assert captured.err.count("\n") == 1
    assert "H+Q" in captured.err
