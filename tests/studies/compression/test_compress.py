"""The compression study: choices on the validation set, stored parts, and diverged runs."""

import dataclasses

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.compression.pruning import prune
from lcjax.models.vision.densenet import DenseNet
from lcjax.models.vision.quicknet import QuickNet
from lcjax.studies.compression import compress as compress_module
from lcjax.studies.compression.compress import Diverged, _best_setting
from lcjax.studies.compression.losses import Grid
from lcjax.studies.compression.recipes import ConvolutionalRecipe, FullyConnectedRecipe
from lcjax.studies.compression.subsets import cut
from lcjax.studies.compression.tables import result_table
from lcjax.studies.compression.verdicts import verdicts


def test_the_setting_is_the_best_of_the_grid_on_the_validation_set(study):
    alone, several = study.result.losses
    best = np.max(several.grid["validation_accuracy"])
    at = np.all([several.grid[name] == np.float64(value) for name, value in several.chosen.items()], axis=0)
    assert several.grid["validation_accuracy"][at] == [best]
    assert len(several.grid["l1"]) == 2
    assert np.isnan(alone.grid["validation_accuracy"]).all()  # one setting: nothing to choose


def test_ties_are_broken_by_the_stronger_penalty():
    settings = [
        {"learning_rate": 0.1, "l2": 0.1},
        {"learning_rate": 0.01, "l2": 0.3},
        {"learning_rate": 0.1, "l2": 0.2},
    ]
    assert _best_setting(settings, np.array([0.9, 0.9, 0.9])) is settings[1]
    assert _best_setting(settings, np.array([0.9, 0.8, np.nan])) is settings[0]
    assert _best_setting(settings, np.full(3, np.nan)) is None
    assert _best_setting(settings, None) is settings[0]


def test_runs_use_other_seeds_than_the_choice(study, key):
    """The networks of a loss equal those of a sweep with the chosen columns."""
    loss, recipe = study.result.losses[1], study.options["recipe"]
    program = recipe.program(study.model, lc.cross_entropy, choosing=False)
    runs = lc.Runs.grid(program, seed=(1, 2), size=1198, **loss.chosen)
    alone = lc.sweep(key, study.data, runs)
    np.testing.assert_allclose(loss.accuracy, 1 - alone.test_error, atol=2.1 / 359)
    np.testing.assert_allclose(loss.train_accuracy, 1 - alone.train_error[:, -1], atol=5 / 1198)
    np.testing.assert_allclose(loss.validation_curve, 1 - alone.validation_error, atol=5 / 240)
    np.testing.assert_allclose(loss.epoch, alone.recorded_step[0] * 100 / 1198)


def test_the_record_describes_the_study(study):
    result = study.result
    assert result.parameters == 64 * 12 + 12 + 12 * 10 + 10
    assert (result.data, result.model) == ("digits", "1 hidden of 12")
    assert result.names == ("H", "S+W1+LCL")
    assert result.diverged == ()
    assert {name: set(layers) for name, layers in result.weights.items()} == {
        n: {"hidden_0", "head"} for n in result.names
    }
    assert result.weights["H"]["head"].shape == (120,)
    assert compress_module._describe(QuickNet()) == "QuickNet"


def test_progress_has_a_stage_for_each_part(study):
    stages = list(dict.fromkeys(event.stage for event in study.events))
    assert stages == ["grid", "winners", "compress", "t-SNE H", "t-SNE S+W1+LCL"]
    compressing = [(event.done, event.total) for event in study.events if event.stage == "compress"]
    assert compressing == [(0, 2), (1, 2), (2, 2)]


def test_finished_parts_are_restored(study, key, monkeypatch):
    def refuse(*arguments, **options):
        raise RuntimeError("compressed again")

    monkeypatch.setattr("lcjax.studies.compression.compressed_loss.compress_loss", refuse)
    events = []
    again = lc.compress(
        key, study.data, study.model, pictures=False, on_progress=events.append, **study.options
    )  # fmt: skip
    assert not any(event.stage == "grid" for event in events)
    for first, second in zip(study.result.losses, again.losses, strict=True):
        jax.tree.map(np.testing.assert_array_equal, first, second)
    jax.tree.map(np.testing.assert_array_equal, study.result.weights, again.weights)
    assert again.embedding == {}
    with pytest.raises(RuntimeError, match="compressed again"):  # another tolerance gives another result
        lc.compress(key, study.data, study.model, pictures=False, tolerance=0.02, **study.options)


@pytest.mark.slow
def test_a_loss_whose_runs_diverge_is_a_row(study, key):
    data, model = study.data, study.model
    options = {"recipe": FullyConnectedRecipe(1, thresholds=12), "seeds": 2, "pictures": False}
    grid = Grid((1e-3,), (1e12,), (0.1,))
    result = lc.compress(key, data, model, losses=("H+LCA", "H", "H+W2+LCA"), grid=grid, **options)
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
        lc.compress(key, data, model, losses=("H+LCA",), grid=grid, **options)


@pytest.mark.slow
def test_a_loss_whose_every_setting_diverges_is_a_row(study, key):
    data, model = study.data, study.model
    options = {"recipe": FullyConnectedRecipe(1, thresholds=12), "seeds": 2, "pictures": False}
    grid = Grid((1e-3,), (1e12, 1e14), (0.1,))
    with pytest.raises(ValueError, match=r"Every training under H\+LCA diverged"):
        lc.compress(key, data, model, losses=("H+LCA",), grid=grid, **options)
    result = lc.compress(key, data, model, losses=("H+LCA", "H"), grid=grid, **options)
    assert (result.diverged[0].chosen, result.diverged[0].trained) == ({}, 0)
    assert result_table(result).rows[0][2] == "every setting diverged"


def test_a_network_of_one_class_has_the_error_of_chance(study):
    data, model = study.data, study.model
    images = data.test.inputs.astype(np.float32)
    dead = prune(model.init(jax.random.key(0), images[:1])["params"], threshold=np.inf).params
    dead["head"]["bias"] = dead["head"]["bias"].at[np.bincount(data.train.targets).argmax()].set(1.0)
    labels = np.argmax(model.apply({"params": dead}, images), axis=1)
    assert np.mean(labels != data.test.targets) == pytest.approx(study.result.chance_error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": ("Q",)}, "'Q'"),
        ({"losses": ("H+W3",)}, r"H\+W3"),
        ({"losses": ("H+W+W2",)}, r"H\+W\+W2"),
        ({"seeds": 0}, "got 0"),
        ({"losses": ()}, "At least one seed and one loss"),
        ({"losses": ("H", "H")}, "each loss once"),
        ({"losses": ("H+BN",)}, "batch_norm"),
    ],
)
def test_bad_input(key, digits, options, message):
    grid = Grid((1e-3,), (1e-4,), (0.1,))
    with pytest.raises(ValueError, match=message):
        lc.compress(key, digits, lc.models.MLP((4,), 10), grid=grid, **options)


def test_regressions_and_withheld_test_splits_are_refused(key, digits):
    for data in (dataclasses.replace(digits, classes=0), digits.without_test()):
        with pytest.raises(ValueError, match=f"digits has {data.classes} classes"):
            lc.compress(key, data, lc.models.MLP((4,), 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "loss", "dropout"),
    [
        pytest.param(QuickNet(), "S+W+D+BN", 0.5, id="quicknet"),
        pytest.param(DenseNet(depth=7, growth=2), "H+W+LCL+D", 0.2, id="densenet"),
    ],
)
def test_convolutional_networks(key, digits, model, loss, dropout):
    """Batch statistics are kept, normalizations neither pruned nor quantized, dropout off in evaluation."""
    data = cut(digits, 120)
    recipe = ConvolutionalRecipe(3, batch=20, thresholds=4, dropout=dropout, records=2)
    grid = Grid((1e-3,), (1e-6,), (0.01,))
    result = lc.compress(key, data, model, losses=(loss,), grid=grid, recipe=recipe, seeds=1, pictures=False)
    one = result.losses[0]
    assert one.pruning_test.shape == (1, 5)
    assert np.isnan(one.grid["validation_accuracy"]).all()
    assert one.epoch.tolist() == [pytest.approx(2 * 20 / 120), pytest.approx(0.5)]
    np.testing.assert_allclose(one.validation_curve[:, -1], one.pruning.accuracy[:, 0], atol=0.05)
    assert not any("norm" in layer for layer in one.pruning.threshold)
    assert int(one.pruning.surviving[0, -1]) > len(one.pruning.threshold)  # one weight per layer and the normalizations
    assert one.quantized_ratio.min() >= 1
