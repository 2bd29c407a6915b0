"""Forecasts of the learning curve of every class, separately and with partial pooling.

    python -m benchmarks.classes measure DATA_FOLDER OUTPUT --runs FOLDER [--networks mnist-mlp ...]
    python -m benchmarks.classes score OUTPUT
    python -m benchmarks.classes measure-development DATA_FOLDER OUTPUT
    python -m benchmarks.classes develop LCDB_FOLDER OUTPUT

`measure` trains four networks on eight nested shards of MNIST and CIFAR-10 (each twice as large as the one before,
three seeds) and writes the mistakes on each class as OUTPUT/NAME.json. `score` forecasts the three largest sizes of
each class from the others and writes OUTPUT/classes.json and OUTPUT/classes.png.

`measure-development` trains learners of scikit-learn on other tasks in the same way and writes their mistakes as
OUTPUT/development-runs.json. `develop` scores these and learners of one kind on LCDB's even data sets over a grid of
settings, OUTPUT/development.json, from which those of the pooling were chosen.
"""

import argparse
import json
from pathlib import Path

from benchmarks.classes.develop import develop
from benchmarks.classes.figure import draw
from benchmarks.classes.measure import NETWORKS, measure
from benchmarks.classes.pools import measure_pools
from benchmarks.classes.score import score
from lcjax.files import atomic_path, write_json
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
    pools = commands.add_parser("measure-development")
    pools.add_argument("data", type=Path)
    pools.add_argument("output", type=Path)
    development = commands.add_parser("develop")
    development.add_argument("data", type=Path)
    development.add_argument("output", type=Path)
    development.add_argument("--sets", type=int, default=14)
    development.add_argument("--draws", type=int, default=512)
    arguments = parser.parse_args()
    if arguments.command == "score":
        paths = {name: arguments.output / f"{name}.json" for name in NETWORKS}
        results = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
        summary = score(results, draws=arguments.draws)
        write_json(arguments.output / "classes.json", {"environment": environment(), **summary})
        draw(results, summary, arguments.output / "classes.png")
        print(json.dumps(summary, indent=1))
        return
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.command == "measure-development":
        runs = {"environment": environment(), "pools": measure_pools(arguments.data)}
        with atomic_path(arguments.output / "development-runs.json") as path:
            path.write_text(json.dumps(runs, separators=(",", ":")) + "\n")
        return
    if arguments.command == "develop":
        runs = json.loads((arguments.output / "development-runs.json").read_text())["pools"]
        scores = develop(arguments.data, runs, sets=arguments.sets, draws=arguments.draws)
        write_json(arguments.output / "development.json", {"environment": environment(), **scores})
        return
    for name in arguments.networks:
        result = measure(arguments.data, name, arguments.runs, seeds=arguments.seeds)
        write_json(arguments.output / f"{name}.json", {"environment": environment(), **result})


if __name__ == "__main__":
    main()
