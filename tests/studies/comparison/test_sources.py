"""Curves to compare from files, folders of collections and several curves in one file."""

import numpy as np
import pytest

from lcjax.curves.metrics import METRICS
from lcjax.studies.collection.measurements import Training, gather, write_measurements
from lcjax.studies.comparison.sources import read_compared


def write(path, rows, heading="size,error"):
    path.write_text("\n".join([heading, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def collect(folder, shift, repeats=(0, 1, 2)):
    folder.mkdir()
    trainings = [Training(n, r, {"accuracy": 1 - shift * n**-0.5}, 1.0) for n in (100, 400) for r in repeats]
    write_measurements(folder / "measurements.csv", gather(trainings))
    return folder


def test_files_and_folders_give_named_curves(tmp_path):
    first = write(tmp_path / "resnet.csv", [(100, 0.3), (200, 0.2)])
    second = write(tmp_path / "many.csv", [("a", 100, 0.4), ("a", 200, 0.3), ("b", 200, 0.1), ("b", 100, 0.2)],
                   "curve,size,error")  # fmt: skip
    found = read_compared([first, second])
    assert list(found.curves) == ["resnet", "a", "b"]
    np.testing.assert_array_equal(found.curves["b"].error, [0.2, 0.1])
    assert found.metric.name == "error"


def test_folders_of_collections_are_read_with_their_repeats(tmp_path):
    folders = [collect(tmp_path / "mlp", 1.0), collect(tmp_path / "lenet", 2.0, repeats=(2, 4))]
    found = read_compared([folders[0], folders[1] / "measurements.csv"], paired=True)
    assert list(found.curves) == ["mlp", "lenet"]
    assert found.metric.name == "accuracy"
    np.testing.assert_allclose(found.curves["lenet"].error, [0.2, 0.1])
    there = [~np.isnan(curve.replicates[:, 0]) for curve in found.curves.values()]
    assert [np.flatnonzero(rows).tolist() for rows in there] == [[0, 1, 2], [2, 3]]  # repeat 2 is that of both
    assert found.notes == ()


def test_equal_names_are_told_apart(tmp_path):
    paths = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        paths.append(write(tmp_path / folder / "curve.csv", [(100, 0.3), (200, 0.2)]))
    assert list(read_compared(paths).curves) == ["curve", "y: curve"]
    with pytest.raises(ValueError, match="Two curves are named 'x: curve'"):
        read_compared([paths[0], paths[0], paths[0]])


def test_repeats_are_paired_by_their_names_or_their_order(tmp_path):
    heading, seeds = "curve,size,seed,error", {"a": ("x", "y"), "b": ("y", "x")}
    rows = [(c, n, s, 0.3 + 0.1 * (s == "x")) for c, order in seeds.items() for n in (100, 200) for s in order]
    table = write(tmp_path / "named.csv", rows, heading)
    found = read_compared([table], paired=True, allow_rising=True)
    np.testing.assert_allclose(found.curves["a"].replicates, found.curves["b"].replicates)
    unnamed = write(tmp_path / "unnamed.csv", [(c, n, e) for c, n, _, e in rows], "curve,size,error")
    found = read_compared([unnamed], paired=True, allow_rising=True)
    assert found.notes == ("The repeats are paired in the order in which each curve lists them.",)


def test_wrong_files_are_refused(tmp_path):
    good = write(tmp_path / "good.csv", [(100, 0.3), (200, 0.2)])
    for rows, message in (
        ([(100, 0.3), (200, 24.1)], "'wrong' mixes units: error 0.3 at 100, but 24.1 at 200"),
        ([(100, 0.2), (200, 0.4)], "'wrong' rises with size"),
        ([(100, 0.2)], "'wrong' has 1 size; at least two are needed"),
    ):
        with pytest.raises(ValueError, match=message):
            read_compared([good, write(tmp_path / "wrong.csv", rows)])
    with pytest.raises(ValueError, match="at least two curves, got 1: give another file"):
        read_compared([good])
    rising = write(tmp_path / "wrong.csv", [(100, 0.2), (200, 0.4)])
    assert len(read_compared([good, rising], allow_rising=True).curves) == 2
    with pytest.raises(ValueError, match=r"different metrics: error in .*good\.csv, accuracy in .*Name one"):
        read_compared([good, collect(tmp_path / "mlp", 1.0)])
    with pytest.raises(FileNotFoundError, match="No file"):
        read_compared([good, tmp_path / "absent.csv"])
    with pytest.raises(ValueError, match="loss"):
        read_compared([tmp_path / "mlp", good], METRICS["loss"])
