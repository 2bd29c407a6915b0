"""Two sweeps whose folders are committed, as they were written when functions got permanent names.

`python -m tests.training.tiny_store` writes them again. This is needed only after a change of `FORMAT` in the store:
the committed folders test whether users' results survive moves and renames.
"""

import shutil
from pathlib import Path

import jax
import numpy as np
import optax

import lcjax as lc
from lcjax.files import read_checked, write_checked
from lcjax.training import (
    Budget,
    Execution,
    InverseDecay,
    Scoring,
    StepDecay,
    cosine,
    epochs,
    nesterov,
    with_replacement,
)
from lcjax.training.augmentation import Composed, Crop, flip

FOLDER = Path(__file__).parent / "data" / "tiny-store"
CLASSES = 2


def train(folder):
    """Run a sweep of images with two programs and one of sequences; the variables of one run are kept."""
    number = np.arange(12)
    images = (number[:, None, None, None] * 7 + np.arange(16).reshape(4, 4, 1)).astype(np.uint8)
    examples = lc.Examples(images, (number % CLASSES).astype(np.int32))
    sequences = (number[:, None] + np.arange(3)).astype(np.int32) % 5
    budget = Budget(steps=4, records=2)
    programs = (
        lc.Program(lc.models.MLP((2,), CLASSES), lc.cross_entropy, optax.adam, cosine, 4, budget, epochs),
        lc.Program(
            lc.models.MLP((), CLASSES), lc.models.multiclass_hinge, nesterov, StepDecay(0.5, 2), 4, budget,
            with_replacement, augment=Composed((Crop(1), flip)),
        ),
    )  # fmt: skip
    reading = lc.Program(
        lc.models.CharacterLanguageModel(5, 2, depth=1), lc.models.token_cross_entropy, optax.sgd, InverseDecay(2), 4,
        budget, epochs, scoring=Scoring(lc.models.tokens_of, lc.models.token_mistakes),
    )  # fmt: skip
    columns = {"size": np.array([6, 12, 6]), "seed": np.array([0, 1, 0]), "learning_rate": np.array([0.01, 0.1, 0.1])}
    runs = lc.Runs(programs, np.array([0, 0, 1]), columns, lc.data.independent_shards)
    lines = lc.Examples(sequences, sequences)
    key, one = jax.random.key(0), np.zeros(1, int)
    return (
        lc.sweep(
            key, lc.Data(examples, examples, examples, classes=CLASSES), runs,
            keep=np.array([True, False, False]), folder=folder / "images", execution=Execution("vmap", 2),
        ),
        lc.sweep(
            key, lc.Data(lines, lines, None, classes=5),
            lc.Runs((reading,), one, {"size": one + 8, "seed": one, "learning_rate": one + 0.1}),
            folder=folder / "lines", execution=Execution("vmap", 2),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    train(FOLDER)
    for lock in FOLDER.glob("*/lock"):
        lock.unlink()
    for path in FOLDER.glob("*/manifest.json"):  # the machine does not matter
        write_checked(path, {name: part for name, part in read_checked(path).items() if name != "environment"})
