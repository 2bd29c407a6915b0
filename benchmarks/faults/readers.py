"""Readers of numbers, images and labels, each with a valid file to mutate."""

import bz2
import dataclasses
import functools
import gzip
import io
import lzma
import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

__all__ = ["SUBJECTS", "Files", "Subject", "reader"]

Files = Mapping[str, bytes]


@dataclasses.dataclass(frozen=True)
class Subject:
    """A reader and the files that it is tried on.

    Attributes:
        files: valid files by name.
        read: reads a folder of such files.
        inner: for files with checksums or compression, by name: what to mutate behind them, and how to pack it again.
        tokens: texts that the mutations insert.
        keep: bytes at the beginning of a file without `inner` that mutations behind the header's check leave alone.
    """

    files: Callable[[], Files]
    read: Callable[[Path], object]
    inner: Mapping[str, tuple[bytes, Callable[[bytes], bytes]]] = dataclasses.field(default_factory=dict)
    tokens: Sequence[bytes] = ()
    keep: int = 4


_RNG = np.random.default_rng(0)
_TABLE, _LABELS = _RNG.normal(size=(40, 3)), np.arange(40) % 3
_IMAGES = _RNG.integers(0, 256, (40, 5, 4), np.uint8)
_PIXELS = _RNG.integers(0, 256, (4, 3072), np.uint8)
_NUMBERS = (
    *(
        b"1_0",
        b"nan",
        b"-inf",
        b"1e999",
        b"1e30",
        b"0x10",
        b"-1",
        b"4294967296",
        b"99999999999999999999",
        b"1" * 200_000,
    ),
    *(b"\xef\xbc\x91", b"\xd9\xa1", b"\x0c", b"\xe2\x80\xa8", b"\x00", b'"', b"#", b":", b",", b"\r", b"\n", b" "),
)
_HEADERS = (
    *(
        b"'|O'",
        b"'<U9999999'",
        b"'|V0'",
        b"('a', '<f8')",
        b"'<f2'",
        b"'>c16'",
        b"'<M8[s]'",
        b"True",
        b"None",
        b"[" * 500,
    ),
    *(
        b"(-1,)",
        b"(1099511627776,)",
        b"'shape': ()",
        b"'shape': (2, 2, 2)",
        b"\x93NUMPY\x02\x00",
        b"PK\x05\x06",
        b"\x03",
    ),
)
_OPCODES = (
    *(
        b"cos\nsystem\n",
        b"cnumpy\nndarray\n",
        b"cnumpy\ndtype\n",
        b"U\x01O",
        b"r\xff\xff\xff\x7f",
        b"]" * 300,
        b"(" * 300,
    ),
    *(b"\x8e\x00\x00\x00\x00\x00\x01\x00\x00", b"2" * 90, b"q\x00h\x00h\x00\x86" * 30, b"I" + b"9" * 5000 + b"\n"),
    *(b"R", b"b", b"t", b"u", b"e", b"0", b"N", b"}"),
)


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _zip(inputs: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("inputs.npy", inputs)
        archive.writestr("targets.npy", _npy(_LABELS))
    return file.getvalue()


def _idx(array: np.ndarray, magic: int) -> bytes:
    return magic.to_bytes(4, "big") + b"".join(length.to_bytes(4, "big") for length in array.shape) + array.tobytes()


def _idx_files(pack: Callable[[bytes], bytes], ending: str) -> Files:
    images, labels = _idx(_IMAGES, 2051), _idx(_LABELS.astype(np.uint8), 2049)
    return {
        f"{prefix}-{kind}-ubyte{ending}": pack(raw)
        for prefix in ("train", "t10k")
        for kind, raw in (("images-idx3", images), ("labels-idx1", labels))
    }


def _pickle(protocol: int) -> bytes:
    return pickle.dumps({b"data": _PIXELS, b"labels": [0, 1, 2, 1], b"batch_label": b"one"}, protocol=protocol)


def _libsvm() -> bytes:
    rows = (f"{label} 1:{x:.3f} 2:{y:.3f} 7:{z:.3f}" for label, (x, y, z) in zip(_LABELS, _TABLE, strict=True))
    return "\n".join(rows).encode() + b"\n"


def _log() -> bytes:
    steering = np.where(np.arange(900) % 3 == 0, np.where(np.arange(900) % 2, 0.5, -0.25), 0.0)
    return b"timestamp,steering\n" + "".join(f"t{i},{value}\n" for i, value in enumerate(steering)).encode()


_DRIVE = _npy(np.zeros((900, 2, 3, 1), np.uint8))
_DIGITS = "".join(",".join(map(str, [i % 17] * 64 + [i % 10])) + "\n" for i in range(60)).encode()


def _load(scheme: str, name: str, folder: Path) -> object:
    """Read files as `load_data` does; splits that are missing are those that exist, so that nothing is compiled."""
    from lcjax.data.arrays import split_data
    from lcjax.data.sources import read_source
    from lcjax.data.subsets import HoldOut

    path = folder / name
    source = read_source(scheme, str(path), HoldOut())
    splits = source.splits
    complete = {split: splits.get(split, splits["train"]) for split in ("train", "validation", "test")}
    return split_data(complete, f"{scheme}:{path}", HoldOut(), normalize=scheme != "libsvm", encode=source.encode)


def reader(scheme: str, name: str = ".") -> Callable[[Path], object]:
    """Return a function that reads a folder, or a file in it, as `load_data` does."""
    return functools.partial(_load, scheme, name)


def _npz(method: int) -> Subject:
    pack = functools.partial(_zip, method=method)
    table = _npy(_TABLE)
    return Subject(lambda: {"a.npz": pack(table)}, reader("npz", "a.npz"), {"a.npz": (table, pack)}, _HEADERS)


def _packed(raw: bytes, pack: Callable[[bytes], bytes], name: str, scheme: str, tokens: Sequence[bytes]) -> Subject:
    return Subject(lambda: {name: pack(raw)}, reader(scheme, name), {name: (raw, pack)}, tokens)


def _cifar(write: Callable[[], bytes], ending: str, tokens: Sequence[bytes] = ()) -> Subject:
    names = (*(f"data_batch_{i}{ending}" for i in range(1, 6)), f"test_batch{ending}")
    return Subject(lambda: dict.fromkeys(names, write()), reader("cifar10"), tokens=tokens)


SUBJECTS = {
    "npz stored": _npz(zipfile.ZIP_STORED),
    "npz deflated": _npz(zipfile.ZIP_DEFLATED),
    "npz lzma": _npz(zipfile.ZIP_LZMA),
    "libsvm": Subject(lambda: {"a": _libsvm()}, reader("libsvm", "a"), tokens=_NUMBERS),
    "libsvm bz2": _packed(_libsvm(), bz2.compress, "a.bz2", "libsvm", _NUMBERS),
    "idx": Subject(lambda: _idx_files(bytes, ""), reader("idx")),
    "idx gz": Subject(
        lambda: _idx_files(gzip.compress, ".gz"),
        reader("idx"),
        {"train-images-idx3-ubyte.gz": (_idx(_IMAGES, 2051), gzip.compress)},
    ),
    "cifar10 binary": _cifar(lambda: np.c_[_LABELS[:4].astype(np.uint8), _PIXELS].tobytes(), ".bin"),
    "cifar10 python 2": _cifar(lambda: _pickle(2), "", _OPCODES),
    "cifar10 python 5": _cifar(lambda: _pickle(5), "", _OPCODES),
    "driving": Subject(
        lambda: {"center_images.npy.xz": lzma.compress(_DRIVE), "driving_log.csv": _log()},
        reader("driving"),
        {"center_images.npy.xz": (_DRIVE, lzma.compress), "driving_log.csv": (_log(), bytes)},
        (*_NUMBERS, *_HEADERS),
    ),
    "digits": _packed(_DIGITS, gzip.compress, "digits.csv.gz", "digits", _NUMBERS),
}
"""Readers by name; a package with readers of its own adds them here."""
