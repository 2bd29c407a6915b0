"""Losses by name: settings, switches and pairs."""

import pytest

from lcjax.models.vision.densenet import DenseNet
from lcjax.models.vision.quicknet import QuickNet
from lcjax.papers.sharma import DENSE_LOSSES, LOSSES, QUICK_LOSSES
from lcjax.studies.compression.losses import PENALTIES, Grid, loss_of, model_of, pairs, settings_of


def test_the_papers_grids():
    counts = {name: len(settings_of(name, Grid())) for name in LOSSES}
    assert counts == {"H": 2, "H+W2": 8, "H+W1": 8, "H+LCA": 10, "H+W2+LCA": 40, "H+W1+LCA": 40}
    assert set(PENALTIES.values()) == {"l1", "l2", "vc", "vc/head"}
    grid = Grid((1.0,), (2.0,), (3.0,))
    assert settings_of("S+W+BN+LCA+D", grid) == [{"learning_rate": 3.0, "l2": 1.0, "vc": 2.0}]
    assert settings_of("H+W1+LCL+D", grid) == [{"learning_rate": 3.0, "l1": 1.0, "vc/head": 2.0}]


def test_losses_switch_on_what_their_names_say():
    quick = QuickNet()
    assert model_of("S+W+LCA", quick, 0.5) is quick
    assert model_of("S+W+D+BN", quick, 0.5) == QuickNet(dropout=0.5, batch_norm=True)
    assert model_of("H+D", DenseNet(), 0.2) == DenseNet(dropout=0.2)
    assert loss_of("H+W2").__name__ == "multiclass_hinge"
    with pytest.raises(ValueError, match="'H\\+BN' needs a model with `batch_norm`; DenseNet has none"):
        model_of("H+BN", DenseNet(), 0.2)


@pytest.mark.parametrize("name", ["", "Q", "W", "H+W3", "H+W+W2", "H+LCA+LCA"])
def test_unknown_losses(name):
    with pytest.raises(ValueError, match="Unknown loss"):
        settings_of(name, Grid())


def test_pairs_of_the_papers_tables():
    assert pairs(LOSSES) == [("H", "H+LCA"), ("H+W2", "H+W2+LCA"), ("H+W1", "H+W1+LCA")]
    assert len(pairs(QUICK_LOSSES)) == 7
    assert pairs(DENSE_LOSSES) == [("H+W+D", "H+W+LCL+D"), ("H+W", "H+W+LCL"), ("H+W1", "H+W1+LCL")]
    assert pairs(("H+LCA",)) == []
