"""CIFAR's own files: both layouts against the bytes that were written; only arrays are unpickled."""

import dataclasses
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import lcjax as lc
from lcjax.data.readers import pickles
from lcjax.data.readers.cifar import read_cifar10, read_cifar100


def images(seed, n):
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), np.uint8)


def rows(pixels):
    """Flatten an image as CIFAR stores it: red, green, blue, each row by row."""
    return np.stack([np.concatenate([image[:, :, c].ravel() for c in range(3)]) for image in pixels])


def write(path, pixels, labels, layout, *, coarse=None, protocol=2):
    if layout == "binary":
        columns = [labels[:, None]] if coarse is None else [coarse[:, None], labels[:, None]]
        np.concatenate([*columns, rows(pixels)], axis=1).astype(np.uint8).tofile(f"{path}.bin")
        return
    name = "labels" if coarse is None else "fine_labels"
    batch = {"data": rows(pixels), name: labels.tolist(), "batch_label": "one of five"}
    if coarse is not None:
        batch["coarse_labels"] = coarse.tolist()
    path.write_bytes(pickle.dumps({key.encode(): value for key, value in batch.items()}, protocol=protocol))


def write_cifar10(folder, layouts, n=40):
    folder.mkdir(parents=True, exist_ok=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for i, (name, layout) in enumerate(zip(names, layouts, strict=True)):
        write(folder / name, images(i, n), np.arange(n) % 10, layout, protocol=(2, 3, 4, 5)[i % 4])
    return folder


def write_cifar100(folder, layout, n=200):
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(("train", "test")):
        write(folder / name, images(i, n), np.arange(n) % 100, layout, coarse=np.arange(n) % 20)
    return folder


def test_cifar10_is_what_an_archive_of_its_arrays_is(tmp_path):
    """The committed results of CIFAR-10 were computed from such an archive."""
    splits = read_cifar10(write_cifar10(tmp_path, ["binary"] * 6))
    arrays = {f"{x}_{split}": array for split, pair in splits.items() for x, array in zip("xy", pair, strict=True)}
    np.savez(tmp_path / "cifar10.npz", **arrays)
    data, archived = lc.load_data(f"cifar10:{tmp_path}"), lc.load_data(f"npz:{tmp_path / 'cifar10.npz'}")
    assert dataclasses.replace(data, name=archived.name).fingerprint() == archived.fingerprint()


@pytest.mark.parametrize("layouts", [["binary"] * 6, ["python"] * 6, ["python", "binary"] * 3])
def test_cifar10_of_any_layout(tmp_path, layouts):
    folder = write_cifar10(tmp_path, layouts)
    read = read_cifar10(folder)
    np.testing.assert_array_equal(read["train"][0], np.concatenate([images(i, 40) for i in range(5)]))
    np.testing.assert_array_equal(read["train"][1], np.tile(np.arange(40) % 10, 5))
    np.testing.assert_array_equal(read["test"][0], images(5, 40))
    data = lc.load_data(f"cifar10:{folder}", validation_fraction=0.25)
    assert (data.classes, len(data.train.targets), len(data.validation.targets), len(data.test.targets)) == (
        10, 150, 50, 40,
    )  # fmt: skip


@pytest.mark.parametrize(("layout", "place"), [("binary", "cifar-100-binary"), ("python", "cifar-100-python")])
def test_cifar100_has_fine_labels_and_may_lie_in_its_archives_folder(tmp_path, layout, place):
    write_cifar100(tmp_path / place, layout)
    read = read_cifar100(tmp_path)
    np.testing.assert_array_equal(read["train"][0], images(0, 200))
    np.testing.assert_array_equal(read["test"][1], np.arange(200) % 100)
    assert lc.load_data(f"cifar100:{tmp_path}").classes == 100


def test_a_file_as_python_2_wrote_it(tmp_path):
    """The published files are of protocol 2 with byte strings (opcode U), which Python 3 does not write."""
    pixels, labels = images(0, 2), [3, 1]
    strings = lambda text: b"U" + bytes([len(text)]) + text  # noqa: E731
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + strings(b"b") + b"tR(K\x01(K\x02M\x00\x0ct"
        b"cnumpy\ndtype\n(" + strings(b"u1") + b"K\x00K\x01tR(K\x03" + strings(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff"
        b"\xff\xffK\x00tb\x89T" + (6144).to_bytes(4, "little") + rows(pixels).tobytes() + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    raw = b"\x80\x02}(" + strings(b"data") + array + strings(b"labels") + numbers + b"u."
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (tmp_path / name).write_bytes(raw)
    read = read_cifar10(tmp_path)
    np.testing.assert_array_equal(read["test"][0], pixels)
    assert read["train"][1].tolist() == labels * 5


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_but_arrays_is_unpickled(tmp_path):
    folder = write_cifar10(tmp_path / "set", ["python"] * 6)
    (folder / "data_batch_3").write_bytes(pickle.dumps({b"data": Harmful(str(tmp_path / "made"))}))
    with pytest.raises(ValueError, match=r"data_batch_3 cannot be read.*mkdir"):
        read_cifar10(folder)
    assert not (tmp_path / "made").exists()


TYPE = b"cnumpy\ndtype\nU\x01O\x85R"
POINTER = b"cnumpy\nndarray\nK\x01\x85" + TYPE + b"U\x08AAAAAAAA\x87R"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01\x85"
HUGE = b"cnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85cnumpy\ndtype\nU\x02u1\x85R\x86R"


def batch_with(data):
    return b"\x80\x02}(U\x04data" + data + b"U\x06labels](K\x01eu."


ATTACKS = {
    "pointers": b"\x80\x02" + POINTER + b".",
    "pointers_as_data": batch_with(POINTER),
    "pointers_by_state": batch_with(ARRAY + TYPE + b"\x89U\x08AAAAAAAAtb"),
    "tebibyte_of_bytes": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"A.",
    "tebibyte_array": batch_with(HUGE),
    "entry_of_the_memo": b"\x80\x02]r\xff\xff\xff\x3f.",
    "tuples_doubled": b"\x80\x02)" + b"q\x00h\x00\x86" * 90 + b".",
    "tuples_doubled_as_key": b"\x80\x02)" + b"q\x00h\x00\x86" * 90 + b"q\x01}h\x01K\x01s.",
    "nested": b"\x80\x02" + b"(" * 100_000 + b"l" * 100_000 + b".",
    "digits": b"I" + b"9" * 100_000 + b"\n.",
}


def test_hostile_batches_neither_crash_nor_exhaust_memory(tmp_path):
    """In a process of its own, because Python's unpickler crashes on some of them."""
    folder = write_cifar10(tmp_path / "set", ["python"] * 6, n=10)
    for name, raw in ATTACKS.items():
        (tmp_path / name).write_bytes(raw)
    script = (
        "import resource, shutil, sys\nfrom pathlib import Path\nfrom lcjax.data.readers.cifar import read_cifar10\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))\n"
        "for file in map(Path, sys.argv[2:]):\n"
        "    shutil.copy(file, Path(sys.argv[1], 'data_batch_1'))\n"
        "    try:\n        read_cifar10(sys.argv[1])\n"
        "    except ValueError as error:\n        print(file.name, error)\n"
    )
    command = [sys.executable, "-c", script, str(folder), *(str(tmp_path / name) for name in ATTACKS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(ATTACKS)
    assert all("data_batch_1 cannot be read: " in line for line in lines)


def test_small_opcodes_cannot_fill_the_memory(monkeypatch):
    monkeypatch.setattr(pickles, "_MOST", 1000)
    with pytest.raises(ValueError, match="more than 1,000 values"):
        pickles.parse_pickle(b"\x80\x02" + b"]" * 3000 + b".")


def edited(folder, name, change):
    batch = pickle.loads((folder / name).read_bytes())
    (folder / name).write_bytes(pickle.dumps(change(batch)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda batch: [1], "which is a dictionary with data and labels"),
        (lambda batch: {b"data": batch[b"data"]}, "which is a dictionary with data and labels"),
        (lambda batch: {**batch, b"data": batch[b"data"][:, 1:]}, r"shape \(n, 3072\), got shape \(40, 3071\)"),
        (lambda batch: {**batch, b"data": batch[b"data"].astype(float)}, r"array of '<f8', not of \|u1"),
        (lambda batch: {**batch, b"labels": batch[b"labels"][1:]}, r"40 images and labels of shape \(39,\)"),
        (lambda batch: {**batch, b"labels": [9] * 39 + [10]}, "labels from 9 to 10; they must be 0 to 9"),
        (lambda batch: {**batch, b"labels": [-1] * 40}, "labels from -1 to -1"),
        (lambda batch: {**batch, b"labels": [0.5] * 40}, "labels are not a list of integers"),
        (lambda batch: {b"data": batch[b"data"][:0], b"labels": []}, r"got shape \(0, 3072\)"),
        (lambda batch: {**batch, b"labels": [[1, 2]] + [3] * 39}, "labels are not a list of integers"),
        (lambda batch: {**batch, b"labels": [True] * 40}, "labels are not a list of integers"),
        (lambda batch: {**batch, b"labels": [2**70] * 40}, "cannot be read: Python int too large"),
        (lambda batch: {**batch, b"data": batch[b"data"].tolist()}, r"uint8 of shape \(n, 3072\), got no array"),
        (lambda batch: {**batch, 3: 4}, "a key of a dictionary is not text"),
    ],
)
def test_what_is_no_batch_is_refused_by_name(tmp_path, change, message):
    folder = write_cifar10(tmp_path, ["python"] * 6)
    edited(folder, "test_batch", change)
    with pytest.raises(ValueError, match=f"test_batch .*{message}"):
        read_cifar10(folder)


def test_a_dictionary_with_text_keys_is_a_batch_too(tmp_path):
    folder = write_cifar10(tmp_path, ["python"] * 6)
    edited(folder, "test_batch", lambda batch: {key.decode(): value for key, value in batch.items()})
    np.testing.assert_array_equal(read_cifar10(folder)["test"][0], images(5, 40))


def test_missing_and_truncated_files_are_named(tmp_path):
    folder = write_cifar10(tmp_path, ["binary"] * 5 + ["python"])
    raw = (folder / "data_batch_2.bin").read_bytes()
    (folder / "data_batch_2.bin").write_bytes(raw[:-1])
    with pytest.raises(ValueError, match=r"data_batch_2.bin has 122919 bytes.*record of CIFAR-10 \(3073 bytes\)"):
        read_cifar10(folder)
    (folder / "data_batch_2.bin").write_bytes(raw)
    short = (folder / "test_batch").read_bytes()[:-200]
    (folder / "test_batch").write_bytes(short)
    with pytest.raises(ValueError, match="test_batch cannot be read"):
        read_cifar10(folder)
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"No file data_batch_2\.bin or data_batch_2 in"):
        read_cifar10(folder)
    (folder / "data_batch_2.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="has 0 bytes"):
        read_cifar10(folder)
