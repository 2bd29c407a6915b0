"""TensorFlow Datasets, read without TensorFlow."""

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["read_tfds"]

_SECONDS = 10.0


def read_tfds(name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read a supervised set of TensorFlow Datasets from array_record files, through its `data_source`.

    The folder is `$TFDS_DATA_DIR`, or TFDS's own default. A set that is not prepared there is downloaded and prepared,
    if its server answers; preparing some sets needs TensorFlow.

    Args:
        name: what `tfds.builder` takes ("mnist", "cifar10:3.0.2", "ns/set/config"), or a folder with a prepared set.

    Returns:
        The splits named "train", "validation" and "test", those that the set has: inputs `(n, ...)` and targets
        `(n,)`, the pair that the set declares as supervised, in stored order.

    Raises:
        ValueError: no such set, no supervised pair of arrays of one shape, no "train" split, or files that are not
            array_record.
        ConnectionError: the set is not on disk and its server cannot be reached; says how to fetch it beforehand.

    Examples:
        >>> read_tfds("no_such_set_anywhere")
        Traceback (most recent call last):
        ValueError: TFDS knows no data set 'no_such_set_anywhere', and there is no such folder.
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
    if not (builder.info.splits and "train" in builder.info.splits):
        raise ValueError(f"The TFDS set {name!r} has no split named train, only {sorted(builder.info.splits)}.")
    pair = builder.info.supervised_keys
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
        raise ValueError(f"The TFDS set {name!r} declares no pair of input and target (supervised_keys={pair}).")
    inputs, targets = pair
    splits = [split for split in ("train", "validation", "test") if split in builder.info.splits]
    return {split: _read_split(builder, name, split, inputs, targets) for split in splits}


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


def _read_split(builder: Any, name: str, split: str, inputs: str, targets: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        source = builder.as_data_source(split=split)
    except NotImplementedError:
        raise ValueError(
            f"The TFDS set {name!r} is not stored as array_record: prepare it anew with file_format='array_record'."
        ) from None
    first = np.asarray(source[0][inputs])
    if first.dtype.kind not in "biuf":
        raise ValueError(f"The inputs of the TFDS set {name!r} are not numbers but {first.dtype}.")
    x, y = np.empty((len(source), *first.shape), first.dtype), []
    for row in range(len(source)):
        example = source[row]
        value = np.asarray(example[inputs])
        if value.shape != first.shape:
            raise ValueError(
                f"The inputs of the TFDS set {name!r} differ in shape: {first.shape} and {value.shape} (row {row})."
            )
        x[row] = value
        y.append(example[targets])
    return x, np.asarray(y)
