"""Numbers printed in Bisla et al. (2021): Tables 1 to 3 and the training fractions of section 4.2."""

import dataclasses

__all__ = ["FRACTIONS", "TABLE_1", "TABLE_2", "TABLE_3", "PaperRow"]

FRACTIONS = (0.03125, 0.0625, 0.125, 0.25, 0.5, 0.75, 1.0)
_IMAGENET_FRACTIONS = (
    0.0390, 0.0585, 0.0780, 0.1170, 0.1561, 0.1951, 0.3122, 0.3902, 0.5854, 0.6244, 0.7805, 1.0,
)  # fmt: skip

# Effective dimension on MNIST: of LeNet by the filters of its two convolutions, of perceptrons by their width.
TABLE_1 = {
    (2, 4): 3, (2, 8): 3, (2, 16): 3, (4, 4): 2, (4, 8): 2, (4, 16): 2, (6, 4): 2, (6, 8): 2, (6, 16): 2,
}  # fmt: skip
TABLE_2 = {10: 5, 20: 4, 50: 2, 100: 2, 200: 2, 300: 2}


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """A row of Table 3.

    Attributes:
        label: data set and model, as in the paper.
        model: name of the model on the command line.
        data: default data source, as `lcjax.load_data` takes it; "" if there is none.
        fractions: fractions of the training set (section 4.2.2).
        train_mean: mean of the Gaussian fitted to the training features, `(d,)`.
        train_variance: diagonal of its covariance, `(d,)`.
        test_mean: mean of the Gaussian fitted to the test features, `(d,)`.
        test_variance: diagonal of its covariance, `(d,)`.
        radius: delta.
    """

    label: str
    model: str
    data: str
    fractions: tuple[float, ...]
    train_mean: tuple[float, ...]
    train_variance: tuple[float, ...]
    test_mean: tuple[float, ...]
    test_variance: tuple[float, ...]
    radius: float

    @property
    def dimension(self) -> int:
        """Effective dimension."""
        return len(self.train_mean)


# The paper prints the same numbers for the training and the test features of ImageNet.
TABLE_3 = {
    "mnist-lenet": PaperRow(
        "MNIST, LeNet", "lenet", "tfds:mnist", FRACTIONS,
        (0.020, 0.012), (377.855, 264.029), (-0.061, -0.036), (384.357, 270.399), 17.375,
    ),
    "cifar10-vgg16": PaperRow(
        "CIFAR-10, VGG-16", "vgg16", "tfds:cifar10", FRACTIONS,
        (-0.004, 0.024), (98.192, 80.676), (0.009, -0.060), (87.691, 76.163), 0.890,
    ),
    "cifar10-resnet18": PaperRow(
        "CIFAR-10, ResNet-18", "resnet18", "tfds:cifar10", FRACTIONS,
        (-0.003, -0.001), (3.717, 2.789), (0.007, 0.003), (3.726, 2.662), 0.262,
    ),
    "cifar100-vgg16": PaperRow(
        "CIFAR-100, VGG-16", "vgg16", "tfds:cifar100", FRACTIONS,
        (0.023, 0.0464), (123.572, 121.108), (-0.0584, -0.116), (102.838, 97.932), 0.265,
    ),
    "cifar100-resnet18": PaperRow(
        "CIFAR-100, ResNet-18", "resnet18", "tfds:cifar100", FRACTIONS,
        (-0.001, -0.010), (3.648, 3.449), (0.003, 0.0260), (2.914, 2.811), 0.056,
    ),
    "imagenet-resnet50": PaperRow(
        "ImageNet, ResNet-50", "resnet50", "tfds:imagenet2012", _IMAGENET_FRACTIONS,
        (-0.002, -0.007, -0.020), (19.940, 14.308, 12.331), (-0.002, -0.007, -0.020), (19.940, 14.308, 12.331), 0.340,
    ),
    "udacity-convnet": PaperRow(
        "Udacity, ConvNet", "driving", "", FRACTIONS, (-0.0111,), (4.3415,), (0.0265,), (6.1000,), 0.003
    ),
}  # fmt: skip
