"""Prepared sets of TensorFlow Datasets with missing files: one line that names what is missing."""

import shutil

import numpy as np
import pytest

from lcjax.data.readers.tfds import read_tfds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Prepare a table of two classes and three columns, in two shards a split."""
    import tensorflow_datasets as tfds

    with tfds.core.registered.skip_registration():

        class TinyTable(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                row = tfds.features.Tensor(shape=(3,), dtype=np.float32)
                features = tfds.features.FeaturesDict({"row": row, "label": tfds.features.ClassLabel(num_classes=2)})
                return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("row", "label"))

            def _split_generators(self, dl_manager):
                return {"train": self._generate_examples(80), "test": self._generate_examples(40)}

            def _generate_examples(self, n):
                for i in range(n):
                    yield i, {"row": np.array([i % 2, i % 3, i % 5], np.float32), "label": i % 2}

    builder = TinyTable(data_dir=tmp_path_factory.mktemp("tfds"), file_format="array_record")
    config = tfds.download.DownloadConfig(num_shards=2)
    builder.download_and_prepare(download_config=config, file_format="array_record")
    return builder.data_path


def test_a_whole_set_is_read(whole):
    splits = read_tfds(str(whole))
    assert {split: inputs.shape for split, (inputs, _) in splits.items()} == {"train": (80, 3), "test": (40, 3)}


@pytest.mark.parametrize("part", ["train.array_record-00001", "array_record"], ids=["missing_shard", "no_shards"])
def test_missing_shards_are_named(whole, tmp_path, part):
    folder = tmp_path / "tiny_table" / "1.0.0"
    shutil.copytree(whole, folder)
    for path in folder.iterdir():
        if part in path.name:
            path.unlink()
    missing = "00001-of-00002" if "train" in part else "00000-of-00002"
    with pytest.raises(FileNotFoundError) as refusal:
        read_tfds(str(folder))
    expected = f"No file {folder}/tiny_table-train.array_record-{missing}; copy or prepare its TFDS set again."
    assert str(refusal.value) == expected
