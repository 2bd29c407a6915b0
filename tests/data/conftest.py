"""Small sets of TensorFlow Datasets, prepared on disk as after a download."""

import subprocess
import sys

import pytest

TINY = """
import io, sys
import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

def png(image):
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "PNG")
    file.seek(0)
    return file

class Tiny(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    PAIR = None

    def _info(self):
        features = tfds.features.FeaturesDict(self.FEATURES)
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=self.PAIR)

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.SPLITS}

class TinyDigits(Tiny):
    FEATURES = {"image": tfds.features.Image(shape=(6, 6, 1)), "label": tfds.features.ClassLabel(num_classes=4)}
    PAIR = ("image", "label")
    SPLITS = ("train", "test")

    def _generate_examples(self, split):
        n, seed = (80, 0) if split == "train" else (24, 1)
        images = np.random.default_rng(seed).integers(0, 256, (n, 6, 6), np.uint8)
        for i in range(n):
            yield i, {"image": png(images[i]), "label": i % 4}

class TinyNet(Tiny):
    # Like ImageNet: images of different sizes, a validation split, and a test split without labels.
    FEATURES = {"image": tfds.features.Image(encoding_format="png"), "label": tfds.features.ClassLabel(num_classes=4)}
    PAIR = ("image", "label")
    SPLITS = {"train": 80, "validation": 12, "test": 4}

    def _generate_examples(self, split):
        rng = np.random.default_rng(len(split))
        for i in range(self.SPLITS[split]):
            image = np.full((*rng.integers(40, 60, 2), 3), 20 + 60 * (i % 4), np.uint8)
            image = (image + rng.integers(0, 30, image.shape)).astype(np.uint8)
            yield i, {"image": png(image), "label": -1 if split == "test" else i % 4}

class TinyVectors(Tiny):
    # Vectors of different lengths: not one array.
    FEATURES = {"x": tfds.features.Tensor(shape=(None,), dtype=np.float32), "y": np.int64}
    PAIR = ("x", "y")
    SPLITS = ("train",)

    def _generate_examples(self, split):
        for i in range(4):
            yield i, {"x": np.zeros(1 + i // 2, np.float32), "y": i}

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

class NoTrain(TinyText):
    SPLITS = ("test",)

for builder in (TinyDigits, TinyNet, TinyVectors, TinyText, TinyPairs, TinySpeech, Latin, NoTrain):
    builder(data_dir=sys.argv[1], file_format="array_record").download_and_prepare(file_format="array_record")
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="session")
def tfds_folder(tmp_path_factory):
    """Write the sets in another process, so that this one knows only their files."""
    folder = tmp_path_factory.mktemp("tfds")
    subprocess.run([sys.executable, "-c", TINY, str(folder)], check=True, capture_output=True, timeout=240)
    return folder


@pytest.fixture
def tfds_on_disk(tfds_folder, monkeypatch):
    """Make the sets available by name."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_folder))
    return tfds_folder
