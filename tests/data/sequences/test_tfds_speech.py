"""Sets of TensorFlow Datasets with speech, on a small example on disk."""

import json
import shutil
import sys

import numpy as np
import pytest

from lcjax.data.sequences.sources import load_sequences
from lcjax.data.sequences.speech import Utterance, speech_task
from lcjax.data.sequences.tfds_speech import read_tfds_speech

EXPECTED = [
    Utterance(np.random.default_rng(i).integers(-3000, 3000, 4000 + 160 * i), "ABCB"[: 2 + i % 3]) for i in range(5)
]


@pytest.fixture
def folder(tfds_folder, tmp_path, monkeypatch):
    """Return a copy whose description can be edited."""
    shutil.copytree(tfds_folder / "tiny_speech", tmp_path / "tiny_speech")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


def describe(folder, **audio):
    """Declare the speech of a prepared set as audio in its features.json, as TFDS does with TensorFlow."""
    path = folder / "tiny_speech/1.0.0/features.json"
    stored = json.loads(path.read_text())
    speech = stored["featuresDict"]["features"]["speech"]
    speech["pythonClassName"] = "tensorflow_datasets.core.features.audio_feature.Audio"
    shape = {"shape": {"dimensions": ["-1"]}, "dtype": "int64", "encoding": "none"}
    speech.pop("tensor", None)
    speech["audio"] = shape | audio
    path.write_text(json.dumps(stored))


@pytest.mark.parametrize("audio", [False, True])
def test_utterances(folder, audio):
    if audio:
        describe(folder, sampleRate="16000", fileFormat="flac")
    splits = read_tfds_speech("tiny_speech")
    assert list(splits) == ["train", "validation", "test"]
    for utterances in splits.values():
        assert len(utterances) == 5
        for utterance, expected in zip(sorted(utterances, key=lambda one: len(one.audio)), EXPECTED, strict=True):
            np.testing.assert_array_equal(utterance.audio, expected.audio)
            assert utterance.labels == expected.labels
    few = read_tfds_speech(str(folder / "tiny_speech/1.0.0"), most=2)["validation"]
    assert [one.labels for one in few] == [one.labels for one in splits["validation"][:2]]
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        read_tfds_speech("tiny_speech", most=0)
    assert "tensorflow" not in sys.modules


def test_a_task_of_the_set(folder):
    task = load_sequences("tfds-speech:tiny_speech", attention=True)
    expected = speech_task({"train": EXPECTED, "validation": EXPECTED}, rate=16_000, attention=True)
    order = np.argsort(task.data.train.inputs["length"])
    np.testing.assert_allclose(task.data.train.inputs["frames"][order], expected.data.train.inputs["frames"], atol=1e-5)
    np.testing.assert_array_equal(task.data.train.targets[order], expected.data.train.targets)


def test_splits_by_the_names_of_the_set(folder):
    splits = {"train": "dev_clean", "validation": "test_clean", "test": "test_other"}
    assert list(read_tfds_speech("tiny_speech", splits=splits)) == ["train", "validation"]
    with pytest.raises(ValueError, match="no array_record files of a split 'train_other500'"):
        read_tfds_speech("tiny_speech", splits={"train": "train_other500"})
    for file in (folder / "tiny_speech/1.0.0").glob("*.array_record*"):
        file.rename(file.with_name(file.name.replace("train_clean100", "train").replace("dev_clean", "validation")))
    assert list(read_tfds_speech("tiny_speech")) == ["train", "validation"]


def test_the_newest_version_is_read(folder):
    shutil.copytree(folder / "tiny_speech/1.0.0", folder / "tiny_speech/0.9.0")
    (folder / "tiny_speech/0.9.0/features.json").write_text("{}")
    assert len(read_tfds_speech("tiny_speech")["train"]) == 5


def test_speech_that_cannot_be_read(folder, tfds_folder):
    describe(folder, sampleRate="44100")
    with pytest.raises(ValueError, match="has 44100 samples per second, not 16000"):
        read_tfds_speech("tiny_speech")
    assert len(read_tfds_speech("tiny_speech", rate=44_100)["train"]) == 5
    describe(folder, lazyDecode=True)
    with pytest.raises(ValueError, match="audio is stored compressed"):
        read_tfds_speech("tiny_speech")
    with pytest.raises(ValueError, match=r"no feature speech, only text"):
        read_tfds_speech(str(tfds_folder / "tiny_text/1.0.0"))
    with pytest.raises(FileNotFoundError, match=r"librispeech.*prepare it where there is TensorFlow, with python -c"):
        read_tfds_speech("librispeech")
