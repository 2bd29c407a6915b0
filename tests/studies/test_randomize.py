import dataclasses
import json

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import lcjax as lc
from lcjax.cli import app
from lcjax.complexity.randomization import corrupt_labels
from lcjax.studies.randomize import (
    CONDITIONS,
    Case,
    Randomization,
    condition_cases,
    randomization_tests,
    regularizer_cases,
    width_cases,
)
from lcjax.studies.zhang_protocol import NETS, TABLE1, Protocol, count_parameters, prepare

MLP, SIZE = NETS["mlp-1x512"], 60


@pytest.fixture(scope="module")
def tests():
    cases = (*condition_cases([(MLP, SIZE)], levels=3), Case(MLP, SIZE, decay=True))
    return randomization_tests(jax.random.key(0), lc.load_data("digits"), cases, Protocol(1500, batch=20, records=30))


def test_every_condition_is_fitted_and_only_the_true_ones_are_learned(tests):
    assert tests.condition[:6] == (
        "true labels", "corrupted labels", "random labels", "shuffled pixels", "random pixels", "gaussian pixels"
    )  # fmt: skip
    np.testing.assert_array_equal(tests.final_train_error, 0)
    error = dict(zip(tests.condition[:6], tests.test_error[:6], strict=True))
    assert error["true labels"] < 0.35
    assert error["shuffled pixels"] < 0.35
    assert error["true labels"] + 0.1 < error["corrupted labels"] < error["random labels"]
    for name in ("random labels", "random pixels", "gaussian pixels"):
        assert 0.8 < error[name] < 0.97  # 359 test examples, ten classes: guessing
    assert tests.slowdown[0] == 1
    assert tests.slowdown[2] > 1.5
    np.testing.assert_allclose(tests.slowdown, tests.steps_to_fit / tests.steps_to_fit[0])


def test_rules_are_read_off_the_records(tests):
    for row in range(len(tests.net)):
        step, loss, error = tests.recorded_step[row], tests.train_loss[row], tests.train_error[row]
        for found, met in ((tests.steps_to_fit, error == 0), (tests.steps_to_loss, loss <= 0.1)):
            expected = step[np.flatnonzero(met)[0]] if met.any() else np.nan
            np.testing.assert_equal(found[row], expected)
        assert tests.best_held_out_error[row] == tests.held_out_error[row].min()
    np.testing.assert_allclose(tests.ratio, (64 * 512 + 512 + 512 * 10 + 10) / SIZE)
    assert tests.rows(condition="true labels", decay=True).tolist() == [6]
    assert any("weight decay" in line and "early stopping" in line for line in tests.gains())


def test_a_run_sees_what_the_pure_functions_give():
    data = prepare(lc.load_data("digits"))
    images, labels, number = data.train.inputs[:30], data.train.targets[:30], np.arange(30)
    key = jax.random.key(3)
    see = Randomization(10)
    label_key, pixel_key = jax.random.split(key)
    for name, (pixels, corruption) in CONDITIONS.items():
        columns = {"pixels": pixels, "corruption": corruption}
        got_images, got_labels = see(key, number, images, labels, columns, train=True)
        expected = {
            "shuffled pixels": lambda: lc.shuffle_pixels(pixel_key, images),
            "random pixels": lambda: lc.random_pixels(pixel_key, images),
            "gaussian pixels": lambda: lc.gaussian_pixels(pixel_key, images, mean=0.0, standard_deviation=1.0),
        }.get(name, lambda: images)()
        np.testing.assert_array_equal(got_images, expected)
        np.testing.assert_array_equal(got_labels, corrupt_labels(label_key, labels, 10, corruption))
        np.testing.assert_array_equal(see(key, number, images, labels, columns, train=False)[1], labels)


def test_tables_of_cases():
    assert len(TABLE1) == 19
    cases = regularizer_cases([(net, 100) for net in NETS.values()], seeds=(0, 1))
    assert len(cases) == 2 * (19 + 5)
    assert sum(case.condition == "random labels" for case in cases) == 2 * 6
    cases = condition_cases([(MLP, 10)], levels=11)
    np.testing.assert_allclose([case.corruption for case in cases[:11]], np.linspace(0, 1, 11))
    assert len(cases) == 14
    cases = width_cases(784, 10, 20_000)
    ratios = [count_parameters(case.net.build(10), (28, 28, 1)) / 20_000 for case in cases]
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
    assert count_parameters(NETS[name].build(10), (28, 28, 3)) == count


def test_the_protocol_says_whose_choice_is_what():
    text = str(Protocol(1000, batch=64))
    assert text.index("stated by the paper") < text.index("momentum 0.9") < text.index("ours (slides: 128)")
    assert "1000, the rate times 0.95 every 391 steps" in text
    program = Protocol(782).program(MLP.build(10), Randomization(10))
    np.testing.assert_allclose([program.schedule(s / 782) for s in (0, 390, 391, 781)], [1, 1, 0.95, 0.95], rtol=1e-6)


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
    with pytest.raises(ValueError, match="levels=1"):
        condition_cases([(MLP, 10)], levels=1)
    with pytest.raises(ValueError, match="fewer than one hidden unit"):
        width_cases(784, 10, 1000)


def test_the_command_writes_results_and_goes_on(tmp_path):
    command = ["randomize", "--net", "mlp-1x512:60", "--steps", "40", "--batch", "20", "--levels", "2",
               "--records", "4", "--output", str(tmp_path)]  # fmt: skip
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "stated by the paper" in done.output
    assert "The paper's order: true labels" in done.output
    result = json.loads((tmp_path / "randomize.json").read_text())
    assert result["configuration"]["protocol"]["steps"] == 40
    assert len(result["tests"]["condition"]) == 5
    assert (tmp_path / "figure1.png").exists()
    again = CliRunner().invoke(app, [*command, "--json"])  # every run is read back
    assert json.loads(again.stdout)["tests"]["test_error"] == result["tests"]["test_error"]


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


@pytest.mark.parametrize(("experiment", "figure"), [("widths", "width.png"), ("regularizers", "figure2.png")])
def test_other_experiments(experiment, figure, tmp_path):
    options = ["--experiment", experiment, "--size", "60", "--ratios", "2,4", "--net", "mlp-1x512"]
    few = ["--steps", "20", "--batch", "20", "--records", "2", "--output", str(tmp_path)]
    done = CliRunner().invoke(app, ["randomize", *options, *few])
    assert done.exit_code == 0, done.output
    assert (tmp_path / figure).exists()
    if experiment == "regularizers":
        assert "53.35" not in done.output  # the three-layer net's
        assert "49.61" in done.output  # the paper's test error with weight decay
        assert "early stopping" in done.output
