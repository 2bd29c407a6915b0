import gzip
import hashlib
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.data.readers import tfds as tfds_source
from lcjax.data.readers.idx import IMAGES, LABELS, read_idx
from lcjax.data.streamed import Streamed


def idx_bytes(array, magic):
    header = magic.to_bytes(4, "big") + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def idx_folder(tmp_path):
    rng = np.random.default_rng(0)
    for prefix, n in (("train", 120), ("t10k", 30)):
        images, labels = rng.integers(0, 256, (n, 5, 4)), np.arange(n) % 3
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images, IMAGES))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels, LABELS)))
    return tmp_path


def test_digits_are_a_partition_of_scikit_learns():
    from sklearn.datasets import load_digits

    data = lc.load_data("digits", seed=3)
    parts = (data.train, data.validation, data.test)
    rows = np.concatenate([np.c_[part.inputs.reshape(-1, 64), part.targets] for part in parts])
    bunch = load_digits()
    expected = np.c_[bunch.data, bunch.target]
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])
    for part in parts:
        share = np.bincount(bunch.target) * part.targets.size / 1797
        assert np.abs(np.bincount(part.targets) - share).max() < 2
    assert data.train.inputs.dtype == np.uint8


def test_seed_decides_the_split_and_only_the_split():
    first, again, other = (lc.load_data("digits", seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert first.test.inputs.shape == other.test.inputs.shape


def test_normalisation_is_of_the_training_part_only(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(5, 3, (200, 3)).astype(np.float32)
    x[:, 2] = 7.0
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(200) % 2, x_test=x + 100, y_test=np.arange(200) % 2)
    data = lc.load_data(f"npz:{tmp_path / 'a.npz'}")
    z = (data.train.inputs - data.offset) * data.scale
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(axis=0), [1, 1, 0], atol=1e-5)
    np.testing.assert_array_equal(data.test.inputs, x + 100)


def test_idx_keeps_the_official_test_split(idx_folder):
    data = lc.load_data(f"idx:{idx_folder}", validation_fraction=0.25)
    assert data.train.inputs.shape == (90, 5, 4, 1)
    assert np.bincount(data.validation.targets).tolist() == [10, 10, 10]
    test = np.random.default_rng(0)
    test.integers(0, 256, (120, 5, 4))
    np.testing.assert_array_equal(data.test.inputs[..., 0], test.integers(0, 256, (30, 5, 4)))
    np.testing.assert_array_equal(data.test.targets, np.arange(30) % 3)


def test_mnist_is_the_published_one(shared_data):
    raw = read_idx(shared_data / "mnist/t10k-images-idx3-ubyte.gz", IMAGES)
    digest = hashlib.md5(idx_bytes(raw, IMAGES), usedforsecurity=False).hexdigest()
    assert digest == "2646ac647ad5339dbf082846283269ea"
    data = lc.load_data(f"idx:{shared_data / 'mnist'}")
    assert (data.train.targets.size, data.validation.targets.size, data.test.targets.size) == (50_000, 10_000, 10_000)
    assert data.classes == 10


@pytest.mark.parametrize("damage", ["truncated", "longer", "magic", "header", "empty", "gzip", "cut gzip"])
def test_damaged_idx_is_refused_by_name(idx_folder, damage):
    path = idx_folder / "train-images-idx3-ubyte"
    raw = path.read_bytes()
    new = {
        "truncated": raw[:-1],
        "longer": raw + b"\0",
        "magic": b"\0\0\x08\x02" + raw[4:],
        "header": raw[:7],
        "empty": b"",
    }
    if damage in new:
        path.write_bytes(new[damage])
    else:
        path.unlink()
        packed = gzip.compress(raw)
        (idx_folder / f"{path.name}.gz").write_bytes(raw if damage == "gzip" else packed[: len(packed) // 2])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.*(truncated|longer|magic|not a gzip)"):
        lc.load_data(f"idx:{idx_folder}")


def test_images_and_labels_of_different_lengths(idx_folder):
    path = idx_folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(119), LABELS)))
    with pytest.raises(ValueError, match="120 inputs and 119 targets"):
        lc.load_data(f"idx:{idx_folder}")


def test_missing_folder_and_file(tmp_path, idx_folder):
    with pytest.raises(FileNotFoundError, match="No folder"):
        lc.load_data(f"idx:{tmp_path / 'none'}")
    (idx_folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="No file t10k-images-idx3-ubyte"):
        lc.load_data(f"idx:{idx_folder}")
    with pytest.raises(FileNotFoundError, match="No file"):
        lc.load_data(f"npz:{tmp_path / 'none.npz'}")
    with pytest.raises(FileNotFoundError, match=r"center_images.npy.xz"):
        lc.load_data(f"driving:{tmp_path}")


@pytest.mark.parametrize("name", ["", "mnist", "idx", "idx:", "digits:5", "ftp:there", "driving:"])
def test_unknown_names_list_the_known(name):
    with pytest.raises(ValueError, match=r"Unknown data set .*known are digits, idx:DIR, cifar10:DIR, cifar100:DIR"):
        lc.load_data(name)


@pytest.mark.parametrize(("argument", "value"), [("validation_fraction", 0.0), ("test_fraction", 1.0)])
def test_fractions_outside_the_open_interval(argument, value):
    with pytest.raises(ValueError, match=rf"{argument} must lie between 0 and 1, got {value}"):
        lc.load_data("digits", **{argument: value})


def npz(tmp_path, **arrays):
    np.savez(tmp_path / "set.npz", **arrays)
    return f"npz:{tmp_path / 'set.npz'}"


X, Y = np.random.default_rng(2).normal(size=(60, 4)), np.arange(60) % 3
HOLED = np.where(np.arange(240).reshape(60, 4) == 50, np.nan, X)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": X, "targets": np.ones(60, int)}, "one class only: every training label is 1"),
        ({"inputs": HOLED, "targets": Y}, "1 rows of the inputs are not finite, the first is row 12"),
        ({"inputs": X, "targets": np.where(Y == 0, np.inf, 0.5)}, "20 rows of the targets are not finite"),
        ({"inputs": X, "targets": Y[:59]}, "60 inputs and 59 targets"),
        ({"inputs": X, "labels": Y}, "holds only one"),
        ({"a": X, "b": Y}, "it holds a, b, not x_train"),
        ({"inputs": X, "targets": np.eye(3)[Y]}, "one number an example"),
        ({"inputs": X.astype(str), "targets": Y}, "inputs must be numbers"),
        ({"inputs": X.astype(object), "targets": Y}, "Object arrays"),
        ({"inputs": X[:, :0], "targets": Y}, "inputs are empty"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, :3], "y_test": Y}, "differ in the shape"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1}, "label 3 of the test split"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y / 2}, "floating in some splits"),
    ],
)
def test_bad_archives_are_refused(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        lc.load_data(npz(tmp_path, **arrays))


def test_a_class_that_the_split_takes_from_training_is_refused(tmp_path):
    rare = np.where(np.arange(60) == 0, 5, Y)
    assert lc.load_data(npz(tmp_path, inputs=X, targets=rare)).classes == 4
    with pytest.raises(ValueError, match="class 3 has too few examples"):
        lc.load_data(npz(tmp_path, inputs=X, targets=rare), test_fraction=0.9)


def test_truncated_archive_is_refused(tmp_path):
    npz(tmp_path, inputs=X, targets=Y)
    path = tmp_path / "set.npz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"set\.npz is not a data set that can be read"):
        lc.load_data(f"npz:{path}")


def test_labels_are_numbered_and_floating_targets_are_a_regression(tmp_path):
    data = lc.load_data(npz(tmp_path, inputs=X, targets=np.array([-1, 1])[Y % 2]))
    assert (data.classes, sorted(set(data.train.targets.tolist()))) == (2, [0, 1])
    data = lc.load_data(npz(tmp_path, inputs=X, targets=X[:, 0]))
    assert (data.classes, data.tolerance) == (0, 0.1)
    assert data.train.inputs.dtype == data.train.targets.dtype == np.float32
    np.testing.assert_array_equal(data.train.targets, data.train.inputs[:, 0])


def test_driving_is_split_into_stretches_and_balanced(shared_data):
    folder = shared_data / "driving"
    data = lc.load_data(f"driving:{folder}")
    for part in (data.train, data.validation, data.test):
        assert part.inputs.shape[1:] == (22, 66, 3)
        assert abs((part.targets == 0).mean() - 1 / 3) < 0.01
    assert data.classes == 0
    held_out = data.validation.targets.size + data.test.targets.size
    assert 0.2 < held_out / (held_out + data.train.targets.size) < 0.5


def test_driving_refuses_a_log_of_another_length(tmp_path):
    import lzma

    with lzma.open(tmp_path / "center_images.npy.xz", "wb") as file:
        np.save(file, np.zeros((3, 22, 66, 3), np.uint8))
    (tmp_path / "driving_log.csv").write_text("timestamp,steering\na,0\nb,0.1\n")
    with pytest.raises(ValueError, match="3 images and 2 steering commands"):
        lc.load_data(f"driving:{tmp_path}")
    (tmp_path / "driving_log.csv").write_text("timestamp,angle\na,0\n")
    with pytest.raises(ValueError, match="no column of numbers named steering"):
        lc.load_data(f"driving:{tmp_path}")
    (tmp_path / "center_images.npy.xz").write_bytes(b"not xz")
    with pytest.raises(ValueError, match="truncated or unreadable"):
        lc.load_data(f"driving:{tmp_path}")


TINY = """
import io, sys
import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

def png(image):
    file = io.BytesIO()
    PIL.Image.fromarray(image[..., 0]).save(file, "PNG")
    file.seek(0)
    return file

class TinyDigits(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=(6, 6, 1)), "label": tfds.features.ClassLabel(num_classes=4)}
        )
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(80, 0), "test": self._generate_examples(24, 1)}

    def _generate_examples(self, n, seed):
        images = np.random.default_rng(seed).integers(0, 256, (n, 6, 6, 1), np.uint8)
        for i in range(n):
            yield i, {"image": png(images[i]), "label": i % 4}

class TinyNet(tfds.core.GeneratorBasedBuilder):
    # Like ImageNet: images of many sizes, a validation split, and a test split without labels.
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict(
            {"image": tfds.features.Image(encoding_format="png"), "label": tfds.features.ClassLabel(num_classes=4)}
        )
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"))

    def _split_generators(self, dl_manager):
        sizes = {"train": 400, "validation": 40, "test": 8}
        return {split: self._generate_examples(n, seed) for seed, (split, n) in enumerate(sizes.items())}

    def _generate_examples(self, n, seed):
        rng = np.random.default_rng(seed)
        for i in range(n):
            image = np.full((*rng.integers(40, 60, 2), 3), 20 + 60 * (i % 4), np.uint8)
            image = (image + rng.integers(0, 30, image.shape)).astype(np.uint8)
            file = io.BytesIO()
            PIL.Image.fromarray(image).save(file, "PNG")
            file.seek(0)
            yield i, {"image": file, "label": i % 4 if seed < 2 else -1}

TinyNet(data_dir=sys.argv[1], file_format="array_record").download_and_prepare(file_format="array_record")
TinyDigits(data_dir=sys.argv[1], file_format="array_record").download_and_prepare(file_format="array_record")
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def tfds_folder(tmp_path_factory):
    """A prepared set as a download leaves it; made in another process, so that only its files are known here."""
    folder = tmp_path_factory.mktemp("tfds")
    subprocess.run([sys.executable, "-c", TINY, str(folder)], check=True, capture_output=True, timeout=120)
    return folder


@pytest.mark.parametrize("by", ["name", "folder"])
def test_tfds_set_on_disk(tfds_folder, monkeypatch, by):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_folder))
    name = "tiny_digits" if by == "name" else str(tfds_folder / "tiny_digits/1.0.0")
    data = lc.load_data(f"tfds:{name}", validation_fraction=0.25)
    assert data.train.inputs.shape == (60, 6, 6, 1)
    assert data.classes == 4
    expected = np.random.default_rng(1).integers(0, 256, (24, 6, 6, 1), np.uint8)
    order = np.lexsort(data.test.inputs.reshape(24, -1).T)
    np.testing.assert_array_equal(data.test.inputs[order], expected[np.lexsort(expected.reshape(24, -1).T)])
    image = {expected[i].tobytes(): i % 4 for i in range(24)}
    assert [image[x.tobytes()] for x in data.test.inputs] == data.test.targets.tolist()
    assert "tensorflow" not in sys.modules


def test_a_set_that_does_not_fit_is_streamed(tfds_folder, monkeypatch):
    """The same examples in the same splits, without one being read; those that are read are the resident ones."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_folder))
    resident = lc.load_data("tfds:tiny_digits")
    monkeypatch.setattr(tfds_source, "RESIDENT_BYTES", 1000)
    data = lc.load_data("tfds:tiny_digits")
    for split in ("train", "validation", "test"):
        ours, other = getattr(data, split), getattr(resident, split)
        assert isinstance(ours.inputs, Streamed)
        np.testing.assert_array_equal(ours.targets, other.targets)
        np.testing.assert_array_equal(ours.inputs[np.arange(len(ours.targets))], other.inputs)
    np.testing.assert_allclose([data.offset, data.scale], [resident.offset, resident.scale])
    assert "tfds:tiny_digits/1.0.0 train" in data.train.inputs.identity


@pytest.mark.parametrize("streamed", [False, True])
def test_images_of_many_sizes_and_a_test_split_without_labels(tfds_folder, monkeypatch, streamed):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_folder))
    if streamed:
        monkeypatch.setattr(tfds_source, "RESIDENT_BYTES", 1000)
    data = lc.load_data("tfds:tiny_net@32", validation_fraction=0.1)
    assert isinstance(data.train.inputs, Streamed) == streamed
    shapes = [part.inputs.shape for part in (data.train, data.validation, data.test)]
    assert shapes == [(360, 32, 32, 3), (40, 32, 32, 3), (40, 32, 32, 3)]
    means = data.test.inputs[np.arange(40)].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, 20 + 60 * data.test.targets + 14.5, atol=2)


def test_images_of_many_sizes_have_224_pixels(tfds_folder, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_folder))
    monkeypatch.setattr(tfds_source, "RESIDENT_BYTES", 1000)
    assert lc.load_data("tfds:tiny_net").train.inputs.shape[1:] == (224, 224, 3)
    with pytest.raises(ValueError, match="After @ comes a number of pixels, got 'small' after 'tiny_net'"):
        lc.load_data("tfds:tiny_net@small")


def test_the_centre_of_an_image_is_kept():
    """Of 14 x 28 pixels scaled to 16 x 32 the middle 14; a constant stays one, a ramp stays a ramp."""
    ramp = np.broadcast_to(np.arange(28, dtype=np.uint8)[None, :, None] * 8, (14, 28, 3))
    cut = tfds_source._sized(np.ascontiguousarray(ramp), 14)
    assert cut.shape == (14, 14, 3)
    expected = (np.arange(9, 23) + 0.5) * 28 / 32 * 8 - 4
    np.testing.assert_allclose(cut[7, :, 0], expected, atol=1)


def test_prediction_from_a_tfds_set(tfds_folder, tmp_path, monkeypatch, capsys):
    """The whole command on the path that a downloaded set takes; labels are noise, so nothing can be learned."""
    from lcjax import cli

    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_folder))
    options = "--data tfds:tiny_digits --fractions 0.1,0.25,1 --seeds 1 --steps 20 --dimension 1 --law hypercube --json"
    monkeypatch.setattr(sys, "argv", ["lcjax", "predict", *options.split(), "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    result = json.loads(capsys.readouterr().out)
    assert result["configuration"]["splits"] == {"train": 67, "validation": 13, "test": 24}
    assert result["prediction"]["measured"]["size"] == [7, 17, 34, 67]
    assert 0.4 < result["prediction"]["measured"]["error"][-1] <= 1


def test_tfds_without_network_says_how_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tfds_source, "_answers", lambda url: False)
    with pytest.raises(ConnectionError, match=r"mnist.*does not answer: fetch it beforehand.*download_and_prepare"):
        lc.load_data("tfds:mnist")
    assert not list(tmp_path.rglob("*.array_record*"))


def test_an_address_that_refuses_does_not_answer():
    assert not tfds_source._answers("http://127.0.0.1:9/set.gz")


def test_unknown_tfds_set_and_version(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="TFDS knows no data set 'no_such_set'"):
        lc.load_data("tfds:no_such_set")
    with pytest.raises(ValueError, match=r"cannot load 'mnist:9\.9\.9'"):
        lc.load_data("tfds:mnist:9.9.9")


def test_heavy_packages_wait_for_their_use():
    code = "import sys, lcjax.data.sources; print([m for m in ('sklearn', 'tensorflow_datasets') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_arrays_stay_on_the_host():
    data = lc.load_data("digits")
    assert not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(data))


def test_imagenet_is_streamed_at_224_pixels(tmp_path):
    """Of what TFDS knows without the data: 1,281,167 images of no fixed size, 193 GB of pixels."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("imagenet2012", data_dir=str(tmp_path))
    assert builder.info.supervised_keys == ("image", "label")
    side = tfds_source._side(builder, "imagenet2012", "image", None)
    assert side == 224
    assert 1_281_167 * tfds_source._bytes(builder.info.features["image"], (side, side, 3)) > tfds_source.RESIDENT_BYTES
