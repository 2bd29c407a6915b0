"""A recorded drive: contiguous stretches, balanced steering, and refused files."""

import io
import lzma

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.data.readers.driving import GAP, PERIODS, read_driving_folder
from lcjax.data.subsets import HoldOut, contiguous_blocks, random_order

N = 900


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write(folder, images, steering, column="steering"):
    with lzma.open(folder / "center_images.npy.xz", "wb", preset=0) as file:
        np.save(file, images)
    rows = "".join(f"t{i},{value}\n" for i, value in enumerate(steering))
    (folder / "driving_log.csv").write_text(f"timestamp,{column}\n{rows}")
    return folder


@pytest.fixture
def drive(tmp_path):
    """Write a drive whose images contain their numbers; two thirds of it go straight."""
    steering = np.where(np.arange(N) % 3 == 0, np.where(np.arange(N) % 2, 0.5, -0.25), 0.0)
    return write(tmp_path, np.arange(N, dtype=np.uint16).reshape(N, 1, 1, 1), steering), steering.astype(np.float32)


def test_stretches_are_balanced_within_each_split(drive):
    folder, steering = drive
    splits = read_driving_folder(folder, HoldOut(seed=7, validation_fraction=0.25, test_fraction=0.2))
    key = jax.random.key(7)
    blocks = contiguous_blocks(jax.random.fold_in(key, 0), N, (0.6, 0.2, 0.2), periods=PERIODS, gap=GAP)
    assert (PERIODS, GAP) == (6, 13)
    for number, (part, block) in enumerate(zip(("train", "validation", "test"), blocks, strict=True)):
        images, targets = splits[part]
        straight, turning = block[steering[block] == 0], block[steering[block] != 0]
        order = random_order(jax.random.fold_in(key, 1 + number), straight.size)
        expected = np.sort(np.concatenate([turning, straight[order[: round(turning.size / 2)]]]))
        np.testing.assert_array_equal(images[:, 0, 0, 0], expected)
        np.testing.assert_array_equal(targets, steering[expected])
        assert abs((targets == 0).mean() - 1 / 3) < 0.01


def test_the_seed_and_the_shares_of_load_data_reach_the_split(drive):
    folder, _ = drive
    data = lc.load_data(f"driving:{folder}", seed=3, validation_fraction=0.5, test_fraction=0.4)
    expected = read_driving_folder(folder, HoldOut(3, 0.5, 0.4))
    assert data.classes == 0
    for part, (images, targets) in zip((data.train, data.validation, data.test), expected.values(), strict=True):
        np.testing.assert_array_equal(part.inputs, images)
        np.testing.assert_array_equal(part.targets, targets)


@pytest.mark.parametrize(
    ("steering", "column", "message"),
    [
        ([0, 0.1], "steering", "has 3 images and 2 steering commands"),
        ([0, 0.1, 0], "angle", r"driving_log\.csv has no column steering; its columns are timestamp, angle"),
        ([0, "left", 0], "steering", r"driving_log\.csv, line 3: steering 'left' is not a number"),
        ([0, "", 0], "steering", r"driving_log\.csv, line 3: steering '' is not a number"),
        ([0, "0_1", 0], "steering", r"line 3: steering '0_1' is not a number"),
        ([0, "\u0660", 0], "steering", r"line 3: steering '\u0660' is not a number"),
        ([0, 1e9, 0], "steering", r"line 3: steering 1e\+09 is not in \[-1, 1\]"),
        ([0, "nan", 0], "steering", r"line 3: steering nan is not in"),
        ([0, "1" * 200_000, 0], "steering", r"driving_log\.csv cannot be read: field larger than"),
    ],
)
def test_a_bad_log_is_refused(tmp_path, steering, column, message):
    write(tmp_path, np.zeros((3, 2, 2, 3), np.uint8), steering, column)
    with pytest.raises(ValueError, match=message):
        read_driving_folder(tmp_path, HoldOut())


def test_bad_images_and_missing_files_are_refused(tmp_path):
    write(tmp_path, np.zeros((3, 2, 2, 3), np.uint8), [0, 0, 0])
    images = tmp_path / "center_images.npy.xz"
    for raw, message in (
        (b"not xz", "cannot be read: Input format"),
        (lzma.compress(b"no array"), "cannot be read"),
        (lzma.compress(npy(np.uint8(3))), r"must hold images .*, got uint8 of shape \(\)"),
        (lzma.compress(npy(np.zeros((3, 2, 2, 3)))), "must hold images .*, got float64"),
    ):
        images.write_bytes(raw)
        with pytest.raises(ValueError, match=rf"center_images\.npy\.xz.* {message}"):
            read_driving_folder(tmp_path, HoldOut())
    (tmp_path / "driving_log.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"No file .*driving_log\.csv"):
        read_driving_folder(tmp_path, HoldOut())


@pytest.mark.slow
def test_the_papers_drive_is_balanced(shared_data):
    data = lc.load_data(f"driving:{shared_data / 'driving'}")
    for part in (data.train, data.validation, data.test):
        assert part.inputs.shape[1:] == (22, 66, 3)
        assert abs((part.targets == 0).mean() - 1 / 3) < 0.01
    held_out = data.validation.targets.size + data.test.targets.size
    assert 0.2 < held_out / (held_out + data.train.targets.size) < 0.5
