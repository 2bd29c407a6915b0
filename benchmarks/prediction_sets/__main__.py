"""Held-out scores of every method of `lcjax predict` on eleven pairs of data set and network.

    python -m benchmarks.prediction_sets DATA_FOLDER OUTPUT
    python -m benchmarks.prediction_sets DATA_FOLDER OUTPUT --sets digits dna --runs FOLDER
    python -m benchmarks.prediction_sets DATA_FOLDER OUTPUT --report

DATA_FOLDER contains the folders mnist, cifar10, a9a, w8a, dna, connect4, fsdd and driving, or a compact copy of all but
fsdd (`python -m benchmarks.prediction_sets.pack`). The protocol is the same for all sets: `lc.predict_learning_curve`
with its default fractions and `beyond`, one key, and three seeds. Networks and training follow `lcjax.studies.recipes`,
except that perceptrons train for at least 20 epochs, because the 3,000 steps of their recipe are less than one epoch of
the larger sets. For w8a and connect-4, which have no test split here, a random fifth of the examples is held out.
CIFAR-10 is limited to its first 13,500 training and 4,500 test images.

The target of each set is half of the smallest validation error below half of the data. The command writes
`sets/NAME.json` and the figure `curves/NAME.png` for each set, then `study.json`, `study.md` and `study.png` from
all sets in OUTPUT. Finished runs are restored from the folder of runs, on whichever machine they were trained, so
that processes can train different sets concurrently and another machine can recompute the summaries. The traceback of a
set that fails is written to `sets/NAME.error.txt`; the others continue, and the exit status is 1.
"""

import argparse
import functools
import importlib.util
import json
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lcjax as lc
from benchmarks.prediction_sets.sets import SETS, load_set, make_recipe
from benchmarks.prediction_sets.summary import summarize
from lcjax.files import write_json
from lcjax.papers.bisla import FRACTIONS
from lcjax.provenance import environment
from lcjax.studies.report import identify_data
from lcjax.typing import OnProgress, Progress

SEED = 0
FIRST_RUN = "first_run.json"  # time and device of the training, unknown to a summary from restored runs
SECONDS = 30.0  # between two lines of progress


def run_set(
    folder: Path, name: str, runs: Path, *, seeds: int, steps: int | None = None
) -> tuple[dict[str, Any], lc.Prediction]:
    """Predict the learning curve of one set, or restore its runs, and return the summary and the prediction.

    Args:
        folder: folder of the data sets.
        name: name of the set.
        runs: folder of the set's finished runs.
        seeds: runs per shard.
        steps: steps of every run, for tests; those of the recipe if None.
    """
    started, resumed = time.monotonic(), runs.exists()
    data = load_set(folder, name)
    recipe = make_recipe(data, name, steps=steps)
    key = jax.random.key(SEED)
    predict = functools.partial(lc.predict_learning_curve, key, data, recipe, seeds=seeds, folder=runs)
    prediction = predict(on_progress=progress_printer(name))
    target = choose_target(prediction)
    prediction = predict(target_error=target)
    first = runs / FIRST_RUN
    if not first.exists():
        seconds = time.monotonic() - started
        write_json(first, {"seconds": seconds, "resumed": resumed, "environment": environment()})
    assert data.test is not None
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return {
        "set": name,
        "data": SETS[name].data,
        "title": SETS[name].title,
        "network": SETS[name].network,
        "classes": data.classes,
        "configuration": {
            **identify_data(data),
            "splits": {split: len(np.asarray(part.targets)) for split, part in splits.items()},
            "recipe": recipe,
            "fractions": FRACTIONS,
            "seeds": seeds,
            "key": np.asarray(jax.random.key_data(key)),
        },
        "environment": environment(),
        "training": json.loads(first.read_text()),
        "target_error": target,
        **summarize(prediction, data.chance_error()),
    }, prediction


def choose_target(prediction: lc.Prediction) -> float:
    """Return half of the smallest validation error below half of the data, with two significant digits."""
    fitted = np.asarray(prediction.fitted)
    return float(f"{np.min(np.asarray(prediction.validation.error)[fitted]) / 2:.2g}")


def draw_curve(prediction: lc.Prediction, path: Path, title: str) -> None:
    """Draw the figure of a set; nothing without matplotlib."""
    if importlib.util.find_spec("matplotlib") is not None:
        from benchmarks.prediction_sets.figure import draw_prediction

        draw_prediction(prediction, path, title)


def progress_printer(name: str) -> OnProgress:
    """Return a callback that prints every new stage, and long stages every half minute."""
    stage, due = "", 0.0

    def report(progress: Progress) -> None:
        nonlocal stage, due
        if progress.stage != stage or time.monotonic() >= due:
            stage, due = progress.stage, time.monotonic() + SECONDS
            print(f"{name}: {stage}, {progress.done / max(progress.total, 1):.0%}", flush=True)

    return report


def run_sets(options: argparse.Namespace) -> list[str]:
    """Run the sets one after another, and return the names of those that failed."""
    failed = []
    for name in options.sets:
        started = time.monotonic()
        error = options.output / "sets" / f"{name}.error.txt"
        try:
            runs = options.runs / name
            summary, prediction = run_set(options.folder, name, runs, seeds=options.seeds, steps=options.steps)
            write_json(options.output / "sets" / f"{name}.json", summary)
            title = f"{SETS[name].title}, {SETS[name].network}"
            draw_curve(prediction, options.output / "curves" / f"{name}.png", title)
            error.unlink(missing_ok=True)
        except Exception as reason:  # the other sets are independent
            failed.append(name)
            error.parent.mkdir(parents=True, exist_ok=True)
            error.write_text(traceback.format_exc())
            print(f"{name} failed: {type(reason).__name__}: {reason}", file=sys.stderr, flush=True)
        else:
            print(f"{name}: done in {time.monotonic() - started:.0f} s", flush=True)
    return failed


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sets and write the report.

    Raises:
        SystemExit: a set failed.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help="folder of the data sets")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="folder for summaries, tables and figure")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=[*SETS], metavar="NAME", help=", ".join(SETS))
    parser.add_argument("--seeds", type=int, default=3, help="runs per shard [%(default)s]")
    parser.add_argument("--steps", type=int, help="steps of every run, for tests")
    parser.add_argument("--runs", type=Path, help="folder of finished runs [OUTPUT/runs]")
    parser.add_argument("--report", action="store_true", help="only write the report, from the sets in OUTPUT")
    options = parser.parse_args(arguments)
    options.runs = options.runs or options.output / "runs"
    failed = [] if options.report else run_sets(options)
    try:
        from benchmarks.prediction_sets.report import write_study
    except ModuleNotFoundError as missing:  # a machine that only trains
        print(f"No report: {missing}.", file=sys.stderr)
    else:
        write_study(options.output)
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
