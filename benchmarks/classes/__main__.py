"""Forecasts of the learning curve of every class, separately and with partial pooling.

    python -m benchmarks.classes measure DATA_FOLDER OUTPUT --runs FOLDER [--networks mnist-mlp ...]
    python -m benchmarks.classes score OUTPUT
    python -m benchmarks.classes develop LCDB_FOLDER OUTPUT

`measure` trains four networks on eight nested shards of MNIST and CIFAR-10 (each twice as large as the one before,
three seeds) and writes the mistakes on each class as OUTPUT/NAME.json. `score` forecasts the three largest sizes of
each class from the others and writes OUTPUT/classes.json and OUTPUT/classes.png. `develop` is the grid from which the
settings of the pooling were chosen, OUTPUT/development.json.
"""

import argparse
import json
from pathlib import Path

from benchmarks.classes.develop import develop
from benchmarks.classes.figure import draw
from benchmarks.classes.measure import NETWORKS, measure
from benchmarks.classes.score import score
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
    scoring = commands.add_parser("score")
    scoring.add_argument("output", type=Path)
    scoring.add_argument("--draws", type=int, default=1024)
    development = commands.add_parser("develop")
    development.add_argument("data", type=Path)
    development.add_argument("output", type=Path)
    development.add_argument("--sets", type=int, default=14)
    development.add_argument("--draws", type=int, default=1024)
    arguments = parser.parse_args()
    if arguments.command == "score":
        results = {path.stem: json.loads(path.read_text()) for path in sorted(arguments.output.glob("*-*.json"))}
        summary = score(results, draws=arguments.draws)
        write_json(arguments.output / "classes.json", {"environment": environment(), **summary})
        draw(results, summary, arguments.output / "classes.png")
        print(json.dumps(summary, indent=1))
        return
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.command == "develop":
        scores = develop(arguments.data, sets=arguments.sets, draws=arguments.draws)
        write_json(arguments.output / "development.json", {"environment": environment(), **scores})
        return
    for name in arguments.networks:
        result = measure(arguments.data, name, arguments.runs, seeds=arguments.seeds)
        write_json(arguments.output / f"{name}.json", {"environment": environment(), **result})


if __name__ == "__main__":
    main()
