"""TensorFlow Datasets, read without TensorFlow."""

import os
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lcjax.data.streamed import LEAST, Streamed

__all__ = ["read_tfds"]

RESIDENT_BYTES = 4 * 2**30  # of all inputs; larger sets are streamed
SIDE = 224  # pixels that images of different sizes are brought to
_SECONDS = 10.0


def read_tfds(name: str) -> dict[str, tuple[np.ndarray | Streamed, np.ndarray]]:
    """Read a supervised set of TensorFlow Datasets from array_record files, through its `data_source`.

    Images of different sizes, as ImageNet's, are brought to 224x224 pixels: scaled so that the shorter side has 8/7
    of that, and cut from the centre. NAME@SIDE does so with any number of pixels and any set of images. Inputs of more
    than 4 GiB are not read but streamed; their labels are, which goes through the whole set once.

    The folder is `$TFDS_DATA_DIR`, or TFDS's own default. A set that is not prepared there is downloaded and prepared,
    if its server answers; preparing some sets needs TensorFlow.

    Args:
        name: what `tfds.builder` takes ("mnist", "cifar10:3.0.2", "ns/set/config"), or a folder with a prepared set;
            "@" and a number of pixels may follow.

    Returns:
        The splits named "train", "validation" and "test", those that the set has: inputs `(n, ...)` and targets
        `(n,)`, the pair that the set declares as supervised, in stored order. A test split without labels (all -1, as
        ImageNet's) is left out, and the validation split stands in its place.

    Raises:
        ValueError: no such set, no supervised pair of arrays of one shape, no "train" split, or files that are not
            array_record.
        ConnectionError: the set is not on disk and its server cannot be reached; says how to fetch it beforehand.

    Examples:
        >>> read_tfds("no_such_set_anywhere")
        Traceback (most recent call last):
        ValueError: TFDS knows no data set 'no_such_set_anywhere', and there is no such folder.
    """
    name, at, side = name.rpartition("@") if "@" in name else (name, "", "")
    if at and not (side.isdecimal() and int(side)):
        raise ValueError(f"After @ comes a number of pixels, got {side!r} after {name!r}.")
    builder = open_tfds(name)
    if not (builder.info.splits and "train" in builder.info.splits):
        raise ValueError(f"The TFDS set {name!r} has no split named train, only {sorted(builder.info.splits)}.")
    pair = builder.info.supervised_keys
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
        raise ValueError(f"The TFDS set {name!r} declares no pair of input and target (supervised_keys={pair}).")
    inputs, targets = pair
    splits = [split for split in ("train", "validation", "test") if split in builder.info.splits]
    pixels = _side(builder, name, inputs, int(side) if at else None)
    shape = (pixels, pixels, builder.info.features[inputs].shape[-1]) if pixels else builder.info.features[inputs].shape
    many = sum(builder.info.splits[split].num_examples for split in splits)
    resident = many * _bytes(builder.info.features[inputs], shape) <= RESIDENT_BYTES
    read: Any = _read_split if resident else _stream_split
    found = {split: read(builder, name, split, inputs, targets, pixels) for split in splits}
    if {"validation", "test"} <= set(found) and np.all(np.asarray(found["test"][1]) == -1):
        found["test"] = found.pop("validation")
    return found


def open_tfds(name: str) -> Any:
    """The builder of a set that lies prepared on disk, prepared now if it does not; see `read_tfds`.

    Raises:
        ValueError: no such set, or files that TFDS cannot read.
        ConnectionError: the set is not on disk and its server cannot be reached; says how to fetch it beforehand.
    """
    import tensorflow_datasets as tfds

    folder = os.environ.get("TFDS_DATA_DIR")
    try:
        if Path(name).is_dir():
            builder = tfds.builder_from_directory(name)
        else:
            builder = tfds.builder(name, data_dir=folder, file_format="array_record")
    except tfds.core.DatasetNotFoundError:
        raise ValueError(f"TFDS knows no data set {name!r}, and there is no such folder.") from None
    except (AssertionError, ValueError, FileNotFoundError) as error:
        raise ValueError(f"TFDS cannot load {name!r}: {error}") from None
    if not builder.info.splits:
        _prepare(builder, name)
    return builder


def _side(builder: Any, name: str, inputs: str, asked: int | None) -> int | None:
    """Pixels that images are brought to; `None` where they stay as they are."""
    shape = builder.info.features[inputs].shape
    image = shape is not None and len(shape) == 3 and shape[-1] in (1, 3)
    if asked is not None and not image:
        raise ValueError(f"The inputs of the TFDS set {name!r} are no images that could have {asked} pixels: {shape}.")
    return SIDE if asked is None and image and None in shape[:2] else asked


def _bytes(feature: Any, shape: Any) -> int:
    """Of one input; 0 where that is not known."""
    if shape is None or None in shape:
        return 0
    return int(np.prod(shape)) * np.dtype(feature.np_dtype).itemsize


def _sized(image: np.ndarray, side: int | None) -> np.ndarray:
    """The centre of an image, scaled to so many pixels a side."""
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


def _prepare(builder: Any, name: str) -> None:
    advice = (
        f'fetch it beforehand where there is a network, with python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{name}', file_format='array_record').download_and_prepare()\", and set TFDS_DATA_DIR to the "
        f"folder that holds it."
    )
    # TFDS itself retries for minutes, so ask the set's server first. Sets that are made on the spot have no address.
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


def open_split(builder: Any, name: str, split: str, **options: Any) -> Any:
    """A split's examples, by number."""
    try:
        return builder.as_data_source(split=split, **options)
    except NotImplementedError:
        raise ValueError(
            f"The TFDS set {name!r} is not stored as array_record: prepare it anew with file_format='array_record'."
        ) from None


def _stream_split(
    builder: Any, name: str, split: str, inputs: str, targets: str, side: int | None
) -> tuple[Streamed, np.ndarray]:
    """The split's inputs where they are, and its targets."""
    import tensorflow_datasets as tfds

    source = open_split(builder, name, split)
    without = open_split(builder, name, split, decoders={inputs: tfds.decode.SkipDecoding()})
    with ThreadPoolExecutor(max(LEAST, os.cpu_count() or 1)) as pool:
        labels = np.asarray(list(pool.map(lambda row: without[row][targets], range(len(without)))))
    first = _sized(np.asarray(source[0][inputs]), side)
    return Streamed(
        lambda row: _sized(np.asarray(source[row][inputs]), side),
        np.arange(len(source)),
        first.shape,
        first.dtype,
        f"tfds:{builder.info.full_name} {split} {side or ''}".rstrip(),
    ), labels


def _read_split(
    builder: Any, name: str, split: str, inputs: str, targets: str, side: int | None
) -> tuple[np.ndarray, np.ndarray]:
    source = open_split(builder, name, split)
    first = _sized(np.asarray(source[0][inputs]), side)
    if first.dtype.kind not in "biuf":
        raise ValueError(f"The inputs of the TFDS set {name!r} are not numbers but {first.dtype}.")
    x, y = np.empty((len(source), *first.shape), first.dtype), []
    for row in range(len(source)):
        example = source[row]
        value = _sized(np.asarray(example[inputs]), side)
        if value.shape != first.shape:
            raise ValueError(
                f"The inputs of the TFDS set {name!r} differ in shape: {first.shape} and {value.shape} (row {row})."
            )
        x[row] = value
        y.append(example[targets])
    return x, np.asarray(y)
