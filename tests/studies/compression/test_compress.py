import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax import cli
from lcjax.compression.pruning import prune
from lcjax.models.vision.densenet import DenseNet
from lcjax.models.vision.quicknet import QuickNet
from lcjax.papers.sharma import (
    DENSE_LOSSES,
    DENSE_TABLE,
    LOSSES,
    QUICK_LOSSES,
    QUICK_TABLE,
    TABLES,
    paper_numbers,
    paper_row,
)
from lcjax.studies.compression import compress as compress_module
from lcjax.studies.compression import pictures as compress_pictures
from lcjax.studies.compression.compress import Diverged, compress_nets
from lcjax.studies.compression.compressed_loss import versions_of, weights_only
from lcjax.studies.compression.losses import PENALTIES, Grid, model_of, pairs, settings_of
from lcjax.studies.compression.net_accuracy import Accuracy
from lcjax.studies.compression.nets import convolutional_subject
from lcjax.studies.compression.protocol import Convolutional, FullyConnected, cut, halve_test
from lcjax.studies.compression.tables import markdown, result_table, verdict_table
from lcjax.studies.compression.verdicts import verdicts

SMALL = Grid((1e-3, 1e-1), (1e-4,), (0.1,))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    data = lc.load_data("digits")
    model = lc.models.MLP((12,), 10)
    folder = tmp_path_factory.mktemp("compress")
    stages = []
    options = {"losses": ("H", "S+W1+LCL"), "grid": SMALL, "protocol": FullyConnected(3), "seeds": 2, "folder": folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compress_pictures, "PICTURED", 5)
        result = compress_nets(jax.random.key(0), data, model, on_progress=lambda *step: stages.append(step), **options)
    return data, model, options, result, stages


def test_the_papers_grids():
    counts = {name: len(settings_of(name, Grid())) for name in LOSSES}
    assert counts == {"H": 2, "H+W2": 8, "H+W1": 8, "H+LCA": 10, "H+W2+LCA": 40, "H+W1+LCA": 40}
    assert set(PENALTIES.values()) == {"l1", "l2", "vc", "vc/head"}


def test_choice_is_the_best_of_the_grid_on_the_validation_set(found):
    _, _, _, result, _ = found
    alone, tried = result.losses
    best = np.max(tried.grid["validation_accuracy"])
    at = np.all([tried.grid[name] == np.float64(value) for name, value in tried.chosen.items()], axis=0)
    assert tried.grid["validation_accuracy"][at] == [best]
    assert len(tried.grid["l1"]) == 2
    assert np.isnan(alone.grid["validation_accuracy"]).all()  # one setting: nothing to choose


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


def test_quantization_is_chosen_on_the_validation_set(found):
    *_, result, _ = found
    for loss in result.losses:
        curve = loss.quantization
        for i, bits in enumerate(loss.quantized_bits):
            near = curve.accuracy[i] >= curve.full_accuracy[i] - 0.01 - 1e-6
            assert np.all(near[curve.bits >= bits]) or bits == 16
            at = np.flatnonzero(curve.bits == bits)[0]
            assert loss.quantized_accuracy[i] == curve.measured["accuracy"][i, at]
            ratio = loss.pruning.before[i] / curve.measured["surviving"][i, at]
            assert loss.quantized_ratio[i] == pytest.approx(ratio)


def test_tables_are_beside_the_papers(found):
    *_, result, _ = found
    table = result_table(dataclasses.replace(result, data="libsvm:dna.scale", model="1 hidden of 50"))
    first = dict(zip(table.columns, table.rows[0], strict=False))
    assert first["loss"] == "H"
    assert [table.rows[0][i] for i in (3, 5, 7, 10, 13)] == ["0.851", "0.845", "1.8", "", ""]
    assert all(len(row) == len(table.columns) for row in table.rows)
    text = markdown([table, verdict_table(verdicts([result]))])
    assert sum(line.startswith("|---") for line in text.splitlines()) == 2
    assert "peaks below full precision" in text


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


def test_losses_that_are_compressed_are_kept(found, monkeypatch):
    data, model, options, result, _ = found

    def refused(*arguments, **options):
        raise RuntimeError("compressed again")

    monkeypatch.setattr(compress_module, "compress_loss", refused)
    again = compress_nets(jax.random.key(0), data, model, pictures=False, **options)
    for first, second in zip(result.losses, again.losses, strict=True):
        jax.tree.map(np.testing.assert_array_equal, first, second)
    jax.tree.map(np.testing.assert_array_equal, result.weights, again.weights)
    with pytest.raises(RuntimeError, match="compressed again"):
        compress_nets(jax.random.key(0), data, model, pictures=False, tolerance=0.02, **options)


def test_versions_are_those_of_the_curves(found):
    data, model, _, result, _ = found
    loss = result.losses[1]
    grown = model.init(jax.random.key(3), data.test.inputs[:1].astype(np.float32))
    params = jax.tree.map(np.asarray, grown["params"])
    trained, pruned, quantized = versions_of(loss, {"params": params}, 1)
    jax.tree.map(np.testing.assert_array_equal, trained["params"], params)
    for layer, leaves in params.items():
        threshold = np.float32(loss.pruning.threshold[layer][1, loss.step[1]])
        for name, leaf in leaves.items():
            np.testing.assert_array_equal(pruned["params"][layer][name], np.where(np.abs(leaf) < threshold, 0, leaf))
            at = np.flatnonzero(loss.quantization.bits == loss.quantized_bits[1])[0]
            units = 2.0 ** loss.quantization.fraction_bits[1, at]
            whole = np.asarray(quantized["params"][layer][name]) * units
            np.testing.assert_array_equal(whole, np.round(whole))
            assert np.abs(whole).max() <= 2.0 ** (loss.quantized_bits[1] - 1)


def test_a_loss_whose_trainings_diverge_is_a_row(found):
    data, model, *_ = found
    options = {"protocol": FullyConnected(1), "seeds": 2, "pictures": False}
    grid = Grid((1e-3,), (1e12,), (0.1,))
    result = compress_nets(jax.random.key(0), data, model, losses=("H+LCA", "H", "H+W2+LCA"), grid=grid, **options)
    assert [loss.name for loss in result.losses] == list(result.weights) == ["H"]
    assert [(loss.name, loss.seed.tolist(), loss.trained) for loss in result.diverged] == [
        ("H+LCA", [1, 2], 2),
        ("H+W2+LCA", [1, 2], 2),
    ]
    assert all(np.all(loss.step > 0) for loss in result.diverged)
    assert {row.losses.partition(",")[0] for row in verdicts([result])} == {"H"}
    table = result_table(dataclasses.replace(result, data="libsvm:dna.scale", model="1 hidden of 50"))
    assert [row[0] for row in table.rows] == ["H+LCA", "H", "H+W2+LCA"]
    assert table.rows[0][1:4] == ["rate=0.1 vc=1e+12", "diverged", "0.938"]
    assert table.rows[0][7] == "19.5"
    assert all(len(row) == len(table.columns) for row in table.rows)

    partly = Diverged("H", {"learning_rate": 0.1}, np.array([2]), np.array([3]), 3)
    table = result_table(dataclasses.replace(result, diverged=(partly, *result.diverged)))
    assert table.rows[1][2].endswith("; 1 of 3 diverged")
    with pytest.raises(ValueError, match=r"Every training under H\+LCA diverged"):
        compress_nets(jax.random.key(0), data, model, losses=("H+LCA",), grid=grid, **options)

    tried = Grid((1e-3,), (1e12, 1e14), (0.1,))
    with pytest.raises(ValueError, match=r"Every training under H\+LCA diverged"):
        compress_nets(jax.random.key(0), data, model, losses=("H+LCA",), grid=tried, **options)
    result = compress_nets(jax.random.key(0), data, model, losses=("H+LCA", "H"), grid=tried, **options)
    assert (result.diverged[0].chosen, result.diverged[0].trained) == ({}, 0)
    assert result_table(result).rows[0][2] == "every setting diverged"


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
    one_class = dataclasses.replace(result, majority=0.9, losses=(a, b))
    assert not any(row.holds for row in verdicts([one_class]))


def test_tables_of_the_paper():
    assert paper_row("libsvm:x/dna.scale.gz", 3).ratio == (1.3, 3.6, 596.0, 4.4, 18.2, 2.9)
    assert all(len(column) == 6 for row in TABLES.values() for column in row)
    assert len(TABLES) == 15
    assert tuple(QUICK_TABLE) == QUICK_LOSSES
    assert tuple(DENSE_TABLE) == DENSE_LOSSES
    assert paper_numbers("npz:CIFAR-10.npz", "DenseNet", DENSE_LOSSES)["H+W+LCL"].quantized_accuracy == 0.889
    assert paper_numbers("cifar100:/data/CIFAR-100", "DenseNet", DENSE_LOSSES) == {}
    assert paper_numbers("digits", "1 hidden of 50", LOSSES) == {}
    assert paper_numbers("libsvm:w8a.gz", "3 hidden of 50,50,50", LOSSES)["H+W2+LCA"].ratio == 5063


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": ("Q",)}, "'Q'"),
        ({"losses": ("H+W3",)}, r"H\+W3"),
        ({"losses": ("H+W+W2",)}, r"H\+W\+W2"),
        ({"seeds": 0}, "0"),
        ({"losses": ("H", "H")}, "each once"),
        ({"losses": ("H+BN",)}, "batch_norm"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        compress_nets(jax.random.key(0), lc.load_data("digits"), lc.models.MLP((4,), 10), grid=SMALL, **options)


@pytest.mark.parametrize(
    ("protocol", "options", "message"),
    [
        (FullyConnected, {"passes": 0}, "got passes 0"),
        (FullyConnected, {"passes": 5, "choice": 6}, "choice 6"),
        (Convolutional, {"steps": 5, "batch": 0}, "batch 0"),
    ],
)
def test_bad_protocols(protocol, options, message):
    with pytest.raises(ValueError, match=message):
        protocol(**options)


def test_pairs_of_the_papers_tables():
    assert pairs(LOSSES) == [("H", "H+LCA"), ("H+W2", "H+W2+LCA"), ("H+W1", "H+W1+LCA")]
    assert len(pairs(QUICK_LOSSES)) == 7
    assert pairs(DENSE_LOSSES) == [("H+W+D", "H+W+LCL+D"), ("H+W", "H+W+LCL"), ("H+W1", "H+W1+LCL")]


def test_the_default_protocols_are_the_papers():
    subject = convolutional_subject("quicknet", lc.load_data("digits"))
    program = subject.protocol.program(subject.model, lc.cross_entropy, choosing=False)
    factors = [float(program.schedule(step / 230_000)) for step in (0, 99_980, 100_000, 199_980, 200_000, 229_999)]
    np.testing.assert_allclose(factors, [1, 1, 0.1, 0.1, 0.01, 0.01], rtol=1e-6)
    assert (program.budget.steps, subject.protocol.thresholds, len(subject.losses)) == (230_000, 100, 12)
    program = FullyConnected().program(lc.models.MLP(), lc.models.multiclass_hinge, choosing=True)
    assert (program.budget.epochs, FullyConnected().thresholds) == (500, 50)
    np.testing.assert_allclose([float(program.schedule(e / 500)) for e in (0, 1, 99, 499)], [1, 0.5, 0.01, 0.002])


def test_losses_switch_on_what_their_names_say():
    quick = QuickNet()
    assert model_of("S+W+LCA", quick, 0.5) is quick
    assert model_of("S+W+D+BN", quick, 0.5) == QuickNet(dropout=0.5, batch_norm=True)
    assert model_of("H+D", DenseNet(), 0.2) == DenseNet(dropout=0.2)
    assert settings_of("S+W+BN+LCA+D", Grid((1.0,), (2.0,), (3.0,))) == [{"learning_rate": 3.0, "l2": 1.0, "vc": 2.0}]
    assert settings_of("H+W+LCL+D", Grid((1.0,), (2.0,), (3.0,)))[0]["vc/head"] == 2.0
    assert not weights_only("last_norm/bias", None)


def test_parts_of_a_data_set_share_no_example():
    data = lc.load_data("digits")
    data = dataclasses.replace(data, test=lc.Examples(np.arange(len(data.test.targets))[:, None], data.test.targets))
    data = dataclasses.replace(data, train=lc.Examples(np.arange(1198)[:, None], data.train.targets))
    data = dataclasses.replace(data, validation=lc.Examples(np.arange(240)[:, None], data.validation.targets))
    halves = halve_test(data, seed=3)
    both = np.concatenate([halves.validation.inputs, halves.test.inputs]).ravel()
    assert sorted(both.tolist()) == list(range(359))
    small = cut(data, 40)
    assert [len(np.unique(part.inputs)) for part in (small.train, small.validation, small.test)] == [40, 10, 10]
    np.testing.assert_array_equal(small.train.targets, data.train.targets[small.train.inputs.ravel()])
    with pytest.raises(ValueError, match="got 1199"):
        cut(data, 1199)
    with pytest.raises(ValueError, match="no test set"):
        halve_test(data.without_test())


def test_accuracy_in_blocks_is_that_of_all():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(23, 5)).astype("f4"), rng.integers(0, 3, 23)
    model = lc.models.MLP((4,), 3)
    params = model.init(jax.random.key(0), inputs)["params"]
    outputs = model.apply({"params": params}, inputs)
    expected = np.mean(np.argmax(outputs, axis=1) == targets)
    for block in (23, 10, 1):
        found = Accuracy(model, block, lc.models.multiclass_hinge)({}, inputs, targets, params)
        assert float(found["accuracy"]) == pytest.approx(expected)
        np.testing.assert_allclose(found["loss"], np.mean(lc.models.multiclass_hinge(outputs, targets)), rtol=1e-5)
        assert int(found["surviving"]) == sum(np.count_nonzero(leaf) for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("model", "loss", "dropout"),
    [
        pytest.param(QuickNet(), "S+W+D+BN", 0.5, id="quicknet"),
        pytest.param(DenseNet(depth=7, growth=2), "H+W+LCL+D", 0.2, id="densenet", marks=pytest.mark.slow),
    ],
)
def test_convolutional_nets(model, loss, dropout):
    """Batch statistics are kept, normalizations neither pruned nor quantized, dropout off in evaluation."""
    data = cut(lc.load_data("digits"), 120)
    protocol = Convolutional(3, batch=20, thresholds=4, dropout=dropout, records=2)
    grid = Grid((1e-3,), (1e-6,), (0.01,))
    found = compress_nets(
        jax.random.key(0), data, model, losses=(loss,), grid=grid, protocol=protocol, seeds=1, pictures=False
    )
    one = found.losses[0]
    assert one.pruning_test.shape == (1, 5)
    assert np.isnan(one.grid["validation_accuracy"]).all()
    assert one.epoch.tolist() == [pytest.approx(2 * 20 / 120), pytest.approx(0.5)]
    np.testing.assert_allclose(one.validation_curve[:, -1], one.pruning.accuracy[:, 0], atol=0.05)
    assert not any("norm" in layer for layer in one.pruning.threshold)
    assert int(one.pruning.surviving[0, -1]) > len(one.pruning.threshold)  # one weight a layer, and the normalizations
    assert one.quantized_ratio.min() >= 1


def test_a_regression_is_refused(tmp_path):
    (tmp_path / "r").write_text("".join(f"{i / 4} 1:{i}\n" for i in range(40)))
    with pytest.raises(ValueError, match="0 classes"):
        compress_nets(jax.random.key(0), lc.load_data(f"libsvm:{tmp_path / 'r'}"), lc.models.MLP((4,), 1))


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
    assert told["configuration"]["protocol"]["passes"] == 2
    assert "Claims of the paper" in (tmp_path / "out" / "tables.md").read_text()
    for name in ("trade_off", "figure3", "weights_1", "figure2_1"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 10000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--losses", "H+Q"), "H+Q"),
        (("--net", "quicknet", "--epochs", "3"), "--epochs 3 is not for --net quicknet"),
        (("--steps", "3"), "--epochs"),
        (("--examples", "2000"), "got 2000"),
    ],
)
def test_bad_commands(monkeypatch, capsys, tmp_path, arguments, message):
    code, captured = run(monkeypatch, capsys, *arguments, "--output", tmp_path)
    assert code == 1
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.slow
@pytest.mark.parametrize("net", ["quicknet", "densenet"])
def test_convolutional_commands(monkeypatch, capsys, tmp_path, net):
    """Every row of the paper's table by one command."""
    code, captured = run(
        monkeypatch, capsys, "--net", net, "--depth", 7, "--examples", 100, "--steps", 2, "--batch", 10,
        "--rates", "0.01", "--weight", "1e-3", "--preactivation", "1e-6", "--seeds", 1, "--output", tmp_path,
    )  # fmt: skip
    assert code == 0, captured.err
    told = json.loads((tmp_path / "compress.json").read_text())
    rows = QUICK_LOSSES if net == "quicknet" else DENSE_LOSSES
    assert [loss["name"] for loss in told["compressions"][0]["losses"]] == list(rows)
