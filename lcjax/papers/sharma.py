"""Tables 3 to 12 of Sharma et al. (2019), as far as lcjax reproduces them: accuracies, ratios and split sizes."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "DENSE_LOSSES",
    "DENSE_TABLE",
    "LOSSES",
    "QUICK_LOSSES",
    "QUICK_TABLE",
    "TABLES",
    "TABLE_9",
    "PaperRow",
    "SplitSizes",
    "paper_row",
    "paper_rows",
    "split_sizes",
]

LOSSES = ("H", "H+W2", "H+W1", "H+LCA", "H+W2+LCA", "H+W1+LCA")  # of Tables 6 to 8


class PaperRow(NamedTuple):
    """Numbers of one loss; nan where the paper prints none."""

    accuracy: float = math.nan
    pruned_accuracy: float = math.nan
    quantized_accuracy: float = math.nan
    ratio: float = math.nan
    quantized_ratio: float = math.nan


class SplitSizes(NamedTuple):
    """Numbers of examples in a row of Table 9."""

    train: int
    validation: int
    test: int

    def validation_fraction(self) -> float:
        """Return the validation fraction outside the test set, which `lcjax.load_data` rounds to the printed number.

        Examples:
            >>> TABLE_9["dna"].validation_fraction()
            0.3
        """
        return self.validation / (self.train + self.validation)

    def test_fraction(self) -> float:
        """Return the test fraction of all examples, for a data set without a test file.

        Examples:
            >>> round(TABLE_9["connect-4"].test_fraction(), 3)
            0.2
        """
        return self.test / sum(self)


# The paper does not publish which examples are in which split.
TABLE_9 = {
    "a9a": SplitSizes(26049, 6512, 16281),
    "acoustic": SplitSizes(63058, 15765, 19705),
    "connect-4": SplitSizes(40534, 13512, 13511),
    "dna": SplitSizes(1400, 600, 1186),
    "ijcnn": SplitSizes(35000, 14990, 91701),
    "mnist": SplitSizes(47999, 12001, 10000),
    "protein": SplitSizes(14895, 2871, 6621),
    "seismic": SplitSizes(63060, 15763, 19705),
    "w8a": SplitSizes(39800, 9949, 14951),
    "webspam uni": SplitSizes(210000, 70001, 69999),
}

# Tables 6 to 8 and 10 to 12, by data set and number of hidden layers of 50 units: accuracy, accuracy after pruning and
# compression ratio, each in the order of `LOSSES`.
TABLES = {
    ("a9a", 1): (
        (0.826, 0.848, 0.849, 0.848, 0.848, 0.849),
        (0.818, 0.842, 0.840, 0.839, 0.842, 0.840),
        (2.1, 133.0, 99.2, 2.4, 133.0, 99.2),
    ),
    ("connect-4", 1): (
        (0.815, 0.820, 0.819, 0.812, 0.813, 0.819),
        (0.809, 0.810, 0.810, 0.809, 0.805, 0.810),
        (1.5, 2.3, 5.1, 1.1, 2.3, 5.1),
    ),
    ("dna", 1): (
        (0.851, 0.941, 0.954, 0.938, 0.941, 0.953),
        (0.845, 0.938, 0.950, 0.930, 0.938, 0.944),
        (1.8, 167.3, 262.9, 19.5, 167.3, 85.2),
    ),
    ("mnist", 1): (
        (0.968, 0.968, 0.938, 0.947, 0.940, 0.933),
        (0.959, 0.959, 0.929, 0.940, 0.937, 0.930),
        (2.3, 2.3, 2.3, 1.8, 3.0, 6.5),
    ),
    ("w8a", 1): (
        (0.988, 0.988, 0.988, 0.984, 0.982, 0.988),
        (0.979, 0.981, 0.979, 0.974, 0.972, 0.979),
        (3.1, 75.0, 3.1, 1377.5, 1515.2, 3.1),
    ),
    ("a9a", 2): (
        (0.831, 0.849, 0.845, 0.843, 0.847, 0.841),
        (0.827, 0.841, 0.840, 0.834, 0.839, 0.831),
        (1.3, 157.1, 72.1, 3.2, 204.7, 23.6),
    ),
    ("connect-4", 2): (
        (0.804, 0.817, 0.816, 0.816, 0.821, 0.824),
        (0.798, 0.813, 0.811, 0.808, 0.815, 0.823),
        (1.4, 1.9, 5.0, 1.6, 3.8, 4.4),
    ),
    ("dna", 2): (
        (0.812, 0.938, 0.957, 0.906, 0.938, 0.895),
        (0.803, 0.930, 0.954, 0.898, 0.930, 0.886),
        (1.4, 55.7, 172.8, 4.0, 55.7, 2.7),
    ),
    ("mnist", 2): (
        (0.953, 0.957, 0.958, 0.953, 0.959, 0.943),
        (0.948, 0.955, 0.957, 0.944, 0.952, 0.939),
        (1.4, 2.9, 2.4, 1.5, 2.9, 8.1),
    ),
    ("w8a", 2): (
        (0.986, 0.985, 0.986, 0.972, 0.975, 0.987),
        (0.978, 0.976, 0.978, 0.970, 0.970, 0.977),
        (4.4, 4.5, 4.4, 2212.8, 2528.9, 74.7),
    ),
    ("a9a", 3): (
        (0.832, 0.847, 0.845, 0.845, 0.847, 0.840),
        (0.822, 0.838, 0.836, 0.840, 0.838, 0.831),
        (1.4, 354.7, 283.8, 2.2, 354.7, 36.0),
    ),
    ("connect-4", 3): (
        (0.815, 0.820, 0.816, 0.816, 0.817, 0.813),
        (0.805, 0.811, 0.816, 0.808, 0.808, 0.808),
        (1.5, 2.1, 3.1, 1.5, 3.4, 8.7),
    ),
    ("dna", 3): (
        (0.761, 0.934, 0.957, 0.903, 0.932, 0.856),
        (0.756, 0.931, 0.950, 0.902, 0.922, 0.852),
        (1.3, 3.6, 596.0, 4.4, 18.2, 2.9),
    ),
    ("mnist", 3): (
        (0.958, 0.960, 0.961, 0.954, 0.955, 0.945),
        (0.955, 0.954, 0.960, 0.951, 0.946, 0.944),
        (1.3, 3.6, 3.1, 1.6, 3.4, 6.2),
    ),
    ("w8a", 3): (
        (0.970, 0.981, 0.980, 0.973, 0.972, 0.982),
        (0.970, 0.972, 0.971, 0.970, 0.970, 0.975),
        (1265.8, 2531.5, 2531.5, 4050.4, 5063.0, 22.0),
    ),
}

# CIFAR-10 with the quick net, Tables 4 and 3.
QUICK_TABLE = {
    "S": PaperRow(0.73, 0.72, 0.71, 1.41, 1.28),
    "S+LCA": PaperRow(0.77, 0.77, 0.75, 1.29, 1.07),
    "S+W": PaperRow(0.77, 0.76, 0.76, 6.95, 6.03),
    "S+W+BN": PaperRow(0.80, 0.79, 0.77, 1.92, 2.33),
    "S+W+BN+LCA": PaperRow(0.78, 0.77, 0.73, 1.33, 1.93),
    "S+W+BN+LCA+D": PaperRow(0.79, 0.78, 0.78, 1.16, 2.20),
    "S+W+D": PaperRow(0.77, 0.76, 0.76, 3.20, 1.46),
    "S+W+D+BN": PaperRow(0.79, 0.78, 0.79, 1.56, 2.48),
    "S+W+D+LCA": PaperRow(0.74, 0.73, 0.79, 3.77, 1.53),
    "S+W+D+LCL": PaperRow(0.78, 0.73, 0.77, 2.65, 1.05),
    "S+W+LCA": PaperRow(0.77, 0.76, 0.78, 1.89, 1.04),
    "S+W+LCL": PaperRow(0.79, 0.78, 0.79, 3.95, 1.08),
}

# CIFAR-10 with a DenseNet of 40 layers, Table 5.
DENSE_TABLE = {
    "H+D": PaperRow(0.901, 0.887, 0.901),
    "H+W+D": PaperRow(0.924, 0.913, 0.923),
    "H+W+LCL+D": PaperRow(0.924, 0.914, 0.920),
    "H+W": PaperRow(0.900, 0.886, 0.897),
    "H+W+LCL": PaperRow(0.895, 0.888, 0.889),
    "H+W1": PaperRow(0.866, 0.853, 0.857),
    "H+W1+LCL": PaperRow(0.857, 0.847, 0.854),
}

QUICK_LOSSES, DENSE_LOSSES = tuple(QUICK_TABLE), tuple(DENSE_TABLE)


def paper_rows(data: str, model: str, losses: Sequence[str]) -> dict[str, PaperRow]:
    """Return the printed numbers by loss; losses that the paper lacks are left out.

    The data set is named as in `lcjax.load_data`, the model as in `lcjax.studies.compression.compress.Compression`.

    Examples:
        >>> paper_rows("libsvm:dna.scale.gz", "2 hidden of 50,50", ("H+W1",))["H+W1"].ratio
        172.8
        >>> paper_rows("npz:cifar10.npz", "QuickNet", ("S+W", "H"))["S+W"].quantized_ratio
        6.03
    """
    if re.search("cifar10(?!0)", data.replace("-", "").lower()) and model in ("QuickNet", "DenseNet"):
        table = QUICK_TABLE if model == "QuickNet" else DENSE_TABLE
        return {name: table[name] for name in losses if name in table}
    depth, _, widths = model.partition(" hidden of ")
    if not widths or set(widths.split(",")) != {"50"}:
        return {}
    rows = {name: paper_row(data, int(depth), name) for name in losses}
    return {name: row for name, row in rows.items() if row is not None}


def paper_row(data: str, depth: int, loss: str) -> PaperRow | None:
    """Return the printed numbers of a network with `depth` hidden layers of 50 units, or None.

    Examples:
        >>> paper_row("libsvm:data/connect4/connect-4.2class.gz", 2, "H+W1").ratio, paper_row("digits", 1, "H")
        (5.0, None)
    """
    tables = [rows for (name, layers), rows in TABLES.items() if layers == depth and _file_name(data).startswith(name)]
    if not tables or loss not in LOSSES:
        return None
    accuracy, pruned, ratio = (numbers[LOSSES.index(loss)] for numbers in tables[0])
    return PaperRow(accuracy, pruned, ratio=ratio)


def split_sizes(data: str) -> SplitSizes | None:
    """Return the row of Table 9 for a data set, named as `lcjax.load_data` takes it, or None.

    Examples:
        >>> split_sizes("libsvm:data/dna/dna.scale.gz"), split_sizes("digits")
        (SplitSizes(train=1400, validation=600, test=1186), None)
    """
    return next((sizes for name, sizes in TABLE_9.items() if _file_name(data).startswith(name)), None)


def _file_name(data: str) -> str:
    return data.rstrip("/").rpartition("/")[2].rpartition(":")[2]
