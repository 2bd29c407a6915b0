"""Dimension by shard size: the sweeps of each shard, the report, the figure."""

import json

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

import lcjax as lc
from lcjax.plots.dimension import plot_accuracy_by_width
from lcjax.records import from_dict
from lcjax.studies.prediction.bottlenecks import measure_dimension
from lcjax.studies.prediction.shard_dimensions import ShardDimensions, measure_dimension_by_shard
from lcjax.theory.widths.saturation import saturation_dimension

OPTIONS = {"fractions": (0.5, 0.25), "seeds": 2, "widths": (1, 2, 4)}


@pytest.fixture(scope="module")
def table(key, small, recipe, tmp_path_factory):
    folder, events = tmp_path_factory.mktemp("shards"), []
    result = measure_dimension_by_shard(key, small, recipe, folder=folder, on_progress=events.append, **OPTIONS)
    return result, folder, events


@pytest.mark.slow
def test_each_shard_has_the_sweep_that_it_has_alone(table, key, small, recipe):
    result, *_ = table
    np.testing.assert_array_equal(result.size, [60, 120])
    runs = lc.Runs.grid(recipe.program, seed=range(2), size=[60, 120], learning_rate=recipe.learning_rate)
    trained = lc.sweep(key, small.without_test(), runs, keep=np.ones(4, bool))
    np.testing.assert_allclose(result.train_error, trained.train_error[:, -1].reshape(2, 2).mean(axis=0), atol=0.01)
    alone = measure_dimension(
        key, small.without_test(), recipe, trained, [1, 3], widths=(1, 2, 4), margin=recipe.margin
    )
    np.testing.assert_allclose(result.sweeps[1].accuracy, alone.accuracy, atol=1.1 / 120)
    for i, sweep in enumerate(result.sweeps):
        assert sweep.replicates.shape == (2, 3)
        assert result.dimension[i] == int(sweep.estimate.value)
        saturation = saturation_dimension(sweep.width, sweep.accuracy, sweep.difference_error)
        assert result.saturation[i] == int(saturation.value)
    assert result.sweeps[1].reference > result.sweeps[0].reference


@pytest.mark.slow
def test_the_report_can_be_read_and_drawn(table):
    result, folder, events = table
    written = json.loads((folder / "shard_dimensions.json").read_text())
    again = from_dict(ShardDimensions, written["dimensions"])
    for old, new in zip(jax.tree.leaves(result), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(old, new, rtol=1e-6)
    assert {event.stage for event in events} >= {"train 4 networks", "60 examples: fine-tune 6 bottlenecks"}
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    plot_accuracy_by_width(again, axes)
    figure.canvas.draw()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["120 examples", "60 examples", "no bottleneck", "not inferior", "saturated"]
    drawn = [container[0].get_xydata() for container in axes.containers]
    for line, sweep in zip(drawn, result.sweeps, strict=True):
        np.testing.assert_allclose(line[:, 1], 100 * np.asarray(sweep.accuracy), rtol=1e-6)
        np.testing.assert_allclose(line[:, 0], sweep.width, atol=0.2)


def test_wrong_arguments_are_refused_before_training(key, small, recipe):
    with pytest.raises(ValueError, match="at least 1, got 0"):
        measure_dimension_by_shard(key, small, recipe, seeds=0)
    with pytest.raises(ValueError, match=r"16 features of the network, got widths \(1, 17\)"):
        measure_dimension_by_shard(key, small, recipe, widths=(1, 17))
