"""Speech from TensorFlow Datasets (LibriSpeech), read without TensorFlow."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lcjax.data.examples import SPLITS
from lcjax.data.readers.recordings import check_rate
from lcjax.data.readers.tfds import check_shard, fetch_advice, own_features_only
from lcjax.data.sequences.speech import Utterance
from lcjax.data.sequences.tfds import decode_text, limit_rows
from lcjax.files import reading
from lcjax.records import parse_json

__all__ = ["read_tfds_speech"]

_LIBRISPEECH = {"train": "train_clean100", "validation": "dev_clean", "test": "test_clean"}


def read_tfds_speech(
    name: str, *, splits: Mapping[str, str] | None = None, rate: int = 16_000, most: int | None = None
) -> dict[str, list[Utterance]]:
    """Read a prepared TFDS set with features "speech" and "text" ("librispeech"), with characters as labels.

    TFDS itself needs TensorFlow for audio, both to prepare a set and to open it. This function reads the array_record
    files of a set that was prepared elsewhere. All utterances are held in memory and later padded to the longest: 100
    hours of LibriSpeech need some 35 GB, so `most` is for smaller machines.

    Args:
        name: folder of a prepared version of a set, or the name of a set in `$TFDS_DATA_DIR`.
        splits: the names of "train", "validation" and perhaps "test" in the set; by default these same names, or if the
            set has no "train" those of LibriSpeech: train_clean100, dev_clean, test_clean.
        rate: required samples per second.
        most: largest number of examples per split, the first ones; all by default.

    Raises:
        FileNotFoundError: there is no such prepared set, or a shard of it is missing; the message says how to prepare
            one.
        ValueError: features or splits are missing, audio is stored compressed or at another rate, a text is not UTF-8,
            or a file is damaged.

    Examples:
        >>> read_tfds_speech("no_such_set_anywhere")
        Traceback (most recent call last):
        FileNotFoundError: No prepared TFDS set 'no_such_set_anywhere' ...
    """
    folder = _find_prepared(name)
    features, stored_rate = _load_features(folder)
    check_rate(folder, stored_rate or rate, rate)
    if splits is None:
        splits = {split: split for split in SPLITS} if _files(folder, "train") else _LIBRISPEECH
    utterances = {
        split: _read_utterances(folder, stored, features, most)
        for split, stored in splits.items()
        if _files(folder, stored)
    }
    for split in ("train", "validation"):
        if split not in utterances:
            raise ValueError(f"{folder} has no array_record files of a split {splits.get(split, split)!r}.")
    return utterances


def _find_prepared(name: str) -> Path:
    """Return the folder of a prepared version, which holds features.json."""
    root = Path(os.environ.get("TFDS_DATA_DIR", Path.home() / "tensorflow_datasets"))
    for folder in (Path(name), root / name):
        versions = [folder, *sorted(folder.glob("*"), reverse=True)] if folder.is_dir() else []
        for version in versions:
            if (version / "features.json").is_file():
                return version
    raise FileNotFoundError(
        f"No prepared TFDS set {name!r} in {root}: prepare it where there is TensorFlow, {fetch_advice(name)}"
    )


def _files(folder: Path, split: str) -> list[str]:
    """Return the shards of a split, all those that the number in their names promises."""
    files = sorted(str(file) for file in folder.glob(f"*-{split}.array_record*"))
    if files and (numbers := re.fullmatch(r"(.*-)\d{5}(-of-(\d{5}))", files[0])):
        files = [f"{numbers[1]}{shard:05d}{numbers[2]}" for shard in range(int(numbers[3]))]
    return files


def _load_features(folder: Path) -> tuple[Any, int]:
    """Return the feature connector of the examples, and samples per second (0 if unknown).

    Eagerly decoded audio is stored as the tensor of its samples; only the class of the feature needs TensorFlow.
    """
    import tensorflow_datasets as tfds

    file = folder / "features.json"
    with reading(file, "speech"), own_features_only():
        stored = parse_json(file.read_text())
        features = stored["featuresDict"]["features"]
        missing = sorted({"speech", "text"} - set(features))
        if missing:
            raise ValueError(f"it has no feature {', '.join(missing)}, only {', '.join(sorted(features))}")
        audio = features["speech"].pop("audio", None)
        if audio is not None:
            if audio.get("lazyDecode"):
                raise ValueError("its audio is stored compressed; prepare the set with lazy_decode=False")
            features["speech"]["pythonClassName"] = "tensorflow_datasets.core.features.tensor_feature.Tensor"
            features["speech"]["tensor"] = {key: audio[key] for key in ("shape", "dtype", "encoding") if key in audio}
        return tfds.features.FeatureConnector.from_json(stored), int((audio or {}).get("sampleRate", 0))


def _read_utterances(folder: Path, split: str, features: Any, most: int | None) -> list[Utterance]:
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    files = _files(folder, split)
    for file in files:
        check_shard(file)
    with reading(folder, split):
        source = ArrayRecordDataSource(files)
    utterances = []
    for row in limit_rows(len(source), most):
        with reading(folder, f"{split}, example {row}"):
            example = features.deserialize_example_np(source[row])
            text = decode_text(example["text"], "its text")
            utterances.append(Utterance(np.asarray(example["speech"]), text))
    return utterances
