"""Tables of Sharma et al. (2019): shapes, and numbers transcribed a second time from the paper."""

import math

import pytest

from lcjax.papers.sharma import DENSE_LOSSES, LOSSES, QUICK_LOSSES, TABLE_9, TABLES, paper_row, paper_rows, split_sizes


def test_tables_are_complete():
    assert all(len(column) == len(LOSSES) == 6 for row in TABLES.values() for column in row)
    assert len(TABLES) == 15
    assert (len(QUICK_LOSSES), len(DENSE_LOSSES), len(TABLE_9)) == (12, 7, 10)


def test_rows_of_fully_connected_networks():
    ratios = [paper_row("libsvm:x/dna.scale.gz", 3, loss).ratio for loss in LOSSES]
    assert ratios == [1.3, 3.6, 596.0, 4.4, 18.2, 2.9]
    row = paper_row("libsvm:x/dna.scale.gz", 3, "H+W2")
    assert (row.accuracy, row.pruned_accuracy) == (0.934, 0.931)
    assert math.isnan(row.quantized_accuracy)
    assert paper_row("libsvm:x/dna.scale.gz", 4, "H") is None
    assert paper_row("libsvm:x/dna.scale.gz", 3, "S") is None
    assert paper_rows("libsvm:w8a.gz", "3 hidden of 50,50,50", LOSSES)["H+W2+LCA"].ratio == 5063
    assert paper_rows("libsvm:w8a.gz", "3 hidden of 50,50,60", LOSSES) == {}
    assert paper_rows("digits", "1 hidden of 50", LOSSES) == {}


def test_rows_of_convolutional_networks():
    rows = paper_rows("npz:CIFAR-10.npz", "DenseNet", (*DENSE_LOSSES, "S"))
    assert rows["H+W+LCL"].quantized_accuracy == 0.889
    assert tuple(rows) == DENSE_LOSSES
    assert paper_rows("cifar10:/data", "QuickNet", ("S+W",))["S+W"] == (0.77, 0.76, 0.76, 6.95, 6.03)
    assert paper_rows("cifar100:/data/CIFAR-100", "DenseNet", DENSE_LOSSES) == {}


def test_splits_of_table_9():
    sizes = split_sizes("libsvm:data/a9a")
    assert sizes == (26049, 6512, 16281)
    assert sizes.validation_fraction() == pytest.approx(6512 / 32561)
    assert sizes.test_fraction() == pytest.approx(16281 / 48842)
    assert split_sizes("libsvm:data/unknown/") is None
