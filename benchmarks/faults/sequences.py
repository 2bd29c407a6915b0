"""Readers of curves, recordings, text and prepared sets, each with a valid file or folder to mutate."""

import contextlib
import copy
import functools
import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.readers import Files, Subject

__all__ = ["SUBJECTS"]

_RNG = np.random.default_rng(0)
_NUMBERS = (
    *(b"nan", b"-inf", b"1e999", b"-1", b"0", b"1_0", b"1.000", b"1,000", b"10%", b"2k", b"n/a", b"1" * 5000),
    *(b"\xef\xbc\x91", b"\xd9\xa1", b"\xff\xfe", b"\x0c", b"\xe2\x80\xa8", b"\x00", b"\x1b[31m", b'"', b"#"),
    *(b",", b";", b"\t", b"\r", b"\n", b"sep=|\n", b"x" * 140_000, b"error", b"size"),
)
_TEXT = (b"\xff", b"\x00", b"\n", b"\r\n", b"\xe2\x80\xa8", b"<eos>", b"<pad>", b"\xcc\x81" * 500, b"x" * 100_000)
_JSON = (
    *(b"null", b"[]", b"{}", b"-1", b"1e999", b"9" * 5000, b'"' + b"9" * 30 + b'"', b"[" * 5000, b"NaN", b"\\ud800"),
    *(
        b'"os.path.join"',
        b'"pythonClassName": "antigravity.Evil",',
        b'"type": "this.Zen",',
        b"true",
        b'"',
        b"}",
        b"\\u0000",
    ),
    *(b'"../../../etc/passwd"', b'"gs://bucket/file"', b'"{DATASET}"', b'"-1"', b'"2147483647"', b"tfrecord", b"image"),
)
_VALUES: tuple[Any, ...] = (
    *(None, [], {}, "", "x", -1, 0, 1, 2**31, 2**63, 10**400, 0.5, float("inf"), True, ["a"], {"a": "b"}, [[[]]] * 3),
    *(
        "-1",
        "0",
        "99999999999",
        "int64",
        "object",
        "string",
        "evil.Evil",
        "os:system",
        "../x",
        "/etc/passwd",
        "gs://a/b",
    ),
    *(
        "array_record",
        "tfrecord",
        "{DATASET}-{SPLIT}",
        "\0",
        "\x1b[31m",
        "x" * 100_000,
        "tensorflow_datasets.core.Split",
    ),
    json.loads("[" * 200 + "]" * 200),
)
_HEADERS = (b"'|O'", b"'<U99'", b"'<f8'", b"'>i2'", b"(-1,)", b"(3, 1)", b"(1099511627776,)", b"()", b"True", b"\x03")


def _change_cells(original: bytes, seed: bytes) -> bytes:
    """Replace up to two cells behind the heading of a table by tokens."""
    rng = np.random.default_rng(zlib.crc32(seed))
    rows = [line.split(b",") for line in original.splitlines()]
    for _ in range(rng.integers(1, 3)):
        row = rows[rng.integers(1, len(rows))]
        row[rng.integers(len(row))] = _NUMBERS[rng.integers(len(_NUMBERS))]
    return b"\n".join(map(b",".join, rows)) + b"\n"


def _change_json(original: bytes, seed: bytes) -> bytes:
    """Replace, remove or rename up to two values of a JSON file, which remains JSON."""
    rng = np.random.default_rng(zlib.crc32(seed))
    root: list[Any] = [json.loads(original)]
    for _ in range(rng.integers(1, 3)):
        places: list[tuple[Any, Any]] = []
        pending: list[Any] = [root]
        while pending:
            node = pending.pop()
            keys = list(node) if isinstance(node, dict) else range(len(node))
            places += [(node, key) for key in keys]
            pending += [node[key] for key in keys if isinstance(node[key], dict | list)]
        node, key = places[rng.integers(len(places))]
        if isinstance(node, dict) and rng.random() < 0.3:
            value = node.pop(key)
            if rng.random() < 0.5:
                node[f"{key}_"] = value
        else:
            node[key] = copy.deepcopy(_VALUES[rng.integers(len(_VALUES))])  # later changes must not reach the list
    return json.dumps(root[0]).encode()


def _change_record(name: str, records: Sequence[bytes], record: bytes) -> bytes:
    """Return a shard whose first record is another one."""
    from array_record.python.array_record_module import ArrayRecordWriter

    with tempfile.TemporaryDirectory() as folder:
        writer = ArrayRecordWriter(str(Path(folder, name)), "group_size:1")
        for one in (record, *records[1:]):
            writer.write(one)
        writer.close()
        return Path(folder, name).read_bytes()


def _curves() -> Files:
    rows = [f"c{i % 3},{2 ** (i // 3) * 100},{0.5 / (1 + i):.4f},{i % 2}" for i in range(30)]
    return {"curves.csv": "\n".join(["curve,size,error,repeat", *rows, ""]).encode()}


def _benchmark() -> Files:
    rows = [f"IC,t{i % 2},BiT,{(1 + i // 2) * 1e6:g},{0.9**i:.4f},{int(i < 9)}" for i in range(20)]
    return {"curves.csv": "\n".join(["Domain,Task,Model,Seen Examples,Loss,Training", *rows, ""]).encode()}


def _read_curves(folder: Path) -> object:
    from lcjax.curves.readers.csv import read_curves

    return read_curves(folder / "curves.csv")


def _wav() -> Files:
    def write(samples: np.ndarray) -> bytes:
        form = np.array([1, 1], "<u2").tobytes() + np.array([8000, 16_000], "<u4").tobytes()
        form = b"fmt \x10\0\0\0" + form + np.array([2, 16], "<u2").tobytes()
        content = b"WAVE" + form + b"data" + np.uint32(samples.nbytes).tobytes() + samples.tobytes()
        return b"RIFF" + np.uint32(len(content)).tobytes() + content

    return {f"{digit}_a_{take}.wav": write(_noise(400)) for digit in (0, 1) for take in (0, 5)}


def _noise(samples: int) -> np.ndarray:
    return np.asarray(_RNG.integers(-3000, 3000, samples), "<i2")


def _arrays() -> dict[str, bytes]:
    numbers = np.arange(12)
    arrays: dict[str, np.ndarray] = {
        "audio": _noise(1200), "offsets": np.arange(13) * 100, "digit": numbers % 10, "speaker": numbers % 2,
        "take": numbers, "sample_rate": np.array(8000, np.int32),
    }  # fmt: skip
    contents = {}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array)
        contents[name] = file.getvalue()
    return contents


def _archive(changes: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**_ARRAYS, **changes}.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def _pack_array(name: str, content: bytes) -> bytes:
    return _archive({name: content})


_ARRAYS = _arrays()


def _recordings(name: str) -> Subject:
    inner = {"set.npz": (_ARRAYS[name], functools.partial(_pack_array, name))}
    return Subject(lambda: {"set.npz": _archive({})}, functools.partial(_read_recordings, "set.npz"), inner, _HEADERS)


def _read_recordings(name: str, folder: Path) -> object:
    from lcjax.data.readers.recordings import read_recordings

    return read_recordings(folder / name)


def _text() -> Files:
    lines = [f"the {word} dog {i}" for i in range(20) for word in ("big", "grün", "new")]
    return {f"{split}.txt": "\n".join(lines).encode() + b"\n" for split in ("train", "valid", "test")}


def _parallel() -> Files:
    sides = {"de": [f"der Hund {i} läuft" for i in range(30)], "en": [f"the dog {i} runs" for i in range(30)]}
    return {
        f"{split}.{language}": "\n".join(lines).encode() + b"\n"
        for split in ("train", "val")
        for language, lines in sides.items()
    }


def _load(scheme: str, folder: Path, **options: int | None) -> object:
    from lcjax.data.sequences.sources import load_sequences

    return load_sequences(f"{scheme}:{folder}", **options)


@functools.cache
def _prepare(kind: str) -> Files:
    """Prepare a small set of TensorFlow Datasets, and return its files."""
    import PIL.Image
    import tensorflow_datasets as tfds

    features = {
        "digits": {"image": tfds.features.Image(shape=(4, 4, 1)), "label": tfds.features.ClassLabel(num_classes=3)},
        "text": {"text": tfds.features.Text()},
        "speech": {"speech": tfds.features.Tensor(shape=(None,), dtype=np.int64), "text": tfds.features.Text()},
    }[kind]
    rng = np.random.default_rng(0)

    with tfds.core.registered.skip_registration():

        class SmallSet(tfds.core.GeneratorBasedBuilder):
            """Few examples."""

            VERSION = tfds.core.Version("1.0.0")

            def _info(self) -> object:
                pair = ("image", "label") if kind == "digits" else None
                described = tfds.features.FeaturesDict(features)
                return tfds.core.DatasetInfo(builder=self, features=described, supervised_keys=pair)

            def _split_generators(self, dl_manager: object) -> object:
                return {split: self._generate_examples() for split in ("train", "validation", "test")}

            def _generate_examples(self) -> object:
                for i in range(12):
                    image = io.BytesIO()
                    PIL.Image.fromarray(rng.integers(0, 256, (4, 4), np.uint8)).save(image, "PNG")
                    image.seek(0)
                    values = {
                        "image": image, "label": i % 3, "text": f"line {i % 4} of text",
                        "speech": rng.integers(-3000, 3000, 900),
                    }  # fmt: skip
                    yield i, {name: values[name] for name in features}

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        builder = SmallSet(data_dir=folder, file_format="array_record")
        builder.download_and_prepare(file_format="array_record")
        return {path.name: path.read_bytes() for path in Path(builder.data_path).iterdir()}


def _prepared(kind: str, scheme: str, **options: int | None) -> Subject:
    def read(folder: Path) -> object:
        from lcjax.data.readers.tfds import read_tfds

        return read_tfds(str(folder)) if kind == "digits" else _load(scheme, folder, **options)

    files = functools.partial(_prepare, kind)
    return Subject(files, read, _Changes(files), _JSON)


class _Changes(Mapping[str, tuple[bytes, Callable[[bytes], bytes]]]):
    """Changes of files behind the check of their syntax; the files are made on first use."""

    def __init__(self, files: Callable[[], Files]) -> None:
        self._files = files

    def __getitem__(self, name: str) -> tuple[bytes, Callable[[bytes], bytes]]:
        content = self._files()[name]
        if name.endswith(".json"):
            return content, functools.partial(_change_json, content)
        if ".array_record" in name:
            records = _read_records(name, content)
            return records[0], functools.partial(_change_record, name, records)
        return content, bytes

    def __iter__(self) -> Iterator[str]:
        return iter(self._files())

    def __len__(self) -> int:
        return len(self._files())


def _read_records(name: str, content: bytes) -> Sequence[bytes]:
    from array_record.python.array_record_module import ArrayRecordReader

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        reader = ArrayRecordReader(str(path))
        records: Sequence[bytes] = reader.read_all()
        reader.close()
        return records


@functools.cache
def _vocabulary() -> Files:
    from lcjax.data.sequences.vocabulary import learn_pieces

    learned = learn_pieces(["low lower lowest", "new newer newest"], size=18)
    return {"tokenizer.json": learned.tokenizer.encode(), "symbols.json": json.dumps(learned.symbols).encode()}


def _read_vocabulary(folder: Path) -> object:
    from lcjax.data.sequences.vocabulary import Vocabulary
    from lcjax.files import reading

    with reading(folder):
        symbols = tuple(map(str, json.loads((folder / "symbols.json").read_text("utf-8"))))
        tokenizer = (folder / "tokenizer.json").read_text("utf-8")
        vocabulary = Vocabulary(symbols, end=17, start=16, padding=0, words=False, tokenizer=tokenizer)
        return vocabulary.decode(vocabulary.encode("lower new"))


def _table(files: Files) -> Subject:
    ((name, content),) = files.items()
    return Subject(lambda: files, _read_curves, {name: (content, functools.partial(_change_cells, content))}, _NUMBERS)


SUBJECTS = {
    "curves": _table(_curves()),
    "curves of the benchmark": _table(_benchmark()),
    "wav": Subject(
        _wav, functools.partial(_read_recordings, "."), tokens=(b"data", b"fmt ", b"LIST", b"RIFX"), keep=36
    ),
    **{f"recordings, {name}": _recordings(name) for name in ("audio", "offsets", "take", "sample_rate")},
    "words": Subject(_text, functools.partial(_load, "words", size=None), tokens=_TEXT),
    "characters": Subject(_text, functools.partial(_load, "characters"), tokens=_TEXT),
    "parallel": Subject(_parallel, functools.partial(_load, "parallel", size=50), tokens=_TEXT),
    "tokenizer": Subject(_vocabulary, _read_vocabulary, _Changes(_vocabulary), _JSON),
    "tfds": _prepared("digits", "tfds"),
    "tfds text": _prepared("text", "tfds-words", size=None),
    "tfds speech": _prepared("speech", "tfds-speech"),
}
"""Readers by name, which `benchmarks.faults.fuzz` knows beside those of numbers."""
