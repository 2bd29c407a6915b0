"""The seven rows of Table 3 of Bisla et al. (2021), each with its command on data of the same form."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest

from lcjax.cli.theory.predict import RowName
from lcjax.data.readers import tfds as tfds_source
from lcjax.papers.bisla import TABLE_3

SHORT = ["--fractions", "0.25,0.4,1", "--seeds", "1", "--steps", "2", "--epochs", "0"]
GIVEN = [*SHORT, "--dimension", "2"]


def blurred(seed, n, side, channels, labels):
    """Draw noise with a bright spot whose position and colour depend on the class."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 128, (n, side, side, channels), np.uint8)
    for i, label in enumerate(labels):
        row, column = divmod(int(label) % 25, 5)
        top, left = row * (side - 6) // 4, column * (side - 6) // 4
        images[i, top : top + 6, left : left + 6, (int(label) // 25) % channels] += 120
    return images


def write_mnist(folder):
    for part, n, seed in (("train", 300, 0), ("t10k", 60, 1)):
        labels = np.arange(n) % 10
        images = blurred(seed, n, 28, 1, labels)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, n, 28, 28) + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 2049, n) + labels.astype(np.uint8).tobytes()
        )
    return f"idx:{folder}"


def write_cifar(folder, classes):
    files = {"train.bin": 600, "test.bin": 200}
    if classes == 10:
        files = {**{f"data_batch_{i}.bin": 50 for i in range(1, 6)}, "test_batch.bin": 60}
    for seed, (name, n) in enumerate(files.items()):
        labels = np.arange(n) % classes
        planes = blurred(seed, n, 32, 3, labels).transpose(0, 3, 1, 2).reshape(n, -1)
        before = [labels] if classes == 10 else [labels // 5, labels]
        np.concatenate([np.stack(before, axis=1), planes], axis=1).astype(np.uint8).tofile(folder / name)
    return f"cifar{classes}:{folder}"


IMAGENET = """
import io, sys
import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

class TinyImagenet(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(num_classes=8),
            "file_name": tfds.features.Text(),
        })
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"))

    def _split_generators(self, dl_manager):
        sizes = {"train": 400, "validation": 40, "test": 8}
        return {split: self._generate_examples(n, seed) for seed, (split, n) in enumerate(sizes.items())}

    def _generate_examples(self, n, seed):
        rng = np.random.default_rng(seed)
        for i in range(n):
            image = rng.integers(0, 100, (*rng.integers(120, 160, 2), 3), np.uint8)
            image[:, :, i % 8 % 3] += np.uint8(i % 8 * 20)
            file = io.BytesIO()
            PIL.Image.fromarray(image).save(file, "JPEG")
            file.seek(0)
            yield i, {"image": file, "label": i % 8 if seed < 2 else -1, "file_name": f"{seed}-{i}.jpg"}

TinyImagenet(data_dir=sys.argv[1], file_format="array_record").download_and_prepare(file_format="array_record")
"""


def write_imagenet(folder):
    subprocess.run([sys.executable, "-c", IMAGENET, str(folder)], check=True, capture_output=True, timeout=120)
    return "tfds:tiny_imagenet@112"


def check(folder, out, row, *, dimension=None):
    """Check the output of the command of a row: the paper's numbers and ours, printed and written."""
    kept = json.loads((folder / "result.json").read_text())
    table, paper = kept["table_3"], TABLE_3[row]
    assert table["row"] == paper.label
    assert table["paper"]["radius"] == {"hypercube": paper.radius}
    assert table["paper"]["train_variance"] == list(paper.train_variance)
    prediction = kept["prediction"]
    assert len(table["ours"]) == 1
    ours = table["ours"][0]
    d = prediction["dimension"]
    assert ours["dimension"] == d == (d if dimension is None else dimension)
    covariance = np.array(prediction["train_density"]["covariance"][0])
    np.testing.assert_allclose(ours["train_variance"], np.diagonal(covariance))
    np.testing.assert_allclose(ours["test_mean"], prediction["test_density"]["mean"][0])
    radii = {
        law: method["parameters"]["radius"] for law, method in prediction["methods"].items() if law in ours["radius"]
    }
    assert {"hypercube", "hypercube_squared"} <= set(radii)
    for law, radius in radii.items():
        assert ours["radius"][law] == radius[0]
        assert ours["relative_radius"][law] == pytest.approx(radius[0] / np.sqrt(np.trace(covariance) / d), rel=1e-4)
    flat = " ".join(out.split())
    assert f"Table 3 of Bisla et al. (2021), {paper.label}" in flat
    assert "stochastic gradient descent" in flat or row == "udacity-convnet"
    assert f"{paper.radius:.4g}" in flat
    for name in ("learning_curve.png", "learning_curve.svg"):
        assert (folder / name).stat().st_size > 0
    return kept


def test_every_row_has_a_command():
    assert [row.value for row in RowName] == list(TABLE_3)
    variances = {name: row.train_variance[0] for name, row in TABLE_3.items()}
    assert variances == {
        "mnist-lenet": 377.855, "cifar10-vgg16": 98.192, "cifar10-resnet18": 3.717, "cifar100-vgg16": 123.572,
        "cifar100-resnet18": 3.648, "imagenet-resnet50": 19.940, "udacity-convnet": 4.3415,
    }  # fmt: skip
    assert [row.dimension for row in TABLE_3.values()] == [2, 2, 2, 2, 2, 3, 1]
    percent = [100 * fraction for fraction in TABLE_3["imagenet-resnet50"].fractions]
    told = [3.90, 5.85, 7.80, 11.70, 15.61, 19.51, 31.22, 39.02, 58.54, 62.44, 78.05, 100]
    np.testing.assert_allclose(percent, told)


@pytest.mark.slow
def test_mnist_lenet(lcjax, tmp_path):
    data = write_mnist(tmp_path)
    options = ["--law", "hypercube", "--output", tmp_path / "out"]
    code, out, _ = lcjax("predict", "--row", "mnist-lenet", "--data", data, *GIVEN, *options)
    assert code == 0
    kept = check(tmp_path / "out", out, "mnist-lenet", dimension=2)
    assert "momentum: 0.9 [ours]" in out
    assert "optimizer: stochastic gradient descent [paper]" in out
    assert "fractions, %: 25, 40, 100 [ours (paper: 3.125, 6.25, 12.5, 25, 50, 75, 100)]" in out
    program = kept["configuration"]["recipe"]["program"]
    assert program["model"]["type"] == "lcjax:LeNet"
    assert "momentum" in str(program["optimizer"])


@pytest.mark.slow
def test_the_dimension_of_a_row_is_measured(lcjax, tmp_path):
    data = write_mnist(tmp_path)
    options = ["--widths", "1,2", "--fine-tune-steps", "2", "--output", tmp_path / "out"]
    code, out, _ = lcjax("predict", "--row", "mnist-lenet", "--data", data, *SHORT, *options)
    assert code == 0
    kept = check(tmp_path / "out", out, "mnist-lenet")
    assert kept["prediction"]["bottleneck"]["width"] == [1, 2]
    assert (tmp_path / "out" / "assumptions.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("row", "classes", "options"),
    [
        pytest.param("cifar10-vgg16", 10, [], marks=pytest.mark.acceptance),
        pytest.param("cifar10-resnet18", 10, ["--width", "0.125"], marks=pytest.mark.slow),
        pytest.param("cifar100-vgg16", 100, [], marks=pytest.mark.acceptance),
        pytest.param("cifar100-resnet18", 100, ["--width", "0.125"], marks=pytest.mark.acceptance),
    ],
)
def test_cifar(lcjax, tmp_path, row, classes, options):
    data = write_cifar(tmp_path, classes)
    arguments = ["--row", row, "--data", data, *GIVEN, *options, "--output", tmp_path / "out"]
    code, out, _ = lcjax("predict", *arguments)
    assert code == 0
    kept = check(tmp_path / "out", out, row, dimension=2)
    sizes = [50, 80, 100, 200] if classes == 10 else [125, 200, 250, 500]
    n = 208 if classes == 10 else 500
    assert kept["configuration"]["splits"]["train"] == n
    assert kept["prediction"]["measured"]["size"] == [round(n * s / sizes[-1]) for s in sizes]


@pytest.mark.acceptance
def test_imagenet_streamed(lcjax, monkeypatch, tmp_path):
    """Train ResNet-50 in its ImageNet form, an eighth as wide, on streamed images of 112 pixels."""
    data = write_imagenet(tmp_path / "tfds")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(tfds_source, "RESIDENT_BYTES", 1000)
    out_folder = tmp_path / "out"
    arguments = ["--row", "imagenet-resnet50", "--data", data, "--width", "0.125", *SHORT, "--dimension", "3"]
    code, out, _ = lcjax("predict", *arguments, "--output", out_folder)
    assert code == 0
    kept = check(out_folder, out, "imagenet-resnet50", dimension=3)
    assert kept["configuration"]["recipe"]["program"]["model"]["imagenet_stem"] is True
    assert kept["configuration"]["splits"]["test"] == 40


@pytest.mark.slow
def test_udacity_on_the_frames_at_hand(lcjax, tmp_path, shared_data):
    arguments = ["--row", "udacity-convnet", "--data", f"driving:{shared_data / 'driving'}", *SHORT]
    code, out, _ = lcjax("predict", *arguments, "--dimension", "1", "--output", tmp_path)
    assert code == 0
    kept = check(tmp_path, out, "udacity-convnet", dimension=1)
    assert "adam" in str(kept["configuration"]["recipe"]["program"]["optimizer"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--row", "mnist-lenet", "--model", "mlp"], "--row mnist-lenet sets the model; leave out --model mlp"),
        (["--row", "udacity-convnet"], "--row udacity-convnet needs --data"),
        (
            ["--row", "mnist-lenet", "--data", "digits", "--width", "0.5"],
            "Only residual networks have a width, not lenet",
        ),
        (["--model", "mlp", "--width", "0.5"], "Only residual networks have a width, not mlp"),
        (["--model", "vgg16"], "needs at least 32 pixels per side, got (8, 8)"),
        (["--widths", "2,1"], "--widths must be distinct and ascending, got '2,1'"),
        (["--size", "5"], "The number of training examples must be 10 to 1198, got 5"),
        (
            ["--row", "cifar10-vgg16", "--data", "cifar10:/nowhere"],
            "No file data_batch_1.bin or data_batch_1 in /nowhere",
        ),
    ],
)
def test_wrong_options_are_one_line(lcjax, tmp_path, arguments, message):
    code, _, err = lcjax("predict", *arguments, "--output", tmp_path)
    assert code == 1 + ("ascending" in err)
    assert message in err
    assert len(err.strip().splitlines()) == 1
