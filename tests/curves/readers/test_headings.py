"""Headings in words."""

import pytest

from lcjax.curves.readers.headings import curve_label, parse_heading

SIZES = [
    "N", "n_train", "nTrain", "num_examples", "Training size", "train_size", "dataset_size", "tokens", "#examples",
    "config.n_train", "params/train_samples", "Number of training examples", "sample size", "Seen Examples",
]  # fmt: skip
OTHERS = ["batch_size", "model size", "test size", "n_test", "train", "num", "Step", "epoch", "train_loss", "image"]


@pytest.mark.parametrize("text", SIZES)
def test_sizes(text):
    assert parse_heading(text).is_size


@pytest.mark.parametrize("text", OTHERS)
def test_no_sizes(text):
    assert not parse_heading(text).is_size


@pytest.mark.parametrize(
    ("text", "metric", "part"),
    [
        ("test_error", "error", "test"), ("Error rate", "error", ""), ("valAcc", "accuracy", "validation"),
        ("eval/loss", "loss", "validation"), ("metrics.test_roc_auc", "roc_auc", "test"), ("Top-1 error", "error", ""),
        ("top1_accuracy", "accuracy", ""), ("mean squared error", "mse", ""), ("R^2", "r2", ""), ("F1", "f1", ""),
        ("train_loss", "loss", "train"), ("calibration_error", "calibration_error", ""), ("acc", "accuracy", ""),
        ("validation_balanced_accuracy", "balanced_accuracy", "validation"), ("seconds", "", ""), ("model", "", ""),
    ],
)  # fmt: skip
def test_metrics_and_parts_of_the_data(text, metric, part):
    heading = parse_heading(text)
    assert (heading.metric, heading.part) == (metric, part)


@pytest.mark.parametrize("text", ["std", "error_std", "sem", "standard_error", "acc stderr", "loss__MIN", "error ± 1"])
def test_spreads(text):
    assert parse_heading(text).is_spread


def test_steps_and_percentages():
    assert parse_heading("global_step").is_time
    assert parse_heading("Accuracy (%)").is_percent
    assert parse_heading("error_pct").is_percent


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("lively-1 - test_error", "lively-1"), ("error_mlp", "mlp"), ("ResNet50 valAccuracy", "ResNet50"),
        ("test_loss/seed=0", "seed=0"), ("metrics.mlp.test_error", "mlp"), ("vgg", "vgg"),
    ],
)  # fmt: skip
def test_labels_of_curves(text, label):
    assert curve_label(text) == label


def test_a_long_heading_takes_little_time():
    assert parse_heading("a b " * 30_000).metric == ""
