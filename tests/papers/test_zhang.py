"""Tables of Zhang et al. (2017)."""

from lcjax.papers.zhang import TABLE_1, TABLE_2, paper_row, paper_rows


def test_rows_are_found_by_their_switches():
    off = {"crop": False, "decay": False, "dropout": False, "random_labels": False}
    assert paper_row("mlp-1x512", **off).test == 50.51
    assert paper_row("mlp-1x512", **{**off, "random_labels": True}).train == 99.34
    assert paper_row("small-inception", **{**off, "crop": True, "decay": True}).test == 89.05
    assert paper_row("mlp-1x512", **{**off, "dropout": True}) is None
    assert paper_row("inception-v3", **{**off, "crop": True, "decay": True, "dropout": True}).test_top == 93.92
    assert [len(paper_rows(net)) for net in ("small-alexnet", "mlp-3x512", "lenet")] == [5, 3, 0]
    assert (len(TABLE_1), len(TABLE_2)) == (19, 7)
