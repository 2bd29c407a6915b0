"""Readers of tables, runs of trackers and images, each with a valid file or folder to mutate."""

import functools
import importlib.util
import io
import zlib
from pathlib import Path

import numpy as np

from benchmarks.faults.readers import Files, Subject, reader

__all__ = ["SUBJECTS"]

_RNG = np.random.default_rng(0)
_TOKENS = (
    *(b"nan", b"inf", b"1e999", b"-1", b"1_0", b"1.000", b"1,000.5", b"10%", b"2k", b"n/a", b"1" * 5000, b"#", b"# "),
    *(b"0.3 \xc2\xb1 0.1", b"\xef\xbc\x91", b"\xff\xfe", b"\x0c", b"\xe2\x80\xa8", b"\x00", b"\x1b[31m", b'"', b"("),
    *(b"\xc2\xb1", b",", b";", b"\t", b"|", b"\r", b"\n", b"sep=|\n", b"x" * 140_000, b"error", b"size", b"seed0"),
    *(b"Step", b"metric"),
)


def _rows(heading: str, rows: list[str]) -> bytes:
    return "\n".join([heading, *rows, ""]).encode()


def _long() -> bytes:
    rows = [
        f"{100 * 2**i},{r},{name},{value / (1 + i):.4f},1.5,{kind},0.01"
        for i in range(5) for r in (0, 1) for name, value in (("error", 0.5), ("auc", 0.9)) for kind in ("", "cat")
    ]  # fmt: skip
    return _rows("size,repeat,metric,value,seconds,class,standard_error", rows)


def _wide() -> bytes:
    rows = [f"{100 * 2**i},{0.5 / (1 + i):.4f},{0.4 / (1 + i):.4f},{0.3 / (1 + i):.4f} ± 0.01" for i in range(6)]
    return _rows("n_train,mlp test_error,vgg test_error,lenet test_error", rows)


def _spread() -> bytes:
    rows = [f"{100 * 2**i};{0.5 / (1 + i):.4f};{0.01 * (i + 1):.3f};5;a" for i in range(6)]
    return _rows("Training size;Error (%);std;n_seeds;note", rows).replace(b".", b",")


def _transposed() -> bytes:
    return _rows("model,100,200,400,800", ["mlp,0.5,0.4,0.3,0.25", "vgg,0.4,0.3,0.2,0.15"])


def _data() -> bytes:
    rows = [
        f"{i},{_RNG.normal():.3f},{'' if i % 7 == 0 else i % 5},{('red', 'green', 'blue')[i % 3]},{i % 4},{'ab'[i % 2]}"
        for i in range(40)
    ]
    return _rows("id,x,k,color,site,label", rows)


def _read_curves(name: str, folder: Path) -> object:
    from lcjax.curves.readers.csv import read_curves

    return read_curves(folder / name)


def _change(original: bytes, separator: bytes, seed: bytes) -> bytes:
    """Replace up to two cells of a table, its heading included, by tokens."""
    rng = np.random.default_rng(zlib.crc32(seed))
    rows = [line.split(separator) for line in original.splitlines()]
    for _ in range(rng.integers(1, 3)):
        row = rows[rng.integers(len(rows))]
        row[rng.integers(len(row))] = _TOKENS[rng.integers(len(_TOKENS))]
    return b"\n".join(map(separator.join, rows)) + b"\n"


def _table(content: bytes, scheme: str = "", separator: bytes = b",") -> Subject:
    read = reader(scheme, "a.csv") if scheme else functools.partial(_read_curves, "a.csv")
    inner = {"a.csv": (content, functools.partial(_change, content, separator))}
    return Subject(lambda: {"a.csv": content}, read, inner, _TOKENS)


def _mlruns() -> Files:
    files = {}
    for i, (size, error) in enumerate([(100, 0.4), (200, 0.3), (400, 0.2)]):
        files[f"0/run{i}/params/n_train"] = str(size).encode()
        files[f"0/run{i}/metrics/test_error"] = f"1700 0.9 0\n1701 {error} 7\n".encode()
        files[f"0/run{i}/meta.yaml"] = b"lifecycle_stage: active\nstatus: 3\n"
    return files


def _exports() -> Files:
    text = "Wall time,Step,Value\n1.7e9,0,0.9\n1.7e9,10,{}\n"
    return {
        f"run-n_train={size},seed=0-tag-test_error.csv": text.format(error).encode()
        for size, error in [(100, 0.4), (200, 0.3)]
    }


def _images(form: str) -> Files:
    import PIL.Image

    files = {}
    for i in range(6):
        file = io.BytesIO()
        PIL.Image.fromarray(_RNG.integers(0, 256, (6, 5, 3), np.uint8)).save(file, form)
        files[f"{('cat', 'dog')[i % 2]}/{i}.{form}"] = file.getvalue()
    return files


def _parquet() -> Files:
    import pyarrow
    import pyarrow.parquet

    size = [100 * 2**i for i in range(6)]
    columns = {"n_train": size, "error": [n**-0.3 for n in size], "seed": ["a"] * 6}
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return {"a.parquet": file.getvalue()}


SUBJECTS = {
    "curves, long table": _table(_long()),
    "curves, a column each": _table(_wide()),
    "curves, spreads": _table(_spread(), separator=b";"),
    "curves, sizes across": _table(_transposed()),
    "runs of mlflow": Subject(_mlruns, functools.partial(_read_curves, "."), tokens=_TOKENS),
    "exports of tensorboard": Subject(_exports, functools.partial(_read_curves, "."), tokens=_TOKENS),
    "table of data": _table(_data(), "csv"),
    "images png": Subject(functools.cache(functools.partial(_images, "png")), reader("images")),
    "images jpeg": Subject(functools.cache(functools.partial(_images, "jpeg")), reader("images")),
    "images gif": Subject(functools.cache(functools.partial(_images, "gif")), reader("images")),
    "images tiff": Subject(functools.cache(functools.partial(_images, "tiff")), reader("images")),
}
if importlib.util.find_spec("pyarrow") is not None:
    SUBJECTS["parquet"] = Subject(functools.cache(_parquet), functools.partial(_read_curves, "a.parquet"))
