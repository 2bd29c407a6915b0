import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import lcjax as lc
from lcjax.cli import app
from lcjax.complexity.corruption import corrupt_labels
from lcjax.models.parameters import parameter_count
from lcjax.papers.zhang import TABLE1, TABLE2
from lcjax.records import from_dict
from lcjax.studies.randomization.cases import (
    CONDITIONS,
    Case,
    Randomization,
    condition_cases,
    regularizer_cases,
    width_cases,
)
from lcjax.studies.randomization.protocol import NETS, Protocol, prepare
from lcjax.studies.randomization.randomize import RandomizationTests, randomization_tests

MLP, SIZE = NETS["mlp-1x512"], 60


QUICK = ["--steps", "1000", "--batch", "20", "--records", "25", "--stop", "--top", "3"]


def lcjax(*arguments):
    """What `lcjax randomize` prints, in one line, and its JSON."""
    done = CliRunner().invoke(app, ["randomize", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    folder = Path(arguments[arguments.index("--output") + 1])
    return " ".join(done.output.split()), json.loads((folder / "randomize.json").read_text())


def test_the_null_of_a_curve(tmp_path):
    """One command, and all that is read off its results: a program is compiled once."""
    options = ["--net", f"mlp-1x512:{SIZE}", "--levels", 3, *QUICK, "--output", tmp_path]
    output, result = lcjax(*options)
    tests = from_dict(RandomizationTests, result["tests"])
    every_condition_is_fitted_and_only_the_true_ones_are_learned(tests)
    rules_are_read_off_the_records(tests)
    a_label_among_the_largest_outputs_counts_as_right_where_asked(tests)
    assert "stated by the paper" in output
    assert "The paper's order: true labels" in output
    assert result["configuration"]["protocol"]["steps"] == 1000
    assert (tmp_path / "figure1.png").exists()
    again = json.loads(CliRunner().invoke(app, ["randomize", *map(str, options), "--json"]).stdout)
    for name in ("test_error", "test_top_error", "train_loss"):  # every run is read back
        assert again["tests"][name] == result["tests"][name]


def every_condition_is_fitted_and_only_the_true_ones_are_learned(tests):
    assert tests.condition == (
        "true labels", "corrupted labels", "random labels", "shuffled pixels", "random pixels", "gaussian pixels"
    )  # fmt: skip
    np.testing.assert_array_equal(tests.final_train_error, 0)
    error = dict(zip(tests.condition, tests.test_error, strict=True))
    assert error["true labels"] < 0.35
    assert error["shuffled pixels"] < 0.35
    assert error["true labels"] + 0.1 < error["corrupted labels"] < error["random labels"]
    for name in ("random labels", "random pixels", "gaussian pixels"):
        assert 0.8 < error[name] < 0.97  # 359 test examples, ten classes: guessing
    assert tests.slowdown[0] == 1
    assert tests.slowdown[2] > 1.5
    np.testing.assert_allclose(tests.slowdown, tests.steps_to_fit / tests.steps_to_fit[0])


def rules_are_read_off_the_records(tests):
    for row in range(len(tests.net)):
        step, loss, error = tests.recorded_step[row], tests.train_loss[row], tests.train_error[row]
        for found, met in ((tests.steps_to_fit, error == 0), (tests.steps_to_loss, loss <= 0.1)):
            expected = step[np.flatnonzero(met)[0]] if met.any() else np.nan
            np.testing.assert_equal(found[row], expected)
        assert tests.best_held_out_error[row] == tests.held_out_error[row].min()
    np.testing.assert_allclose(tests.ratio, (64 * 512 + 512 + 512 * 10 + 10) / SIZE)
    assert tests.rows(condition="true labels").tolist() == [0]
    assert tests.plain.all()


def a_label_among_the_largest_outputs_counts_as_right_where_asked(tests):
    assert tests.top == 3
    np.testing.assert_array_equal(tests.final_train_top_error, 0)  # of labels as the run saw them
    assert np.all(tests.test_top_error < tests.test_error)
    guessing = dict(zip(tests.condition, tests.test_top_error, strict=True))["random labels"]
    assert 0.55 < guessing < 0.85  # three of ten classes


def test_a_run_sees_what_the_pure_functions_give():
    data = prepare(lc.load_data("digits"))
    images, labels, number = data.train.inputs[:30], data.train.targets[:30], np.arange(30)
    key = jax.random.key(3)
    see = jax.jit(Randomization(10), static_argnames="train")
    label_key, pixel_key = jax.random.split(key)
    for name, (pixels, corruption) in CONDITIONS.items():
        columns = {"pixels": pixels, "corruption": corruption}
        got_images, got_labels = see(key, number, images, labels, columns, train=True)
        expected = {
            "shuffled pixels": lambda: lc.complexity.shuffle_pixels(pixel_key, images),
            "random pixels": lambda: lc.complexity.random_pixels(pixel_key, images),
            "gaussian pixels": lambda: lc.complexity.gaussian_pixels(
                pixel_key, images, mean=0.0, standard_deviation=1.0
            ),
        }.get(name, lambda: images)()
        np.testing.assert_array_equal(got_images, expected)
        np.testing.assert_array_equal(got_labels, corrupt_labels(label_key, labels, 10, corruption))
        np.testing.assert_array_equal(see(key, number, images, labels, columns, train=False)[1], labels)
    few = jax.jit(Randomization(10, (1, 3)), static_argnames="train")  # those that occur, and no others, are compiled
    for pixels in (1, 3):
        columns = {"pixels": pixels, "corruption": 0.0}
        expected, found = (one(key, number, images, labels, columns, train=True)[0] for one in (see, few))
        np.testing.assert_array_equal(found, expected)
    only = Randomization(10, (0,))(key, number, images, labels, {"corruption": 1.0}, train=True)
    np.testing.assert_array_equal(only[0], images)


def test_tables_of_cases():
    assert len(TABLE1) == 19
    assert len(TABLE2) == 7
    cases = regularizer_cases([(net, 100) for net in NETS.values()], seeds=(0, 1))
    assert len(cases) == 2 * (19 + 5 + 7)
    assert sum(case.condition == "random labels" for case in cases) == 2 * (6 + 3)
    more = regularizer_cases([(net, 100) for net in NETS.values()], dropout=True)
    assert len(more) == 19 + 5 + 7 + 7
    alone = [case for case in more if case.dropout and not case.crop and not case.decay]
    assert [case.net.name for case in alone] == list(NETS)
    cases = condition_cases([(MLP, 10)], levels=11)
    np.testing.assert_allclose([case.corruption for case in cases[:11]], np.linspace(0, 1, 11))
    assert len(cases) == 14
    cases = width_cases(784, 10, 20_000)
    ratios = [parameter_count(case.net.build(10), np.zeros((1, 28, 28, 1))) / 20_000 for case in cases]
    half_a_unit = 0.5 * (784 + 1 + 10) / 20_000
    np.testing.assert_allclose(ratios, [0.2, 0.5, 1, 2, 5, 10], rtol=0, atol=half_a_unit)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mlp-1x512", 1_209_866),
        ("mlp-3x512", 1_735_178),
        ("small-alexnet", 1_387_786),
        ("small-inception", 1_649_402),
        ("small-inception-without-norm", 1_649_402),
    ],
)
def test_parameters_are_the_papers(name, count):
    assert parameter_count(NETS[name].build(10), np.zeros((1, 28, 28, 3))) == count


def test_the_protocol_says_whose_choice_is_what():
    text = str(Protocol(1000, batch=64))
    assert text.index("stated by the paper") < text.index("momentum 0.9") < text.index("ours (slides: 128)")
    assert "1000, the rate times 0.95 every 391 steps" in text
    program = Protocol(782).program(MLP.build(10), Randomization(10))
    np.testing.assert_allclose([program.schedule(s / 782) for s in (0, 390, 391, 781)], [1, 1, 0.95, 0.95], rtol=1e-6)


def test_dropout_leaves_the_net_as_it_is_but_in_training():
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype(np.float32)
    plain, dropping = MLP.module(10), MLP.module(10, dropout=True)
    variables = plain.init(jax.random.key(0), images)
    jax.tree.map(np.testing.assert_array_equal, variables, dropping.init(jax.random.key(0), images))
    np.testing.assert_array_equal(plain.apply(variables, images), dropping.apply(variables, images))
    rngs = {"dropout": jax.random.key(1)}
    seen = np.asarray(dropping.apply(variables, images, train=True, rngs=rngs, method="features"))
    kept = np.asarray(plain.apply(variables, images, method="features"))
    assert 0.4 < np.mean(seen[kept > 0] == 0) < 0.6
    np.testing.assert_allclose(seen[seen > 0], 2 * kept[seen > 0], rtol=1e-5)
    shape = jax.ShapeDtypeStruct((1, 28, 28, 1), np.float32)
    for net in NETS.values():
        if net.side == 28:
            shapes = [jax.eval_shape(net.module(10, dropout=d).init, jax.random.key(0), shape) for d in (False, True)]
            assert jax.tree.map(np.shape, shapes[0]) == jax.tree.map(np.shape, shapes[1]), net.name


def test_inception_v3_sees_large_images_and_is_trained_alone():
    net = NETS["inception-v3"]
    assert net.module(1000, dropout=False).dropout == 0  # the wrapper's alone
    assert net.module(1000, dropout=True).rate == 0.2
    case = Case(net, 20)
    with pytest.raises(ValueError, match=r"centres of \[28, 299\] pixels"):
        randomization_tests(jax.random.key(0), lc.load_data("digits"), [case, Case(MLP, 20)], Protocol(2))
    program = Protocol(2).program(net.module(10), Randomization(10), crop=True, side=net.side)
    assert program.augment.changes[0].padding == 21


def test_images_are_cropped_and_standardized():
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3)).astype(np.uint8)
    images[7] = 200  # a constant image divides by the floor, not by zero
    part = lc.Examples(images, np.arange(20) % 2)
    found = prepare(lc.Data(part, part, None, 7.0, 9.0, classes=2)).train.inputs
    window = images[:, 2:30, 2:30].astype(float) / 255
    spread = np.maximum(window.std(axis=(1, 2, 3)), 1 / np.sqrt(28 * 28 * 3))
    expected = (window - window.mean(axis=(1, 2, 3))[:, None, None, None]) / spread[:, None, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_bad_input():
    data = lc.load_data("digits")
    flat = dataclasses.replace(data, train=lc.Examples(data.train.inputs[..., 0], data.train.targets))
    with pytest.raises(ValueError, match=r"got inputs of shape \(1198, 8, 8\)"):
        prepare(flat)
    with pytest.raises(ValueError, match="need classes"):
        prepare(dataclasses.replace(data, classes=0))
    for top in (0, 11):
        with pytest.raises(ValueError, match=rf"top must lie in \[1, 10\], the classes, got {top}"):
            randomization_tests(jax.random.key(0), data, [Case(MLP, 20)], Protocol(2), top=top)
    with pytest.raises(ValueError, match="levels=1"):
        condition_cases([(MLP, 10)], levels=1)
    with pytest.raises(ValueError, match="fewer than one hidden unit"):
        width_cases(784, 10, 1000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--net", "resnet"], "--net 'resnet' is not NAME"),
        (["--net", "lenet:many"], "--net 'lenet:many' is not NAME"),
        (["--net", "mlp-1x512:99999"], "Sizes must lie in [1, 1198]"),
        (["--experiment", "widths", "--ratios", "1,x"], "--ratios takes numbers"),
        (["--experiment", "widths", "--ratios", "0.01"], "fewer than one hidden unit"),
    ],
)
def test_wrong_options_give_one_line(options, message, tmp_path):
    done = CliRunner().invoke(app, ["randomize", "--output", str(tmp_path), *options])
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_regularizers_stand_beside_the_papers(tmp_path):
    options = ["--experiment", "regularizers", "--size", SIZE, "--dropout", "--output", tmp_path]
    output, result = lcjax(*options, "--steps", 100, "--batch", 20, "--records", 5)
    assert (tmp_path / "figure2.png").exists()
    assert "46.65" not in output  # the three-layer net's
    assert "49.61" in output  # the paper's test error with weight decay
    assert "true labels, dropout" in output
    tests = from_dict(RandomizationTests, result["tests"])
    assert [tests.switched_on(row) for row in range(4)] == ["weight decay", "", "", "dropout"]  # Table 1's, and ours
    assert tests.plain.tolist() == [False, True, True, False]
    assert tests.rows(dropout=True).tolist() == [3]
    (line,) = tests.gains()
    assert line in output
    for words, row in (("weight decay", 0), ("dropout", 3)):
        assert f"{words} {100 * (tests.test_error[1] - tests.test_error[row]):+.2f}" in line
    stopping = 100 * (tests.held_out_error[1, -1] - tests.best_held_out_error[1])
    assert f"early stopping {stopping:+.2f}" in line


def test_widths_stand_beside_bourlard_and_wellekens(tmp_path):
    few = ["--size", SIZE, "--steps", 20, "--batch", 20, "--records", 2, "--output", tmp_path]
    output, result = lcjax("--experiment", "widths", "--ratios", "2,4", *few)
    assert (tmp_path / "width.png").exists()
    np.testing.assert_allclose(result["tests"]["ratio"], [85 / SIZE, 235 / SIZE])
    assert "200 9.3 13.1 40.6" in output


@pytest.mark.slow
def test_table_2_by_the_same_command(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 80, 80, 3)).astype(np.uint8), np.arange(60) % 12
    np.savez(tmp_path / "images.npz", x_train=images, y_train=labels, x_test=images[:24], y_test=labels[:24])
    options = ["--experiment", "regularizers", "--net", "inception-v3:24", "--data", f"npz:{tmp_path}/images.npz"]
    output, result = lcjax(*options, "--steps", 2, "--batch", 8, "--records", 1, "--output", tmp_path)
    tests = from_dict(RandomizationTests, result["tests"])
    assert [tests.switched_on(row) for row in range(7)] == [
        "crop and flip, weight decay, dropout", "crop and flip", "weight decay", "",
        "weight decay, dropout", "weight decay", "",
    ]  # fmt: skip
    assert tests.condition == ("true labels",) * 4 + ("random labels",) * 3
    assert tests.top == 5
    assert np.all(tests.test_top_error <= tests.test_error)
    for number in ("40.20", "19.62", "36.84"):  # the paper's top-1, top-5 and best errors without regularizers
        assert number in output
