"""Classes and groups: which of them may rise."""

import numpy as np
import pytest

from lcjax.cli.curves.parts import note_rising
from lcjax.curves.readers.csv import read_curves

FALLING, RISING = np.array([0.4, 0.3, 0.2]), np.array([0.27, 0.3, 0.333])


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({"cat": FALLING, "dog": FALLING}, ""),
        ({"cat": FALLING, "owl": RISING}, "The error rises with size for 1 of 2 curves: owl."),
        ({"cat": RISING, "owl": RISING}, ""),
    ],
)
@pytest.mark.parametrize("metric", ["error", "accuracy"])
def test_some_curves_may_rise_but_not_all(errors, expected, metric):
    cells = {name: error if metric == "error" else 1 - error for name, error in errors.items()}
    columns = {"size": [100, 200, 400] * len(cells), "curve": np.repeat(list(cells), 3).tolist()}
    table, may_rise = note_rising(read_curves(columns | {metric: np.concatenate([*cells.values()])}))
    assert may_rise == bool(expected)
    words = expected if metric == "error" else expected.replace("error rises", "accuracy falls")
    assert [note for note in table.notes if " with size for " in note] == [words] * bool(words)
