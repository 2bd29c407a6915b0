"""Tables of runs: grids, crossed tables, and values reshaped to the grid."""

import numpy as np
import pytest

from lcjax.data.shards import independent_shards
from lcjax.training import Runs


def test_a_grid_is_the_product_in_the_order_of_its_arguments(program):
    runs = Runs.grid([program, program], seed=[3, 5], size=[10, 20, 40], learning_rate=0.1)
    expected = [(p, seed, size) for p in (0, 1) for seed in (3, 5) for size in (10, 20, 40)]
    assert list(zip(runs.program, runs.columns["seed"], runs.columns["size"], strict=True)) == expected
    assert runs.columns["learning_rate"].tolist() == [0.1] * 12
    assert runs.columns["size"].dtype.kind == "i"
    assert runs.axes == (2, 2, 3)


def test_a_single_program_and_numbers_make_no_axis(program):
    runs = Runs.grid(program, size=30, seed=range(4), learning_rate=0.1, shards=independent_shards)
    assert runs.axes == (4,)
    assert runs.shards is independent_shards
    assert Runs.grid(program, size=30, seed=0, learning_rate=0.1).axes == ()
    assert Runs.grid([program], size=30, seed=0, learning_rate=0.1).axes == (1,)


def test_values_are_put_back_into_the_axes(program):
    runs = Runs.grid([program], seed=[3, 5], size=[10, 20, 40], learning_rate=0.1)
    np.testing.assert_array_equal(runs.unstack(runs.columns["size"])[0], [[10, 20, 40]] * 2)
    curves = np.arange(24).reshape(6, 4)
    np.testing.assert_array_equal(runs.unstack(curves)[0, 1, 2], curves[5])
    with pytest.raises(ValueError, match="Got 5 values to unstack for 6 runs"):
        runs.unstack(np.zeros(5))


def test_rows_are_no_grid_but_can_be_crossed(program):
    runs = Runs.grid(program, seed=[3, 5, 7], size=20, learning_rate=0.1).rows([2, 0])
    with pytest.raises(ValueError, match=r"table of 2 runs is not a grid: make it by Runs\.grid or Runs\.cross"):
        runs.unstack(np.zeros(2))
    wide = runs.cross(learning_rate=0.01, bottleneck_width=[1, 2, 3])
    assert wide.columns["seed"].tolist() == [7, 7, 7, 3, 3, 3]
    assert wide.columns["bottleneck_width"].tolist() == [1, 2, 3] * 2
    assert wide.columns["learning_rate"].tolist() == [0.01] * 6
    assert wide.axes == (2, 3)


def test_values_with_axes_are_refused(program):
    with pytest.raises(ValueError, match=r"Column 'size' of a grid must be a number or a sequence, got shape \(2, 1\)"):
        Runs.grid(program, size=np.ones((2, 1)))
