"""Sets of TensorFlow Datasets (TFDS), read without TensorFlow."""

import contextlib
import dataclasses
import math
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lcjax.data.examples import SPLITS, Splits
from lcjax.data.readers.files import check_size
from lcjax.data.streamed import Streamed, read_in_threads
from lcjax.files import reading

__all__ = ["TfdsSet", "check_shard", "fetch_advice", "open_tfds", "own_features_only", "read_tfds"]

RESIDENT_BYTES = 4 * 2**30  # of all inputs; larger sets are streamed
SIDE = 224  # pixels to which images of different sizes are resized
_SECONDS = 10.0  # for a server to answer
_LOOKUP = threading.RLock()  # held while TFDS' lookup of classes is replaced


@dataclasses.dataclass(frozen=True)
class TfdsSet:
    """A set of TensorFlow Datasets that is prepared on disk."""

    name: str  # as the user gave it
    builder: Any  # tfds.core.DatasetBuilder

    @property
    def title(self) -> str:
        """Subject of messages."""
        return f"The TFDS set {self.name!r}"

    @property
    def splits(self) -> list[str]:
        """Splits that the set has among "train", "validation" and "test"; ValueError if "train" is missing."""
        if "train" not in self.builder.info.splits:
            names = ", ".join(sorted(self.builder.info.splits))
            raise ValueError(f"{self.title} has no split train, only {names}.")
        return [split for split in SPLITS if split in self.builder.info.splits]

    def source(self, split: str, *, without: Sequence[str] = ()) -> Any:
        """Open a split for random access to its examples; features in `without` are not decoded.

        Raises:
            FileNotFoundError: a shard is missing.
            ValueError: the set is not stored as array_record, or a shard is damaged.
        """
        import tensorflow_datasets as tfds

        decoders = {feature: tfds.decode.SkipDecoding() for feature in without}
        with reading(self.title, split):
            try:
                source = self.builder.as_data_source(split=split, decoders=decoders or None)
            except NotImplementedError:
                raise ValueError(
                    f"{self.title} is not stored as array_record: prepare it with file_format='array_record'."
                ) from None
            info = self.builder.info.splits[split]
            shards = list(zip(map(str, info.filepaths), info.shard_lengths, strict=True))
        for path, length in shards:
            check_shard(path, length)
        return source


def read_tfds(name: str) -> Splits:
    """Read a supervised set of TensorFlow Datasets from array_record files, through its `data_source`.

    Images of different sizes, such as those of ImageNet, are resized to 224x224 pixels: scaled so that the shorter side
    has 8/7 of that, and cropped at the centre. NAME@SIDE does the same with any number of pixels and any set of images.
    Inputs of more than 4 GiB are streamed; their labels are read in one pass over the set.

    The folder is `$TFDS_DATA_DIR`, or the default of TFDS. A set that is not prepared there is downloaded and prepared
    if its server answers; some sets need TensorFlow to be prepared.

    Args:
        name: name for `tfds.builder` ("mnist", "cifar10:3.0.2", "ns/set/config"), or a folder with a prepared set;
            "@" and a number of pixels may follow.

    Returns:
        The splits among "train", "validation" and "test" that the set has: inputs `(n, ...)` and targets `(n,)`, the
        pair that the set declares as supervised, in stored order. A test split without labels (all -1, as in ImageNet)
        is replaced by the validation split.

    Raises:
        ValueError: there is no such set, no supervised pair of arrays of one shape, or no "train" split, or the files
            are damaged or not array_record.
        FileNotFoundError: a shard of the set is missing.
        ConnectionError: the set is not on disk and its server does not answer; the message says how to fetch it.

    Examples:
        >>> read_tfds("no_such_set_anywhere")
        Traceback (most recent call last):
        ValueError: The TFDS set 'no_such_set_anywhere' does not exist, and there is no such folder.
    """
    name, at, side = name.rpartition("@") if "@" in name else (name, "", "")
    if at and not (side.isdecimal() and int(side)):
        raise ValueError(f"Expected a number of pixels after @, got {side!r} after {name!r}.")
    prepared = open_tfds(name)
    pair = prepared.builder.info.supervised_keys
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
        raise ValueError(f"{prepared.title} declares no pair of input and target (supervised_keys={pair}).")
    described: Collection[str] = getattr(prepared.builder.info.features, "keys", dict)()  # of a dictionary of features
    if absent := [part for part in pair if part not in described]:
        raise ValueError(f"{prepared.title} declares the pair {pair}, but its features.json lacks {absent[0]!r}.")
    reader = _PairReader(prepared, *pair, side=int(side) if at else None)
    splits = {split: reader.read(split) for split in prepared.splits}
    if {"validation", "test"} <= set(splits) and np.all(np.asarray(splits["test"][1]) == -1):
        splits["test"] = splits.pop("validation")
    return splits


def open_tfds(name: str) -> TfdsSet:
    """Open a set that is prepared on disk, and prepare it first if it is not; see `read_tfds`.

    The description of a set may name only the public feature classes of TFDS: see `own_features_only`.

    Raises:
        ValueError: there is no such set, or TFDS cannot read its files.
        ConnectionError: the set is not on disk and its server does not answer; the message says how to fetch it.
    """
    import tensorflow_datasets as tfds

    in_folder = Path(name).is_dir()
    with reading(f"The TFDS set {name!r}"), own_features_only():
        try:
            if in_folder:
                builder = tfds.builder_from_directory(name)
            else:
                builder = tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"), file_format="array_record")
        except tfds.core.DatasetNotFoundError:
            raise ValueError(f"The TFDS set {name!r} does not exist, and there is no such folder.") from None
        if in_folder and not builder.info.splits:
            raise ValueError("its dataset_info.json lists no splits")
    prepared = TfdsSet(name, builder)
    if not builder.info.splits:
        _prepare(prepared)
    return prepared


@contextlib.contextmanager
def own_features_only() -> Iterator[None]:
    """Let TFDS restore only its public feature classes in the `with` block.

    TFDS imports the module of any class that a `features.json` names, which runs code chosen by the file. The class
    method that looks a name up is replaced, because names occur in several encodings, some of them nested.

    Raises:
        ValueError: from TFDS in the block, if a file names another class.

    Examples:
        >>> import tensorflow_datasets as tfds
        >>> with own_features_only():
        ...     tfds.features.FeatureConnector.from_json({"type": "this.Zen", "content": {}})
        Traceback (most recent call last):
        ValueError: 'this.Zen' is not a feature of TensorFlow Datasets; allowed are Audio, ...
    """
    from tensorflow_datasets import features as public

    connector = public.FeatureConnector
    classes = [value for value in vars(public).values() if isinstance(value, type) and issubclass(value, connector)]
    allowed = {
        name: feature
        for feature in classes
        for name in (f"{feature.__module__}.{feature.__name__}", *vars(feature).get("ALIASES", ()))
    }

    def find_class(name: str) -> Any:
        if name not in allowed:
            names = ", ".join(sorted(feature.__name__ for feature in classes))
            raise ValueError(f"{name!r} is not a feature of TensorFlow Datasets; allowed are {names}")
        return allowed[name]

    with _LOOKUP:
        original = vars(connector)["cls_from_name"]
        connector.cls_from_name = staticmethod(find_class)
        try:
            yield
        finally:
            connector.cls_from_name = original


def check_shard(path: str, length: int | None = None) -> None:
    """Check that a file of array_record exists, can be opened and holds `length` examples, if that is given.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or has another number of examples.

    Examples:
        >>> check_shard("/no/such/set-train.array_record-00000-of-00001")
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such/set-train.array_record-00000-of-00001; copy or prepare its TFDS set again.
    """
    from array_record.python.array_record_module import ArrayRecordReader

    if not os.path.isfile(path):
        raise FileNotFoundError(f"No file {path}; copy or prepare its TFDS set again.")
    with reading(path):
        reader = ArrayRecordReader(path)
        records = reader.num_records()
        reader.close()
        if length is not None and records != length:
            raise ValueError(f"it has {records} examples, but dataset_info.json says {length}")


def fetch_advice(name: str) -> str:
    """Return instructions for preparing a set on another machine."""
    return (
        f'with python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{name}', file_format='array_record').download_and_prepare()\", and set TFDS_DATA_DIR to the "
        f"folder that holds it."
    )


def _prepare(prepared: TfdsSet) -> None:
    name, builder = prepared.name, prepared.builder
    advice = f"fetch it beforehand where there is a network, {fetch_advice(name)}"
    # TFDS itself retries for minutes, so ask the server of the set first. Generated sets have no address.
    addresses = [url for url in builder.url_infos if url.startswith("http")]
    if addresses and not _answers(addresses[0]):
        raise ConnectionError(
            f"The TFDS set {name!r} is not in {builder.data_path}, and {addresses[0]} does not answer: {advice}"
        )
    try:
        builder.download_and_prepare(file_format="array_record")
    except Exception as error:
        problem = " ".join(str(error).split())[:200]
        raise ConnectionError(
            f"The TFDS set {name!r} could not be prepared ({type(error).__name__}: {problem}): {advice}"
        ) from error


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


@dataclasses.dataclass(frozen=True)
class _PairReader:
    """Reader of the supervised pair of a set, whose images are resized to `side` pixels if it is given."""

    prepared: TfdsSet
    inputs: str
    targets: str
    side: int | None = None

    @property
    def pixels(self) -> int | None:
        """Pixels to which images are resized; None to leave inputs as they are."""
        shape = self.prepared.builder.info.features[self.inputs].shape
        is_image = shape is not None and len(shape) == 3 and shape[-1] in (1, 3)
        if self.side is not None and not is_image:
            raise ValueError(f"{self.prepared.title}: its inputs are not images to resize to {self.side}: {shape}.")
        return SIDE if self.side is None and is_image and None in shape[:2] else self.side

    @property
    def example_bytes(self) -> int:
        """Size of one input in memory; 0 if it is not known."""
        feature, pixels = self.prepared.builder.info.features[self.inputs], self.pixels
        shape = feature.shape if pixels is None else (pixels, pixels, feature.shape[-1])
        return 0 if shape is None or None in shape else math.prod(shape) * np.dtype(feature.np_dtype).itemsize

    def read(self, split: str) -> tuple[np.ndarray | Streamed, np.ndarray]:
        """Read the targets of a split, and read its inputs or open them for streaming."""
        prepared, info = self.prepared, self.prepared.builder.info
        examples = sum(info.splits[split].num_examples for split in prepared.splits)
        source, pixels = prepared.source(split), self.pixels

        def read_input(row: int) -> np.ndarray:
            with reading(prepared.title, f"{split}, example {row}"):
                return _resize(np.asarray(source[row][self.inputs]), pixels)

        with reading(prepared.title, split):
            first = read_input(0)
            if examples * self.example_bytes > RESIDENT_BYTES:
                identity = f"tfds:{info.full_name} {split} {pixels or ''}".rstrip()
                inputs = Streamed(read_input, np.arange(len(source)), first.shape, first.dtype, identity)
                return inputs, self._read_targets(split)
            if first.dtype.kind not in "biuf":
                raise ValueError(f"its inputs are {first.dtype}, not numbers")
            check_size(prepared.builder.data_path, len(source) * first.nbytes, f"{split} inputs")
            values, targets = np.empty((len(source), *first.shape), first.dtype), []
            for row in range(len(source)):
                with reading(prepared.title, f"{split}, example {row}"):
                    example = source[row]
                    value = _resize(np.asarray(example[self.inputs]), pixels)
                    if value.shape != first.shape:
                        raise ValueError(f"its input has shape {value.shape}, not {first.shape} as the first one")
                    values[row] = value
                    targets.append(example[self.targets])
            return values, np.asarray(targets)

    def _read_targets(self, split: str) -> np.ndarray:
        """Read the targets of a split without decoding its inputs."""
        source = self.prepared.source(split, without=[self.inputs])
        n = len(source)
        parts = read_in_threads(lambda rows: [source[row][self.targets] for row in rows], n)
        targets = np.empty(n, np.asarray(parts[0]).dtype)
        for first, part in enumerate(parts):
            targets[first :: len(parts)] = part
        return targets


def _resize(image: np.ndarray, side: int | None) -> np.ndarray:
    """Scale an image and crop its centre to `side` pixels; None leaves it as it is."""
    if side is None:
        return image
    import PIL.Image

    height, width = image.shape[:2]
    factor = side * 8 / 7 / min(height, width)
    size = max(side, round(width * factor)), max(side, round(height * factor))
    flat = image[..., 0] if image.shape[-1] == 1 else image
    scaled = np.asarray(PIL.Image.fromarray(flat).resize(size, PIL.Image.Resampling.BILINEAR))
    top, left = (size[1] - side) // 2, (size[0] - side) // 2
    return scaled[top : top + side, left : left + side].reshape(side, side, -1)
