"""IDX files against the bytes that were written, and MNIST against its published checksum."""

import gzip
import hashlib

import numpy as np
import pytest

import lcjax as lc
from lcjax.data.readers.idx import IMAGES, LABELS, read_idx, read_idx_folder


def idx_bytes(array, magic):
    header = magic.to_bytes(4, "big") + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for prefix, n in (("train", 120), ("t10k", 30)):
        images, labels = rng.integers(0, 256, (n, 5, 4)), np.arange(n) % 3
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images, IMAGES))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels, LABELS)))
    return tmp_path


def test_a_folder_keeps_the_official_test_split(folder):
    rng = np.random.default_rng(0)
    splits = read_idx_folder(folder)
    for split, n in (("train", 120), ("test", 30)):
        images, labels = splits[split]
        assert images.shape == (n, 5, 4, 1)
        np.testing.assert_array_equal(images[..., 0], rng.integers(0, 256, (n, 5, 4)))
        np.testing.assert_array_equal(labels, np.arange(n) % 3)
    data = lc.load_data(f"idx:{folder}", validation_fraction=0.25)
    assert data.train.inputs.shape == (90, 5, 4, 1)
    assert np.bincount(data.validation.targets).tolist() == [10, 10, 10]
    np.testing.assert_array_equal(data.test.inputs, splits["test"][0])


@pytest.mark.parametrize("damage", ["truncated", "longer", "magic", "header", "empty", "gzip", "cut gzip"])
def test_damaged_files_are_refused_by_name(folder, damage):
    path = folder / "train-images-idx3-ubyte"
    raw = path.read_bytes()
    new, problem = {
        "truncated": (raw[:-1], "is truncated: 2399 bytes for 120 x 5 x 4 values"),
        "longer": (raw + b"\0", "is longer than its header says: 2401 bytes"),
        "magic": (b"\0\0\x08\x02" + raw[4:], "magic number 2050, expected 2051"),
        "header": (raw[:7], "is truncated: 7 bytes do not hold the header of 16"),
        "empty": (b"", "magic number 0, expected 2051"),
        "gzip": (raw, "compressed as .gz, cannot be read: Not a gzipped file"),
        "cut gzip": (gzip.compress(raw)[:99], "compressed as .gz, cannot be read: Compressed file ended before"),
    }[damage]
    if "gzip" in damage:
        path.unlink()
        path = path.with_name(f"{path.name}.gz")
    path.write_bytes(new)
    with pytest.raises(ValueError, match=rf"train-images-idx3-ubyte.* {problem}"):
        read_idx_folder(folder)


def test_a_length_of_zero_does_not_hide_impossible_ones(tmp_path):
    (tmp_path / "a").write_bytes(IMAGES.to_bytes(4, "big") + bytes(4) + b"\xff" * 8)
    with pytest.raises(ValueError, match="a cannot be read: "):
        read_idx(tmp_path / "a", IMAGES)


@pytest.mark.parametrize(("dash", "test"), [(".", "t10k"), ("-", "test"), (".", "test")])
def test_other_names_of_the_files(folder, dash, test):
    expected = read_idx_folder(folder)
    for path in list(folder.iterdir()):
        prefix, kind, rest = path.name.split("-", 2)
        path.rename(folder / f"{prefix.replace('t10k', test)}-{kind}{dash}{rest}")
    for split, pair in read_idx_folder(folder).items():
        for array, other in zip(pair, expected[split], strict=True):
            np.testing.assert_array_equal(array, other)


def test_images_and_labels_of_different_lengths(folder):
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(119), LABELS)))
    with pytest.raises(ValueError, match="120 inputs and 119 targets"):
        lc.load_data(f"idx:{folder}")


def test_missing_folder_and_file(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="No folder"):
        read_idx_folder(tmp_path / "none")
    (folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"No file t10k-images-idx3-ubyte or t10k-images-idx3-ubyte\.gz"):
        read_idx_folder(folder)


def test_mnist_is_the_published_one(shared_data):
    raw = read_idx(shared_data / "mnist/t10k-images-idx3-ubyte.gz", IMAGES)
    digest = hashlib.md5(idx_bytes(raw, IMAGES), usedforsecurity=False).hexdigest()
    assert digest == "2646ac647ad5339dbf082846283269ea"


@pytest.mark.slow
def test_mnist_has_the_split_of_the_paper(shared_data):
    data = lc.load_data(f"idx:{shared_data / 'mnist'}")
    assert (data.train.targets.size, data.validation.targets.size, data.test.targets.size) == (50_000, 10_000, 10_000)
    assert data.classes == 10


def test_a_name_before_the_usual_ones_is_read_if_there_is_one_set(folder):
    for file in list(folder.iterdir()):
        file.rename(folder / f"emnist-letters-{file.name}")
    assert read_idx_folder(folder)["train"][0].shape == (120, 5, 4, 1)
    (folder / "emnist-digits-train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(
        FileNotFoundError, match=r"No file train-images-idx3-ubyte or .*, which holds emnist-digits-train-"
    ):
        read_idx_folder(folder)
