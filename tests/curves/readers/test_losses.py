import pytest

from lcjax.curves.readers.csv import read_curves

TABLE = {"n_train": [500, 1000, 2000], "n_test": [1000] * 3, "acc": [0.74, 0.81, 0.85], "loss": [0.52, 0.39, 0.29]}


def rename(**names):
    return {names.get(name, name): cells for name, cells in TABLE.items()}


@pytest.mark.parametrize("metric", [None, "error"])
@pytest.mark.parametrize(
    "names", [{}, {"acc": "val_acc", "loss": "val_loss"}, {"acc": "auroc", "loss": "test/log_loss"}]
)
def test_a_loss_beside_another_metric_is_not_taken_for_the_error(names, metric):
    with pytest.raises(ValueError, match=r"may be 1 - .* or the .*loss .*; pass --metric \w+ or --metric \w+"):
        read_curves(rename(**names), metric)


def test_the_metric_decides_between_a_loss_and_an_accuracy():
    assert read_curves(TABLE, "accuracy").curve.error.round(2).tolist() == [[0.26, 0.19, 0.15]]
    assert read_curves(TABLE, "loss").curve.error.tolist() == [TABLE["loss"]]
    assert read_curves(TABLE, metric_column="loss").curve.error.tolist() == [TABLE["loss"]]


def test_a_column_of_errors_is_the_error_and_other_metrics_are_noted():
    table = read_curves(rename(acc="error"))
    assert table.curve.error.tolist() == [TABLE["acc"]]
    assert "Other metrics of the file: loss (--metric)." in table.notes
    both = rename(acc="test_error", loss="test_loss")
    with pytest.raises(ValueError, match=r"the error .* or the loss .* pass --metric error or --metric loss"):
        read_curves(both)
    assert read_curves(both, "error").curve.error.tolist() == [TABLE["acc"]]


def test_a_loss_alone_or_beside_training_metrics_is_read_and_noted():
    for names in ({"acc": "other"}, {"acc": "train_acc"}):
        table = read_curves(rename(**names))
        assert "The column 'loss' is used as error." in table.notes
        assert table.curve.error.tolist() == [TABLE["loss"]]
