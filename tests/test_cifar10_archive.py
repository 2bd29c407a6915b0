"""The archive of CIFAR-10 that results were computed from: both sources, and the recorded fingerprint."""

import json
import lzma
import sys
from pathlib import Path

import numpy as np
import pytest

import lcjax as lc
from benchmarks import cifar10_archive
from lcjax.data import limit_training
from lcjax.data.examples import fingerprint

RESULTS = Path(__file__).parents[1] / "docs/results"
NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def write_archive(monkeypatch, folder, output):
    monkeypatch.setattr(sys, "argv", ["cifar10_archive", str(folder), str(output)])
    cifar10_archive.main()
    return np.load(output)


def test_both_layouts_give_the_same_archive(tmp_path, monkeypatch, capsys):
    images = np.random.default_rng(0).integers(0, 256, (6, 20, 32, 32, 3), np.uint8)
    labels = np.tile(np.arange(20, dtype=np.uint8) % 10, (6, 1))
    binary, arrays = tmp_path / "binary", tmp_path / "arrays"
    binary.mkdir()
    arrays.mkdir()
    for name, batch, numbers in zip(NAMES, images, labels, strict=True):
        pixels = batch.transpose(0, 3, 1, 2).reshape(len(batch), -1)
        np.concatenate([numbers[:, None], pixels], axis=1).tofile(binary / f"{name}.bin")
        with lzma.open(arrays / f"{name}_images.npy.xz", "wb") as file:
            np.save(file, batch)
    np.save(arrays / "train_labels.npy", labels[:5].ravel())
    np.save(arrays / "test_labels.npy", labels[5])
    first, second = (write_archive(monkeypatch, folder, tmp_path / f"{folder.name}.npz") for folder in (binary, arrays))
    assert set(first) == {"x_train", "y_train", "x_test", "y_test"}
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    np.testing.assert_array_equal(first["x_test"], images[5])
    data = lc.load_data(f"npz:{tmp_path / 'arrays.npz'}")
    assert data.fingerprint() in capsys.readouterr().out


@pytest.mark.slow
def test_the_archive_has_the_recorded_fingerprint(shared_data, monkeypatch, tmp_path):
    if not (shared_data / "cifar10").exists():
        pytest.skip("CIFAR-10 is not in the folder of data sets")
    recorded = json.loads((RESULTS / "predict-cifar10-quicknet/result.json").read_text())["configuration"]
    write_archive(monkeypatch, shared_data / "cifar10", tmp_path / "cifar10.npz")
    data = limit_training(lc.load_data(f"npz:{tmp_path / 'cifar10.npz'}"), recorded["splits"]["train"])
    head = repr((data.classes, data.tolerance, recorded["data"]))  # the recorded version included the archive's name
    assert fingerprint(data, head) == recorded["fingerprint"]
