"""The tasks of Hestness et al. (2018), Tables 2 and 3, at sizes that two cores allow."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lcjax.data.examples import Data, Examples
from lcjax.data.sequence_sources import load_sequences
from lcjax.data.sequences import SequenceTask
from lcjax.data.sources import load_data
from lcjax.models.language import CharacterLanguageModel, WordLanguageModel
from lcjax.models.objectives import cross_entropy
from lcjax.models.sequence_objectives import character_mistakes, ctc, token_cross_entropy, token_mistakes, tokens_of
from lcjax.models.speech import AttentionSpeech, DeepSpeech
from lcjax.models.translation import Translation
from lcjax.models.vision import MLP, LeNet
from lcjax.studies.task import Task
from lcjax.training import (
    Budget,
    Program,
    Scoring,
    adam,
    consecutive,
    cosine,
    epochs,
    momentum,
)

__all__ = ["MAIN", "REPORTED", "SMOKE", "TASKS", "Scale", "find_data", "hestness_task"]

TOKENS = Scoring(tokens_of, token_mistakes)
CHARACTERS = Scoring(tokens_of, character_mistakes)


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large a ranking is.

    Attributes:
        name: for folders and tables.
        shards: of the largest training set, each task's sizes are these shares of it.
        units: units of the recurrent nets, one model size each.
        words: size of the vocabulary of words.
        pieces: of word pieces.
        most: examples of the largest shard, by task: windows, lines, pairs, utterances, images.
        steps: of the smallest budget of each task.
        validation: validation and test examples of the long texts, at most.
    """

    name: str
    shards: tuple[float, ...]
    units: tuple[int, ...]
    words: int
    pieces: int
    most: Mapping[str, int]
    steps: Mapping[str, int]
    validation: int


SMOKE = Scale(
    "smoke",
    shards=(1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0),
    units=(16, 48),
    words=1000,
    pieces=1000,
    most={"images": 8000, "characters": 4000, "words": 1600, "translation": 4000, "speech": 480},
    steps={"images": 600, "characters": 400, "words": 300, "translation": 300, "speech": 250},
    validation=300,
)
REPORTED = Scale(
    "reported",
    shards=(1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0),
    units=(16, 48, 128),
    words=4000,
    pieces=2000,
    most={"images": 48000, "characters": 16000, "words": 6400, "translation": 16000, "speech": 480},
    steps={"images": 2000, "characters": 1500, "words": 1500, "translation": 1200, "speech": 800},
    validation=1000,
)

WORDS_PUBLISHED = (("loss", -0.066), ("model size", 0.68))
CHARACTERS_PUBLISHED = (("loss", -0.092), ("model size", 0.89))
TRANSLATION_PUBLISHED = (("error", -0.128), ("model size", 0.68))
SPEECH_PUBLISHED = (("error", -0.291), ("model size", 0.54))
IMAGES_PUBLISHED = (("error", -0.309), ("top5", -0.522), ("loss", -0.350), ("model size", 0.57))


def hestness_task(name: str, path: str, scale: Scale, *, seed: int = 0) -> Task:
    """One of the tasks by its name.

    Args:
        name: a key of `TASKS`.
        path: where its data lie: what `load_data` takes for images, a folder or file for the others.
        scale: how large.
        seed: of what is drawn when data are made: splits of images, strings of digits.

    Raises:
        ValueError: there is no such task, or the data are refused.
        OSError: the data are not there.

    Examples:
        >>> task = hestness_task("images", "digits", SMOKE)
        >>> task.sizes[0], task.metric, len(task.programs)
        (10, 'error', 3)
    """
    if name not in TASKS:
        raise ValueError(f"There is no task {name!r}; known are {', '.join(TASKS)}.")
    return TASKS[name](name, path, scale, seed)


def _images(name: str, path: str, scale: Scale, seed: int) -> Task:
    """From one example a class on, so that the best guess shows."""
    data = load_data(path, seed=seed)
    most = min(scale.most["images"], len(data.train.targets))
    few = np.geomspace(data.classes, most, 8 if most > 100 * data.classes else 6)
    budget = Budget(steps=scale.steps["images"], records=10, patience=3)
    wide = (16, 64, 256)
    nets: list[Any] = [MLP((width, width), data.classes) for width in wide]
    if name == "images, LeNet":
        nets = [LeNet(filters, data.classes) for filters in ((2, 4), (4, 10), (6, 16))]
    rates = (0.1, 0.02) if name == "images, momentum" else (3e-3, 1e-3)
    optimizer = momentum if name == "images, momentum" else adam
    programs = tuple(Program(net, cross_entropy, optimizer, cosine, 64, budget, epochs) for net in nets)
    sizes = tuple(sorted({round(float(size)) for size in few}))
    return Task(name, "images", data, programs, rates, sizes, "error", "images", published=IMAGES_PUBLISHED)


def _words(name: str, path: str, scale: Scale, seed: int) -> Task:
    task = _cut(load_sequences(f"ptb:{path}", size=scale.words), scale)
    lanes = 8
    layers = 4 if name == "words, LSTM of 4 layers" else 2
    depth = 5 if name == "words, RHN" else None
    dropout = 0.2 if name == "words, dropout" else 0.0
    nets = [
        WordLanguageModel(
            task.data.classes, units, layers=1 if depth else layers, depth=depth, tied=True, dropout=dropout
        )
        for units in scale.units
    ]
    optimizer, rates = (momentum, (2.0, 0.5)) if name == "words, momentum" else (adam, (1e-2, 3e-3))
    budget = Budget(steps=scale.steps["words"], records=8, patience=2)
    programs = tuple(
        Program(net, token_cross_entropy, optimizer, cosine, lanes, budget, consecutive, scoring=TOKENS) for net in nets
    )
    sizes = _sizes(task.data, scale, scale.most["words"])
    note = f"{scale.words:,} words" + ("" if optimizer is momentum else "; Adam, where the paper has SGD")
    return Task(
        name, "words", task.data, programs, rates, sizes, "loss", "words", True, WORDS_PUBLISHED, note
    )  # fmt: skip


def _characters(name: str, path: str, scale: Scale, seed: int) -> Task:
    task = _cut(load_sequences(f"characters:{path}"), scale)
    depth = 4
    nets = [CharacterLanguageModel(task.data.classes, units, depth=depth) for units in scale.units]
    optimizer, rates = (momentum, (1.0, 0.3)) if name == "characters, momentum" else (adam, (1e-2, 3e-3))
    budget = Budget(steps=scale.steps["characters"], records=8, patience=2)
    programs = tuple(
        Program(net, token_cross_entropy, optimizer, cosine, 32, budget, epochs, scoring=TOKENS) for net in nets
    )
    sizes = _sizes(task.data, scale, scale.most["characters"])
    note = f"highway depth {depth} instead of 10"
    return Task(
        name, "characters", task.data, programs, rates, sizes, "loss", "characters", True, CHARACTERS_PUBLISHED, note
    )  # fmt: skip


def _translation(name: str, path: str, scale: Scale, seed: int) -> Task:
    task = _cut(load_sequences(f"multi30k:{path}", size=scale.pieces, longest=30), scale)
    dropout = 0.2 if name == "translation, dropout" else 0.0
    nets = [Translation(task.data.classes, task.data.classes, units, dropout=dropout) for units in scale.units]
    budget = Budget(steps=scale.steps["translation"], records=8, patience=2)
    programs = tuple(
        Program(net, token_cross_entropy, adam, cosine, 32, budget, epochs, scoring=TOKENS) for net in nets
    )
    sizes = _sizes(task.data, scale, scale.most["translation"])
    note = f"{scale.pieces:,} word pieces, pairs of at most 30"
    return Task(
        name, "translation", task.data, programs, (1e-2,), sizes, "error", "target tokens",
        True, TRANSLATION_PUBLISHED, note
    )  # fmt: skip


def _speech(name: str, path: str, scale: Scale, seed: int) -> Task:
    attention = name == "speech, attention"
    read = load_sequences(f"fsdd:{path}", attention=attention, characters=False, seed=seed, subsampling=2)
    task = _cut(read, scale)
    classes = task.data.classes
    nets: list[Any] = [
        AttentionSpeech(classes, classes - 1, units)
        if attention
        else DeepSpeech(classes, units, filters=(4, 4), kernels=((11, 5), (11, 5)))
        for units in scale.units
    ]
    budget = Budget(steps=scale.steps["speech"], records=8, patience=3)
    objective = token_cross_entropy if attention else ctc
    programs = tuple(Program(net, objective, adam, cosine, 16, budget, epochs, scoring=CHARACTERS) for net in nets)
    sizes = _sizes(task.data, scale, scale.most["speech"])
    note = "strings of spoken digits, the digits as labels"
    return Task(
        name, "speech", task.data, programs, (5e-3,), sizes, "error", "utterances", False, SPEECH_PUBLISHED, note
    )  # fmt: skip


TASKS: dict[str, Callable[[str, str, Scale, int], Task]] = {
    "images": _images,
    "images, LeNet": _images,
    "images, momentum": _images,
    "characters": _characters,
    "characters, momentum": _characters,
    "words": _words,
    "words, LSTM of 4 layers": _words,
    "words, RHN": _words,
    "words, momentum": _words,
    "words, dropout": _words,
    "translation": _translation,
    "translation, dropout": _translation,
    "speech, CTC": _speech,
    "speech, attention": _speech,
}


MAIN = ("images", "characters", "words", "translation", "speech, CTC", "speech, attention")
_PLACES = {
    "images": ("mnist", "idx:"),
    "characters": ("tinyshakespeare/input.txt.gz", ""),
    "words": ("ptb", ""),
    "translation": ("multi30k", ""),
    "speech": ("fsdd/fsdd.npz", ""),
}


def find_data(folder: str | Path, name: str) -> str:
    """Where a task's data lie in a folder that holds mnist, tinyshakespeare, ptb, multi30k and fsdd.

    Raises:
        FileNotFoundError: they are not there.

    Examples:
        >>> find_data("/no/such/folder", "words")
        Traceback (most recent call last):
        FileNotFoundError: The task 'words' needs /no/such/folder/ptb, which is not there.
    """
    place, scheme = _PLACES[name.partition(",")[0]]
    path = Path(folder) / place
    if not path.exists():
        raise FileNotFoundError(f"The task {name!r} needs {path}, which is not there.")
    return f"{scheme}{path}"


def _sizes(data: Data, scale: Scale, most: int) -> tuple[int, ...]:
    largest = min(most, len(data.train.targets))
    return tuple(sorted({max(2, int(largest * share)) for share in scale.shards}))


def _cut(task: SequenceTask, scale: Scale) -> SequenceTask:
    """Validation and test split of at most so many examples, the first ones."""
    data = task.data
    assert data.test is not None
    validation, test = (_front(part, scale.validation) for part in (data.validation, data.test))
    return dataclasses.replace(task, data=dataclasses.replace(data, validation=validation, test=test))


def _front(part: Examples, most: int) -> Examples:
    def cut(leaf: Any) -> Any:
        return leaf[:most]

    return Examples(jax.tree.map(cut, part.inputs), cut(part.targets))
