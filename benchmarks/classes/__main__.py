"""Forecasts of the learning curve of every class, separately and with partial pooling.

    python -m benchmarks.classes measure DATA_FOLDER OUTPUT --runs FOLDER [--networks mnist-mlp ...]
    python -m benchmarks.classes score OUTPUT

`measure` trains four networks on eight nested shards of MNIST and CIFAR-10 (each twice as large as the one before, three
seeds) and writes the mistakes on each class as OUTPUT/NAME.json. `score` forecasts the three largest sizes of each class
from the others and writes OUTPUT/classes.json and OUTPUT/classes.png.
"""

import argparse
from pathlib import Path

from benchmarks.classes.measure import NETWORKS, measure
from lcjax.files import write_json
from lcjax.provenance import environment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("data", type=Path)
    measuring.add_argument("output", type=Path)
    measuring.add_argument("--runs", type=Path, required=True)
    measuring.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    measuring.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.networks:
        result = measure(arguments.data, name, arguments.runs, seeds=arguments.seeds)
        write_json(arguments.output / f"{name}.json", {"environment": environment(), **result})


if __name__ == "__main__":
    main()
