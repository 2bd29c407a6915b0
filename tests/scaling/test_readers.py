"""Tables of training runs: usual names, derived columns, what is left out, and bad input."""

import numpy as np
import pytest

from lcjax.scaling.readers import read_runs

N, D = np.array([1e6, 1e6, 4e6, 4e6]), np.array([1e8, 4e8, 1e8, 4e8])
LOSS = np.array([3.6, 3.3, 3.2, 2.9])


@pytest.mark.parametrize(
    "names",
    [
        ("N", "D", "L"),
        ("params", "tokens", "loss"),
        ("Model Size", "train_tokens", "val_loss"),
        ("nParams", "dataSize", "nll"),
    ],
    ids=" ".join,
)
def test_columns_have_usual_names(names):
    table = read_runs(dict(zip(names, (N.tolist(), D.tolist(), LOSS.tolist()), strict=True)))
    np.testing.assert_array_equal(table.columns["params"], N)
    np.testing.assert_array_equal(table.columns["tokens"], D)
    np.testing.assert_array_equal(table.columns["loss"], LOSS)
    np.testing.assert_allclose(table.columns["compute"], 6 * N * D)
    assert table.notes[-1] == "Compute is 6 params tokens."


@pytest.mark.parametrize("absent", ["params", "tokens"])
def test_one_of_three_follows_from_the_others(absent):
    full = {"params": N, "tokens": D, "flops": 6 * N * D, "loss": LOSS}
    table = read_runs({name: column.tolist() for name, column in full.items() if name != absent})
    np.testing.assert_allclose(table.columns[absent], full[absent])
    assert absent.capitalize() in table.notes[-1]


def test_text_of_files_is_read(tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text(
        "run,params,tokens,train_loss,test_loss\na,10M,1e9,2,3.5\nb,10M,1e9,2,3.5\nc,40M,2B,2,\nd,40M,4B,2,3.0\n"
    )
    table = read_runs(file)
    assert table.columns["loss"].tolist() == [3.5, 3.0]
    assert table.columns["tokens"].tolist() == [1e9, 4e9]
    assert "1 of 4 rows lack a value and are left out." in table.notes
    assert "1 repeated rows are counted once." in table.notes
    assert len(read_runs(file, select={"run": "d"})) == 1
    assert read_runs(file, columns={"loss": "train_loss"}).columns["loss"].tolist() == [2, 2, 2]


BAD = {
    "nan": ({"loss": [np.nan] * 4}, "no row has all of params, tokens, loss"),
    "zero": ({"loss": [3.0, 0.0, 3.0, 3.0]}, r"row 2: loss must be .* \(leave a diverged run out\), got 0"),
    "negative": ({"loss": [3.0, 3.0, -1.0, 3.0]}, "row 3: loss .* got -1"),
    "infinite": ({"loss": [np.inf, 3.0, 3.0, 3.0]}, "row 1: loss .* got inf"),
    "no tokens": ({"tokens": [1e8, 0.0, 1e8, 1e8]}, "row 2: tokens must be a positive number"),
    "units": ({"compute": (60 * N * D).tolist()}, "compute is 10 times 6 params tokens in the median run, such as 6e"),
    "one unit": (
        {"compute": (6 * N * D * [1, 1, 10, 1]).tolist()},
        r"in run 3 \(loss 3.2\) compute is 10 times .* Correct the 1 run",
    ),
    "two losses": ({"val_loss": [1.0] * 4, "test_loss": [1.0] * 4}, "'val_loss' and 'test_loss' may both be loss"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused(case):
    change, message = BAD[case]
    columns = {"params": N.tolist(), "tokens": D.tolist(), "loss": LOSS.tolist()}
    with pytest.raises(ValueError, match=message):
        read_runs({**columns, **change})


def test_missing_columns_are_named():
    with pytest.raises(
        ValueError, match=r"no column for loss among params, tokens. Name it, as in columns=\{'loss': ...\}"
    ):
        read_runs({"params": N.tolist(), "tokens": D.tolist()})
    with pytest.raises(ValueError, match="no column for tokens or compute among params, loss"):
        read_runs({"params": N.tolist(), "loss": LOSS.tolist()})
    with pytest.raises(ValueError, match="there is no column 'x', only"):
        read_runs({"params": N.tolist(), "tokens": D.tolist(), "loss": LOSS.tolist()}, columns={"loss": "x"})
