"""The curves of the image classifiers of Hoiem et al. (2021) as one file for `lcjax compare`.

    python -m benchmarks.comparison.classifiers ../shared/data/hoiem2021 OUTPUT.csv

Sizes count training examples of each class; errors are fractions. The repeats of a size were trained on disjoint parts
of the data, so they do not correspond to each other between classifiers beyond their number.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

from lcjax.files import atomic_path, require_folder

NAMES = {"no_pretr_ft": "from scratch", "pretr_ft": "pre-trained", "pretr_linear": "pre-trained, linear"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the curves, one JSON file each")
    parser.add_argument("output", type=Path, help="CSV file to write")
    settings = parser.parse_args(arguments)
    with atomic_path(settings.output) as temporary, Path(temporary).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["curve", "size", "error"])
        for stem, name in NAMES.items():
            for point in json.loads((require_folder(settings.folder) / f"{stem}.json").read_text()):
                for error in point["test_errors"]:
                    writer.writerow([name, point["num_train_samples"], f"{error / 100:.4f}"])


if __name__ == "__main__":
    main()
