"""Collections in one sweep or by one process per training, and sequential collections or grids of sizes, compared.

    python -m benchmarks.collection [speed sequential] --output docs/results/collection

- `speed`: the same network, subsets and steps by a `JaxTrainer` and by a command, each in fresh processes, with imports
  and compilation, in wall-clock and in processor time; commands run one after the other.
- `sequential`: simulated curves, collected sequentially and on doubling grids of sizes of the same cost: width and
  coverage of the interval of the number of examples for a target.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.collection.sequential import CURVES, compare, summarize
from benchmarks.collection.speed import compare as compare_speed
from lcjax.files import write_json
from lcjax.provenance import environment

STEPS = (400, 4000)


def speed() -> dict[str, Any]:
    """Time both ways for two numbers of steps."""
    lines = []
    for steps in STEPS:
        lines.append(compare_speed(steps))
        print(json.dumps(lines[-1]), flush=True)
    return {"cases": lines}


def sequential() -> dict[str, Any]:
    """Compare both ways for every simulated curve."""
    lines = []
    for seed in CURVES:
        lines.append(compare(seed))
        print(json.dumps(lines[-1]), flush=True)
    return {"summary": summarize(lines), "curves": lines}


SUITES = {"speed": speed, "sequential": sequential}


def main() -> None:
    """Run the suites and write a JSON file for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("suite", nargs="*", choices=[*SUITES, []], help=f"Any of {', '.join(SUITES)} [default: all].")
    parser.add_argument("--output", type=Path, help="Folder of the results.")
    options = parser.parse_args()
    for name in options.suite or SUITES:
        started = time.perf_counter()
        result = {**environment(), **SUITES[name](), "seconds": time.perf_counter() - started}
        if options.output:
            write_json(options.output / f"{name}.json", result)
        print(json.dumps({key: value for key, value in result.items() if key != "curves"}, indent=1))


if __name__ == "__main__":
    main()
