"""Sets of TensorFlow Datasets with text, translations and speech, as small ones on disk."""

import json
import subprocess
import sys

import numpy as np
import pytest

from lcjax.data.sequences.sources import load_sequences
from lcjax.data.sequences.speech import Utterance, speech_task

TINY = """
import sys
import numpy as np
import tensorflow_datasets as tfds

class Tiny(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.FEATURES))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.SPLITS}

class TinyText(Tiny):
    FEATURES = {"text": tfds.features.Text()}
    SPLITS = ("train", "test")

    def _generate_examples(self, split):
        for i in range(40 if split == "train" else 6):
            yield i, {"text": "" if i == 3 else f"{split} line {i % 4}"}

class TinyPairs(Tiny):
    FEATURES = {"de": tfds.features.Text(), "en": tfds.features.Text()}
    SPLITS = ("train", "validation", "test")

    def _generate_examples(self, split):
        for i in range(9):
            yield i, {"de": f"zw\\u00f6lf {split} {i}", "en": f"twelve {split} {i}"}

class TinySpeech(Tiny):
    FEATURES = {"speech": tfds.features.Tensor(shape=(None,), dtype=np.int64), "text": tfds.features.Text()}
    SPLITS = ("train_clean100", "dev_clean", "test_clean")

    def _generate_examples(self, split):
        for i in range(5):
            audio = np.random.default_rng(i).integers(-3000, 3000, 4000 + 160 * i)
            yield i, {"speech": audio, "text": "ABCB"[: 2 + i % 3]}

class Latin(Tiny):
    FEATURES = {"text": tfds.features.Text()}
    SPLITS = ("train", "test")

    def _generate_examples(self, split):
        for i in range(9):
            yield i, {"text": b"gr\\xfcn" if i == 5 else b"text"}

for builder in (TinyText, TinyPairs, TinySpeech, Latin):
    builder(data_dir=sys.argv[1], file_format="array_record").download_and_prepare(file_format="array_record")
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepared sets as a download leaves them."""
    path = tmp_path_factory.mktemp("tfds")
    subprocess.run([sys.executable, "-c", TINY, str(path)], check=True, capture_output=True, timeout=120)
    return path


@pytest.fixture(autouse=True)
def on_disk(folder, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))


def test_words_and_characters():
    task = load_sequences("tfds-words:tiny_text", size=None, unroll=100)
    parts = (task.data.train, task.data.validation)  # without a split of its own, the last sentences are for validation
    lines = "\n".join(task.vocabulary.decode(part.targets) for part in parts).split("\n")
    assert sorted(lines) == sorted(f"train line {i % 4}" for i in range(40) if i != 3)
    assert sum("1 of 38 lines" in note or "1 of 2 lines" in note for note in task.notes) == 1
    assert task.vocabulary.decode(task.data.test.targets).count("<unk> line") == 5
    assert "tensorflow" not in sys.modules
    characters = load_sequences("tfds-characters:tiny_text", longest=8)
    assert {characters.vocabulary.decode(row) for row in characters.data.train.targets} == {"train li"}
    few = load_sequences("tfds-words:tiny_text", size=None, unroll=100, most=8, validation_fraction=0.5)
    assert few.vocabulary.decode(few.data.train.targets).count("\n") < 4


def test_translation():
    task = load_sequences("tfds-parallel:tiny_pairs", size=45)
    assert len(task.data.train.targets) == 9
    pairs = {
        (task.vocabulary.decode(source), task.vocabulary.decode(target))
        for source, target in zip(task.data.train.inputs["source"], task.data.train.targets, strict=True)
    }
    assert pairs == {(f"zwölf train {i}", f"twelve train {i}") for i in range(9)}
    with pytest.raises(ValueError, match=r"has no feature fr; it has .*de"):
        load_sequences("tfds-parallel:tiny_pairs", source="fr")


def describe(folder, **audio):
    """Say in a prepared set's features.json that its speech is audio, as TFDS does where it has TensorFlow."""
    path = folder / "tiny_speech/1.0.0/features.json"
    stored = json.loads(path.read_text())
    speech = stored["featuresDict"]["features"]["speech"]
    speech["pythonClassName"] = "tensorflow_datasets.core.features.audio_feature.Audio"
    shape = {"shape": {"dimensions": ["-1"]}, "dtype": "int64", "encoding": "none"}
    speech.pop("tensor", None)
    speech["audio"] = shape | audio
    path.write_text(json.dumps(stored))


@pytest.mark.parametrize("audio", [False, True])
def test_speech(folder, audio):
    if audio:
        describe(folder, sampleRate="16000", fileFormat="flac")
    task = load_sequences("tfds-speech:tiny_speech", attention=True)
    own = [
        Utterance(np.random.default_rng(i).integers(-3000, 3000, 4000 + 160 * i), "ABCB"[: 2 + i % 3]) for i in range(5)
    ]
    expected = speech_task({"train": own, "validation": own, "test": own}, rate=16_000, attention=True)
    order = np.argsort(task.data.train.inputs["length"])
    np.testing.assert_allclose(task.data.train.inputs["frames"][order], expected.data.train.inputs["frames"], atol=1e-5)
    np.testing.assert_array_equal(task.data.train.targets[order], expected.data.train.targets)
    assert len(task.data.test.targets) == 5
    assert len(load_sequences("tfds-speech:tiny_speech", attention=True, most=2).data.train.targets) == 2
    with pytest.raises(ValueError, match="no array_record files of a split 'train_other500'"):
        load_sequences("tfds-speech:tiny_speech", splits={"train": "train_other500"})
    assert "tensorflow" not in sys.modules


def test_speech_that_cannot_be_read(folder):
    describe(folder, sampleRate="44100")
    with pytest.raises(ValueError, match="has 44100 samples a second, not 16000"):
        load_sequences("tfds-speech:tiny_speech")
    describe(folder, lazyDecode=True)
    with pytest.raises(ValueError, match="audio is stored compressed"):
        load_sequences("tfds-speech:tiny_speech")
    with pytest.raises(ValueError, match=r"no feature speech, only text"):
        load_sequences(f"tfds-speech:{folder / 'tiny_text/1.0.0'}")
    with pytest.raises(FileNotFoundError, match=r"librispeech.*prepare it where there is TensorFlow"):
        load_sequences("tfds-speech:librispeech")


def test_text_that_is_not_utf8_and_other_refusals():
    with pytest.raises(ValueError, match=r"'latin', train, example \d: text is not UTF-8 \(invalid .* byte 2"):
        load_sequences("tfds-words:latin")
    with pytest.raises(ValueError, match="has no feature text; it has"):
        load_sequences("tfds-words:tiny_pairs")
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        load_sequences("tfds-words:tiny_text", most=0)
