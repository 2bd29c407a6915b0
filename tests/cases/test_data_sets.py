"""Small data sets that are read, refused in one line, or read with a caution: the file, and what is right."""

import os
from pathlib import Path

import numpy as np
import pytest

import lcjax as lc
from lcjax.data.balance import check_targets, check_tolerance
from lcjax.data.subsets import shard_sizes

CASES = Path(os.environ.get("LCJAX_SHARED", Path(__file__).parents[3] / "shared"), "cases")
WHOLE = "whole numbers with .* different values, too many for classes. If they are quantities, pass regression=True"

# Source: classes (0 for a regression), parts of the cautions in their order.
READ = {
    "npz:05-rare-classes/none_in_validation_and_test.npz": (
        2, ["validation split has no example of class 1 (8 of 400 in", "test split has no example of class 1 (8"],
    ),
    "npz:05-rare-classes/none_in_validation.npz": (2, ["validation split has no example of class 1 (8 of 400 in"]),
    "npz:05-rare-classes/none_in_test.npz": (2, ["test split has no example of class 1 (8 of 400 in"]),
    "npz:05-rare-classes/three_positives.npz": (
        2, [
            "training set has only 2 examples of class 1", "validation split has no example of class 1 (2 of 333 in",
            "test split has only 1 example of class 1 (of 100)",
        ],
    ),
    "npz:05-rare-classes/third_class_missing_in_test.npz": (
        3, ["validation split has only 1 example of class 2", "test split has no example of class 2 (4 of 250 in"],
    ),
    "npz:06-regression-units/prices.npz": (0, ["targets have a standard deviation of 7.76e+04: nearly every"]),
    "npz:06-regression-units/prices_measure.npz": (0, ["targets have a standard deviation of 7.76e+04: nearly"]),
    "npz:06-regression-units/tiny_units.npz": (0, ["median of the training targets is closer than that to 100 %"]),
    "libsvm:06-regression-units/prices.libsvm": (0, ["targets have a standard deviation of 7.82e+04: nearly every"]),
    "libsvm:08-tracebacks/hashed_26_bits.libsvm": (2, []),
    "libsvm:08-tracebacks/hashed_31_bits.libsvm": (2, []),
    "libsvm:08-tracebacks/one_huge_index.libsvm": (2, []),
    "npz:10-images-and-labels/names_images_labels.npz": (3, []),
    "npz:10-images-and-labels/names_capital.npz": (3, []),
    "libsvm:08-tracebacks/hashed_20_bits.libsvm": (2, ["validation split has only 2 examples of class 0 (of 5)"]),
    "idx:10-images-and-labels/dotted": (3, []),
    "idx:10-images-and-labels/test_prefix": (3, []),
    "npz:10-images-and-labels/labels_n_1.npz": (3, []),
    "npz:10-images-and-labels/labels_one_hot.npz": (3, []),
    "npz:10-images-and-labels/labels_one_hot_float.npz": (3, []),
    "npz:10-images-and-labels/labels_text.npz": (3, []),
    "npz:10-images-and-labels/labels_bytes.npz": (3, []),
    "npz:10-images-and-labels/labels_float_whole.npz": (0, ["with only 3 different values, all whole"]),
    "npz:10-images-and-labels/labels_bool.npz": (2, []),
    "npz:10-images-and-labels/images_no_channel.npz": (3, []),
}  # fmt: skip
REFUSED = {
    "npz:06-regression-units/whole_prices.npz": WHOLE,
    "libsvm:06-regression-units/whole_prices.libsvm": WHOLE,
    "libsvm:06-regression-units/ages.libsvm": WHOLE,
    "npz:10-images-and-labels/images_channels_first.npz": r"channels first; .* np\.moveaxis\(inputs, 1, -1\)",
    "npz:10-images-and-labels/names_unnamed.npz": r"it holds arr_0, arr_1, not .* np\.savez\(file, inputs=",
}
CURVES = {
    "flat": 0.1, "flat_noise": 0.3, "cliff": 0.1, "zeros_at_end": None, "two_sizes": 0.1, "huge_losses": 6e7,
    "tiny_losses": 6e-11, "curved_start": 0.05,
}  # fmt: skip

SHORT = ("flat_noise", "zeros_at_end", "two_sizes")  # fitted in the slow run


def located(source):
    scheme, _, name = source.partition(":")
    path = CASES / name
    if not path.exists():
        pytest.skip(f"small inputs not found: no {path} (set LCJAX_SHARED)")
    return f"{scheme}:{path}"


@pytest.mark.parametrize("source", READ)
def test_a_data_set_is_read_with_its_cautions(source):
    classes, parts = READ[source]
    data = lc.load_data(located(source))
    assert data.classes == classes
    cautions = check_targets(data)
    assert len(cautions) == len(parts)
    for caution, part in zip(cautions, parts, strict=True):
        assert part in caution


@pytest.mark.parametrize("source", REFUSED)
def test_a_data_set_is_refused_in_one_line(source):
    with pytest.raises(ValueError, match=REFUSED[source]) as refusal:
        lc.load_data(located(source))
    assert "\n" not in str(refusal.value)
    assert source.rpartition("/")[2] in str(refusal.value)


def test_labels_with_a_decimal_point_are_said_to_be_classes():
    source = located("libsvm:06-regression-units/half_steps.libsvm")
    data = lc.load_data(source)
    assert data.classes == 15
    assert check_targets(data)[0].startswith("The targets were taken as 15 classes with 6.67 training examples each")
    assert lc.load_data(source, regression=True).classes == 0


@pytest.mark.parametrize(
    ("name", "tolerance"), [("whole_prices.npz", 2e4), ("whole_prices.libsvm", 2e4), ("ages.libsvm", 5.0)]
)
def test_whole_numbers_are_a_regression_on_request(name, tolerance):
    scheme = name.rpartition(".")[2]
    data = lc.load_data(located(f"{scheme}:06-regression-units/{name}"), regression=True, tolerance=tolerance)
    assert (data.classes, data.tolerance) == (0, tolerance)
    assert 0.3 < data.chance_error() < 1
    assert check_targets(data) == []


def test_hashed_indices_keep_the_columns_that_occur():
    data = lc.load_data(located("libsvm:08-tracebacks/hashed_31_bits.libsvm"))
    assert data.train.inputs.shape[1] < 1000
    assert data.notes[0].startswith(f"Kept {data.train.inputs.shape[1]} of 2,147,483,647 columns")


def test_too_few_examples_for_the_classes_of_whole_numbers_name_the_regression():
    data = lc.load_data(located("libsvm:06-regression-units/half_steps.libsvm"))
    with pytest.raises(ValueError, match=r"but there are 15 classes\. Train on .* are quantities, pass --regression"):
        shard_sizes(len(data.train.targets), (0.03125, 1.0), classes=data.classes)


def test_a_tolerance_that_makes_every_prediction_correct_is_refused():
    with pytest.raises(ValueError, match=r"within the tolerance, 0\.1, of the median .* is 0\.00129 \(--tolerance 0"):
        check_tolerance(lc.load_data(located("npz:06-regression-units/tiny_units.npz")))


def test_a_tolerance_in_proportion_has_no_caution():
    source = located("npz:06-regression-units/tiny_units.npz")
    assert check_targets(lc.load_data(source, tolerance=5e-4)) == []
    assert check_targets(lc.load_data(source)) != []


def test_seconds_since_1970_are_normalized():
    seconds = 1.7e9 + 20 * np.random.default_rng(0).normal(size=(60, 1))
    data = lc.data_from_arrays(seconds, (seconds[:, 0] > 1.7e9).astype(int))
    assert len(np.unique(data.train.inputs)) == data.train.inputs.size
    np.testing.assert_allclose(np.std((data.train.inputs - data.offset) * data.scale), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SHORT else pytest.mark.acceptance) for name in CURVES]
)
def test_a_fit_prints_no_limits_that_are_not_numbers(lcjax, tmp_path, name):
    path = CASES / "10-images-and-labels" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"small inputs not found: no {path} (set LCJAX_SHARED)")
    target = [] if CURVES[name] is None else ["--target-error", CURVES[name]]
    status, output, errors = lcjax("fit", path, *target, "--output", tmp_path)
    assert status == 0, errors
    assert not {"nan", "inf", "-inf"} & set(output.replace(",", " ").split())
    assert "Warning" not in errors


@pytest.mark.parametrize("name", ["none_in_validation_and_test", "none_in_validation", "three_positives"])
def test_no_target_is_answered_from_a_split_that_lacks_a_class(lcjax, tmp_path, name):
    source = located(f"npz:05-rare-classes/{name}.npz")
    settings = ["--seeds", 2, "--steps", 60, "--epochs", 0, "--dimension", 2, "--output", tmp_path]
    status, _, errors = lcjax("predict", "--data", source, "--model", "mlp", *settings, "--target-error", 0.005)
    assert status == 1
    assert "validation split has no example of class 1 (" in errors


@pytest.mark.acceptance
def test_errors_of_zero_are_drawn_with_the_caution(lcjax, tmp_path):
    source = located("npz:05-rare-classes/none_in_validation_and_test.npz")
    settings = ["--seeds", 2, "--steps", 60, "--epochs", 0, "--dimension", 2, "--output", tmp_path]
    status, output, errors = lcjax("predict", "--data", source, "--model", "mlp", *settings)
    assert status == 0, errors
    assert "Caution: The validation split has no example of class 1 (8 of 400 in training)" in " ".join(output.split())
