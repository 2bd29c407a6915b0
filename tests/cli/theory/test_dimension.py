"""`lcjax dimension` from the command line, and its table."""

import dataclasses
import json

import numpy as np
import pytest

from lcjax.plots.dimension import plot_dimensions
from lcjax.studies.dimension import DimensionTable
from lcjax.studies.prediction.bottlenecks import BottleneckSweep
from lcjax.theory.dimension import EffectiveDimension


@pytest.mark.slow
def test_table_figure_and_file_agree(lcjax, tmp_path):
    cheap = ["--net", "mlp:50", "--net", "mlp:3", "--size", "120", "--steps", "20", "--widths", "1,2,5"]
    code, out, _ = lcjax("dimension", *cheap, "--output", tmp_path)
    assert code == 0
    kept = json.loads((tmp_path / "dimension.json").read_text())["dimension"]
    assert kept["name"] == ["mlp 50", "mlp 3"]
    assert kept["parameters"] == [64 * h + h + h * 10 + 10 for h in (50, 3)]
    assert [one["width"] for one in kept["sweeps"]] == [[1, 2, 5], [1, 2]]  # three units have no bottleneck of five
    for name in ("dimension.png", "dimension.svg"):
        assert (tmp_path / name).stat().st_size > 0
    errors, told = (line.split() for line in out.splitlines() if line.strip().startswith("mlp 50"))
    assert errors[-1] == f"{100 * (1 - kept['sweeps'][0]['reference']):.1f}"
    assert told[2] == f"{kept['parameters'][0]:,}"
    assert told[4] == str(kept["dimension"][0])
    assert told[-1] == "2"  # the paper's, for 50 units


@pytest.mark.slow
def test_shards_have_a_row_each(lcjax, tmp_path):
    cheap = ["--fractions", "0.1,0.2", "--steps", "20", "--widths", "1,2"]
    code, out, _ = lcjax("dimension", *cheap, "--output", tmp_path)
    assert code == 0
    kept = json.loads((tmp_path / "shard_dimensions.json").read_text())["dimensions"]
    assert kept["size"] == [120, 240]
    assert (tmp_path / "shard_dimensions.png").stat().st_size > 0
    rows = [line.split() for line in out.splitlines() if line.strip().startswith(("120", "240"))]
    assert [row[-1] for row in rows] == [str(width) for width in kept["saturation"]]


def test_the_figure_draws_the_numbers():
    from matplotlib.figure import Figure

    accuracy, reference = np.array([0.4, 0.9]), np.array(0.95)
    found = EffectiveDimension(np.array(2), np.array(True), np.array([0.9, 0.01]))
    some = {"difference_error": accuracy, "replicates": accuracy[None], "neighbor_accuracy": accuracy}
    one = BottleneckSweep(
        np.array([1, 3]), accuracy, reference=reference, neighbor_reference=reference, estimate=found, intrinsic={},
        **some,
    )  # fmt: skip
    two = dataclasses.replace(one, accuracy=np.array([0.5, 0.96]))
    table = DimensionTable(("a", "b"), np.array([90, 10]), 100, 1, np.zeros(2), np.array([3, 3]), (one, two))
    axes = Figure().subplots()
    plot_dimensions(table, axes)
    for sweep, (error, ring, without) in zip((one, two), (axes.lines[:3], axes.lines[3:]), strict=True):
        np.testing.assert_allclose(error.get_ydata(), 1 - sweep.accuracy)
        assert (ring.get_xdata(), without.get_ydata()) == ([3], [1 - reference])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a: 3", "b: 3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--net", "lenet:6"], "--net 'lenet:6' is neither lenet:FILTERS,FILTERS nor mlp:UNITS"),
        (["--net", "mlp:0"], "'--net': expected an integer from 1 to 1000000, got '0'"),
        (["--net", "mlp:9", "--net", "mlp:8", "--fractions", "0.5,1"], "--fractions measures the shards of one net"),
        (["--net", "vgg"], "nor one of mlp, lenet, driving"),
        (["--net", "vgg16"], "vgg16 halves an image five times and needs at least 32 pixels per side, got (8, 8)"),
        (["--widths", "2,1"], "--widths must be distinct and ascending, got '2,1'"),
        (["--size", "100000"], "'size' is 100000 in row 0: sizes must be whole numbers in [1, 1198]"),
    ],
)
def test_wrong_options_are_one_line(lcjax, tmp_path, arguments, message):
    code, _, err = lcjax("dimension", *arguments, "--output", tmp_path)
    assert code == 1 + ("expected" in err or "ascending" in err)
    assert message in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
