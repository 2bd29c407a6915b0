"""Sizes and samples of the sequence data sets as read: `python -m benchmarks.sequence_data ../shared/data OUTPUT`.

Writes `tasks.json` (examples, units, padding, notes, a decoded target of each split) and `utterance.png`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import matplotlib
import numpy as np

from lcjax.data.sequences.sources import load_sequences
from lcjax.data.sequences.speech import audio_seconds
from lcjax.data.sequences.task import SequenceTask, token_counts
from lcjax.provenance import environment

TASKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ptb:{}/ptb", {}),
    ("characters:{}/tinyshakespeare/input.txt.gz", {}),
    ("multi30k:{}/multi30k", {}),
    ("multi30k:{}/multi30k", {"size": 4000}),
    ("fsdd:{}/fsdd/fsdd.npz", {}),
    ("fsdd:{}/fsdd/fsdd.npz", {"attention": True}),
    ("fsdd:{}/fsdd/fsdd.npz", {"characters": False}),
    ("fsdd:{}/fsdd/fsdd.npz", {"subsampling": 4}),
)


def described(task: SequenceTask) -> dict[str, Any]:
    """Return the numbers of a task, by split."""
    splits = {}
    for split in ("train", "validation", "test"):
        part = getattr(task.data, split)
        inputs = part.inputs if isinstance(part.inputs, dict) else {"tokens": part.inputs}
        units = token_counts(part.targets)
        splits[split] = {
            "examples": len(part.targets),
            "tokens": int(units.sum()),
            "padding": round(1 - float(units.sum()) / part.targets.size, 4),
            "inputs": {name: [*np.shape(leaf), np.asarray(leaf).dtype.name] for name, leaf in inputs.items()},
            "targets": list(part.targets.shape),
            "bytes": sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(part)),
            "first": task.vocabulary.decode(part.targets[0]),
        }
        if "length" in inputs:
            splits[split]["seconds"] = round(float(audio_seconds(np.asarray(inputs["length"])).sum()), 1)
    return {"unit": task.unit, "classes": task.data.classes, "notes": list(task.notes), "splits": splits}


def draw(task: SequenceTask, path: Path) -> None:
    """Draw the first utterance as the model receives it."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    inputs = task.data.train.inputs
    assert isinstance(inputs, dict)
    length = int(np.asarray(inputs["length"])[0])
    frames = np.asarray(inputs["frames"])[0, : length + 20]
    figure, axes = plt.subplots(figsize=(9, 3), layout="constrained")
    image = axes.imshow(
        frames.T, origin="lower", aspect="auto", extent=(0, 0.01 * len(frames), -25, 4025), cmap="magma"
    )
    axes.axvline(0.01 * length, color="white", linestyle="--")
    axes.set(xlabel="seconds (padding after the dashed line)", ylabel="Hz")
    axes.set_title(f'"{task.vocabulary.decode(task.data.train.targets[0])}"')
    figure.colorbar(image, label="log power, normalized")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Read every task and write its description."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    tasks = []
    for name, options in TASKS:
        start = time.perf_counter()
        task = load_sequences(name.format(arguments.data), **options)
        task.data.check()
        seconds = round(time.perf_counter() - start, 1)
        tasks.append({"name": name.format(arguments.data), "options": options, "read in": seconds, **described(task)})
        if name.startswith("fsdd") and not options:
            draw(task, arguments.output / "utterance.png")
    result = {"environment": environment(), "tasks": tasks}
    (arguments.output / "tasks.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
