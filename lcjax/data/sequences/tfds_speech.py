"""Speech from TensorFlow Datasets, read without TensorFlow: LibriSpeech."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lcjax.data.sequences.speech import Utterance, speech_task
from lcjax.data.sequences.task import SequenceTask

__all__ = ["read_tfds_speech"]

_OWN = {"train": "train", "validation": "validation", "test": "test"}
_LIBRISPEECH = {"train": "train_clean100", "validation": "dev_clean", "test": "test_clean"}


def read_tfds_speech(
    name: str,
    *,
    splits: Mapping[str, str] | None = None,
    rate: int = 16_000,
    attention: bool = False,
    subsampling: int = 2,
    most: int | None = None,
) -> SequenceTask:
    """A prepared TFDS set with features "speech" and "text" ("librispeech"), characters as labels; see `speech_task`.

    TFDS itself needs TensorFlow for audio, to prepare a set and to open it. A set that was prepared elsewhere as
    array_record files is read here from these. All utterances lie in memory, padded to the longest: 100 hours of
    LibriSpeech need some 35 GB, so `most` is for smaller machines.

    Args:
        name: folder of a prepared version of a set, or the set's name, looked for in `$TFDS_DATA_DIR`.
        splits: the set's names for "train", "validation" and perhaps "test"; by default just these, or for a set that
            has no "train" those of LibriSpeech: train_clean100, dev_clean, test_clean.
        rate: samples a second that the set must have.
        attention: see `speech_task`.
        subsampling: see `speech_task`.
        most: examples of a split that are read, the first ones; all by default.

    Raises:
        FileNotFoundError: no prepared set there; says how to prepare one.
        ValueError: features or splits are missing, audio is stored compressed, at another rate or in several channels,
            a text is not UTF-8; see also `speech_task`.

    Examples:
        >>> read_tfds_speech("no_such_set_anywhere")
        Traceback (most recent call last):
        FileNotFoundError: No prepared TFDS set 'no_such_set_anywhere' ...
    """
    if most is not None and most < 1:
        raise ValueError(f"most must be at least 1, got {most}.")
    folder = _prepared(name)
    features, found_rate = _features(folder)
    if found_rate and found_rate != rate:
        raise ValueError(f"{folder} has {found_rate} samples a second, not {rate}: resample it first.")
    if splits is None:
        splits = _OWN if _files(folder, "train") else _LIBRISPEECH
    utterances = {split: _read(folder, own, features, most) for split, own in splits.items() if _files(folder, own)}
    for split in ("train", "validation"):
        if split not in utterances:
            raise ValueError(f"{folder} has no array_record files of a split {splits.get(split, split)!r}.")
    return speech_task(utterances, rate=rate, attention=attention, subsampling=subsampling, name=f"tfds-speech:{name}")


def _prepared(name: str) -> Path:
    """The folder of a prepared version: it holds features.json."""
    root = Path(os.environ.get("TFDS_DATA_DIR", Path.home() / "tensorflow_datasets"))
    for folder in (Path(name), root / name):
        versions = [folder, *sorted(folder.glob("*"), reverse=True)] if folder.is_dir() else []
        for version in versions:
            if (version / "features.json").is_file():
                return version
    raise FileNotFoundError(
        f"No prepared TFDS set {name!r} in {root}: prepare it where there is TensorFlow, with python -c "
        f"\"import tensorflow_datasets as tfds; tfds.builder('{name}', file_format='array_record')"
        '.download_and_prepare()", and set TFDS_DATA_DIR to the folder that holds it.'
    )


def _files(folder: Path, split: str) -> list[str]:
    return sorted(str(file) for file in folder.glob(f"*-{split}.array_record*"))


def _features(folder: Path) -> tuple[Any, int]:
    """How examples are stored, and samples a second (0 where that is not told).

    Eagerly decoded audio is stored as the tensor of its samples; only the class of the feature needs TensorFlow.
    """
    import tensorflow_datasets as tfds

    try:
        stored = json.loads((folder / "features.json").read_text())
        own = stored["featuresDict"]["features"]
        missing = sorted({"speech", "text"} - set(own))
        if missing:
            raise ValueError(f"it has no feature {', '.join(missing)}, only {', '.join(sorted(own))}")
        audio = own["speech"].pop("audio", None)
        if audio is not None:
            if audio.get("lazyDecode"):
                raise ValueError("its audio is stored compressed; prepare the set with lazy_decode=False")
            own["speech"]["pythonClassName"] = "tensorflow_datasets.core.features.tensor_feature.Tensor"
            own["speech"]["tensor"] = {key: audio[key] for key in ("shape", "dtype", "encoding") if key in audio}
        return tfds.features.FeatureConnector.from_json(stored), int((audio or {}).get("sampleRate", 0))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'features.json'} does not describe speech that can be read: {error}.") from None


def _read(folder: Path, split: str, features: Any, most: int | None) -> list[Utterance]:
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    source = ArrayRecordDataSource(_files(folder, split))
    utterances = []
    for row in range(len(source) if most is None else min(most, len(source))):
        example = features.deserialize_example_np(source[row])
        text = example["text"]
        try:
            text = text.decode("utf-8") if isinstance(text, bytes) else str(text)
        except UnicodeDecodeError as error:
            raise ValueError(f"{folder}, {split}, example {row}: text is not UTF-8 ({error}).") from None
        utterances.append(Utterance(np.asarray(example["speech"]), " ".join(text.split())))
    return utterances
