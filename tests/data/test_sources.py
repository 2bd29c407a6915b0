"""Data sets by name: the result of each scheme, and defaults."""

import gzip
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import lcjax as lc


def test_digits_are_a_partition_of_scikit_learns():
    from sklearn.datasets import load_digits

    data = lc.load_data("digits", seed=3)
    parts = (data.train, data.validation, data.test)
    rows = np.concatenate([np.c_[part.inputs.reshape(-1, 64), part.targets] for part in parts])
    bunch = load_digits()
    expected = np.c_[bunch.data, bunch.target]
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])
    for part in parts:
        share = np.bincount(bunch.target) * part.targets.size / 1797
        assert np.abs(np.bincount(part.targets) - share).max() < 2
        assert part.inputs.shape[1:] == (8, 8, 1)
    assert data.train.inputs.dtype == np.uint8
    assert not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(data))


def test_defaults_and_the_seed_of_the_split():
    first, again, other = lc.load_data("digits"), lc.load_data("digits", seed=0), lc.load_data("digits", seed=1)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    sizes = [len(part.targets) for part in (first.train, first.validation, first.test)]
    assert sizes == [len(part.targets) for part in (other.train, other.validation, other.test)] == [1198, 240, 359]


def test_each_scheme_reaches_its_reader_and_only_libsvm_is_not_normalized(tmp_path):
    x, y = np.random.default_rng(0).integers(0, 9, (30, 4)).astype(float), np.arange(30) % 2
    np.savez(tmp_path / "set.npz", inputs=x, targets=y)
    cells = [[f"{i + 1}:{value}" for i, value in enumerate(row)] for row in x]
    rows = (" ".join([str(label), *row]) for row, label in zip(cells, y, strict=True))
    (tmp_path / "set.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    dense, sparse = lc.load_data(f"npz:{tmp_path / 'set.npz'}"), lc.load_data(f"libsvm:{tmp_path / 'set.gz'}")
    np.testing.assert_array_equal(dense.train.inputs, sparse.train.inputs)
    assert (sparse.offset, sparse.scale) == (0.0, 1.0)
    np.testing.assert_allclose(dense.offset, dense.train.inputs.mean(axis=0), rtol=1e-6)
    assert dense.name == f"npz:{tmp_path / 'set.npz'}"
    for scheme, missing in (
        ("idx", "No folder"),
        ("cifar10", "No file data_batch_1"),
        ("cifar100", "No file train.bin"),
        ("npz", "No file"),
        ("libsvm", "No file"),
        ("driving", "No file .*center_images"),
    ):
        with pytest.raises(FileNotFoundError, match=missing):
            lc.load_data(f"{scheme}:{tmp_path / 'none'}")


@pytest.mark.parametrize("name", ["", "mnist", "idx", "idx:", "digits:5", "ftp:there", "driving:"])
def test_unknown_names_list_the_known(name):
    with pytest.raises(ValueError, match=rf"Unknown data set '{name}'; known are digits, idx:DIR, .*driving:DIR"):
        lc.load_data(name)


@pytest.mark.parametrize(("argument", "value"), [("validation_fraction", 0.0), ("test_fraction", 1.0)])
def test_fractions_outside_the_open_interval(argument, value):
    with pytest.raises(ValueError, match=rf"{argument} must lie between 0 and 1, got {value}"):
        lc.load_data("digits", **{argument: value})


def test_heavy_packages_wait_for_their_use():
    code = "import sys, lcjax.data.sources; print([m for m in ('sklearn', 'tensorflow_datasets') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}, timeout=120
    )
    assert done.stdout.strip() == "[]"
