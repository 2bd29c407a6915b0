"""Supervised sets of TensorFlow Datasets, on small examples on disk."""

import json
import shutil
import sys

import numpy as np
import pytest

import lcjax as lc
from lcjax.data.readers import tfds as tfds_source
from lcjax.data.readers.tfds import TfdsSet, _PairReader, _resize, check_shard, open_tfds, read_tfds
from lcjax.data.sequences.tfds_speech import read_tfds_speech
from lcjax.data.streamed import Streamed


@pytest.mark.parametrize("by", ["name", "folder"])
def test_a_set_on_disk(tfds_on_disk, by):
    name = "tiny_digits" if by == "name" else str(tfds_on_disk / "tiny_digits/1.0.0")
    data = lc.load_data(f"tfds:{name}", validation_fraction=0.25)
    assert data.train.inputs.shape == (60, 6, 6, 1)
    assert data.classes == 4
    expected = np.random.default_rng(1).integers(0, 256, (24, 6, 6), np.uint8)[..., None]
    order = np.lexsort(data.test.inputs.reshape(24, -1).T)
    np.testing.assert_array_equal(data.test.inputs[order], expected[np.lexsort(expected.reshape(24, -1).T)])
    image = {expected[i].tobytes(): i % 4 for i in range(24)}
    assert [image[x.tobytes()] for x in data.test.inputs] == data.test.targets.tolist()
    assert "tensorflow" not in sys.modules


def test_a_set_that_does_not_fit_is_streamed(tfds_on_disk, monkeypatch):
    """The streamed splits have the same examples, none of which is read early; those read equal the resident ones."""
    resident = lc.load_data("tfds:tiny_digits")
    monkeypatch.setattr(tfds_source, "RESIDENT_BYTES", 104 * 36 - 1)
    data = lc.load_data("tfds:tiny_digits")
    for split in ("train", "validation", "test"):
        ours, other = getattr(data, split), getattr(resident, split)
        assert isinstance(ours.inputs, Streamed)
        np.testing.assert_array_equal(ours.targets, other.targets)
        np.testing.assert_array_equal(ours.inputs[np.arange(len(ours.targets))], other.inputs)
    np.testing.assert_allclose([data.offset, data.scale], [resident.offset, resident.scale])
    assert data.train.inputs.identity == "tfds:tiny_digits/1.0.0 train"
    monkeypatch.setattr(tfds_source, "RESIDENT_BYTES", 104 * 36)
    assert isinstance(read_tfds("tiny_digits")["train"][0], np.ndarray)


@pytest.mark.parametrize("streamed", [False, True])
def test_images_of_many_sizes_and_a_test_split_without_labels(tfds_on_disk, monkeypatch, streamed):
    if streamed:
        monkeypatch.setattr(tfds_source, "RESIDENT_BYTES", 1000)
    splits = read_tfds("tiny_net@32")
    assert {split: inputs.shape for split, (inputs, _) in splits.items()} == {
        "train": (80, 32, 32, 3),
        "test": (12, 32, 32, 3),
    }
    inputs, targets = splits["test"]
    assert isinstance(inputs, Streamed) == streamed
    if streamed:
        assert inputs.identity == "tfds:tiny_net/1.0.0 validation 32"
    means = inputs[np.arange(12)].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, 20 + 60 * targets + 14.5, atol=2)


def test_images_of_many_sizes_have_224_pixels(tfds_on_disk, monkeypatch):
    monkeypatch.setattr(tfds_source, "RESIDENT_BYTES", 1000)
    assert read_tfds("tiny_net")["train"][0].shape == (80, 224, 224, 3)


def test_the_centre_of_an_image_is_kept():
    """Images of 14 x 28 pixels are scaled to 16 x 32 and cropped to the middle 14; constants and ramps are kept."""
    ramp = np.broadcast_to(np.arange(28, dtype=np.uint8)[None, :, None] * 8, (14, 28, 3))
    expected = (np.arange(9, 23) + 0.5) * 28 / 32 * 8 - 4
    for image in (ramp, ramp.transpose(1, 0, 2), ramp[..., :1]):
        cut = _resize(np.ascontiguousarray(image), 14)
        assert cut.shape == (14, 14, image.shape[-1])
        across = cut[7, :, 0] if image.shape[1] == 28 else cut[:, 7, 0]
        np.testing.assert_allclose(across, expected, atol=1)
    assert _resize(ramp, None) is ramp


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny_net@small", "Expected a number of pixels after @, got 'small' after 'tiny_net'"),
        ("tiny_net@0", "got '0'"),
        ("tiny_vectors@8", r"'tiny_vectors': its inputs are not images to resize to 8: \(None,\)"),
        ("tiny_vectors", r"train, example \d cannot be read: its input has shape \(\d,\), not \(\d,\)"),
        ("tiny_text", r"'tiny_text' declares no pair of input and target \(supervised_keys=None\)"),
        ("no_such_set", "The TFDS set 'no_such_set' does not exist, and there is no such folder"),
        ("mnist:9.9.9", r"The TFDS set 'mnist:9\.9\.9' cannot be read: .*9\.9\.9"),
    ],
)
def test_sets_that_cannot_be_read(tfds_on_disk, name, message):
    with pytest.raises(ValueError, match=message):
        read_tfds(name)


def test_inputs_that_are_not_numbers_and_missing_splits(tfds_on_disk):
    with pytest.raises(
        ValueError, match=r"The TFDS set 'tiny_pairs', train cannot be read: its inputs are .S14, not numbers"
    ):
        _PairReader(open_tfds("tiny_pairs"), "de", "en").read("train")
    with pytest.raises(ValueError, match="'no_train' has no split train, only test"):
        _ = open_tfds("no_train").splits
    assert open_tfds("tiny_pairs").splits == ["train", "validation", "test"]


@pytest.fixture
def copy(tfds_folder, tmp_path, monkeypatch):
    """Return a function that copies a set, which then is the only one of its name, and returns its folder."""

    def copy(name):
        shutil.copytree(tfds_folder / name, tmp_path / name, dirs_exist_ok=True)
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        return tmp_path / name / "1.0.0"

    return copy


FEATURES = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
SEQUENCE = "tensorflow_datasets.core.features.sequence_feature.Sequence"
HOSTILE = {
    "a field": {"pythonClassName": FEATURES, "featuresDict": {"features": {"x": {"pythonClassName": "evil.Evil"}}}},
    "a field in snake case": {
        "python_class_name": FEATURES, "features_dict": {"features": {"x": {"python_class_name": "evil.Evil"}}}
    },
    "the root": {"pythonClassName": "evil.Evil", "jsonFeature": {"json": "{}"}},
    "the old form": {"type": FEATURES, "content": {"x": {"type": "evil.Evil", "content": {}}}},
    "JSON in JSON": {
        "pythonClassName": SEQUENCE,
        "jsonFeature": {"json": json.dumps({"length": 1, "feature": {"type": "evil.Evil", "content": {}}})},
    },
    "a class of the standard library": {"type": "antigravity.Evil", "content": {}},
    "another class of TFDS": {"type": "tensorflow_datasets.core.dataset_builder.DatasetBuilder", "content": {}},
}  # fmt: skip


@pytest.mark.parametrize("place", HOSTILE)
def test_no_module_is_imported_that_a_set_names(copy, monkeypatch, tmp_path, place):
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = copy("tiny_digits")
    (folder / "features.json").write_text(json.dumps(HOSTILE[place]))
    for name in ("tiny_digits", "TinyDigits", str(folder)):
        with pytest.raises(ValueError, match=r"Evil' is not a feature|DatasetBuilder' is not a feature"):
            read_tfds(name)
    assert not {"evil", "antigravity"} & set(sys.modules)


def test_no_module_is_imported_that_a_set_of_speech_names(copy, monkeypatch, tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = copy("tiny_speech") / "features.json"
    stored = json.loads(path.read_text())
    stored["featuresDict"]["features"]["text"]["pythonClassName"] = "evil.Evil"
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"features\.json, speech cannot be read: 'evil\.Evil' is not a feature"):
        read_tfds_speech("tiny_speech")


def test_the_users_own_features_are_restored_as_before(tfds_on_disk):
    """TFDS itself is unchanged after a read, also after a failed one."""
    from tensorflow_datasets.core.features import FeatureConnector

    before = vars(FeatureConnector)["cls_from_name"]
    open_tfds("tiny_text")
    with pytest.raises(ValueError, match="does not exist"):
        open_tfds("no_such_set")
    assert vars(FeatureConnector)["cls_from_name"] is before


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"name": 3}', "[" * 100_000, '{"splits": [{"name": []}]}'])
@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
def test_a_broken_description_is_one_line(copy, file, content):
    folder = copy("tiny_digits")
    (folder / file).write_text(content)
    with pytest.raises(ValueError, match=r"^The TFDS set '.*tiny_digits/1\.0\.0'.*[^.]\.$") as refusal:
        read_tfds(str(folder))
    assert "\n" not in str(refusal.value)


def test_missing_and_damaged_shards_are_named(copy):
    folder = copy("tiny_digits")
    (shard,) = folder.glob("*test.array_record*")
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"{shard.name} cannot be read"):
        read_tfds(str(folder))
    shutil.copy(next(folder.glob("*train.array_record*")), shard)
    with pytest.raises(ValueError, match=rf"{shard.name} .*it has 80 examples, but dataset_info\.json says 24\."):
        read_tfds(str(folder))
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{shard.name}; copy or prepare its TFDS set again"):
        read_tfds(str(folder))


def test_a_missing_shard_of_speech_is_named(copy):
    folder = copy("tiny_speech")
    (shard,) = folder.glob("*train_clean100.array_record*")
    for number in (0, 2):
        shutil.copy(shard, folder / shard.name.replace("00000-of-00001", f"{number:05d}-of-00003"))
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=r"No file .*00001-of-00003; copy or prepare"):
        read_tfds_speech("tiny_speech")
    check_shard(str(folder / shard.name.replace("00000-of-00001", "00002-of-00003")), 5)


def test_a_set_that_is_not_array_record_is_refused(tfds_on_disk, monkeypatch):
    prepared = open_tfds("tiny_text")
    monkeypatch.setattr(
        type(prepared.builder), "as_data_source", lambda *_, **__: (_ for _ in ()).throw(NotImplementedError)
    )
    with pytest.raises(ValueError, match="'tiny_text' is not stored as array_record: prepare it with"):
        prepared.source("train")


def test_without_network_the_message_says_how_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tfds_source, "_answers", lambda url: False)
    with pytest.raises(ConnectionError, match=r"mnist.*does not answer: fetch it beforehand.*download_and_prepare"):
        lc.load_data("tfds:mnist")
    assert not list(tmp_path.rglob("*.array_record*"))


def test_an_address_that_refuses_does_not_answer():
    assert not tfds_source._answers("http://127.0.0.1:9/set.gz")


def test_imagenet_is_streamed_at_224_pixels(tmp_path):
    """TFDS knows without the data that these are 1,281,167 images of variable size, 193 GB of pixels."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("imagenet2012", data_dir=str(tmp_path))
    assert builder.info.supervised_keys == ("image", "label")
    reader = _PairReader(TfdsSet("imagenet2012", builder), "image", "label")
    assert (reader.pixels, reader.example_bytes) == (224, 224 * 224 * 3)
    assert 1_281_167 * reader.example_bytes > tfds_source.RESIDENT_BYTES
    assert _PairReader(TfdsSet("imagenet2012", builder), "label", "label").pixels is None


@pytest.mark.slow
def test_prediction_from_a_tfds_set(tfds_on_disk, tmp_path, monkeypatch, capsys):
    """Run the whole command on the path of a downloaded set; labels are noise, so nothing can be learned."""
    from lcjax import cli

    options = "--data tfds:tiny_digits --fractions 0.1,0.25,1 --seeds 1 --steps 20 --dimension 1 --law hypercube --json"
    monkeypatch.setattr(sys, "argv", ["lcjax", "predict", *options.split(), "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    result = json.loads(capsys.readouterr().out)
    assert result["configuration"]["splits"] == {"train": 67, "validation": 13, "test": 24}
    assert result["prediction"]["measured"]["size"] == [7, 17, 34, 67]
    assert 0.4 < result["prediction"]["measured"]["error"][-1] <= 1
