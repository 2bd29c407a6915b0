"""The tasks of Hestness et al. (2018), Tables 2 and 3, at sizes that two cores allow."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from lcjax.data.examples import Data, Examples
from lcjax.data.sequences.sources import SCHEMES, load_sequences
from lcjax.data.sequences.task import SequenceTask
from lcjax.data.sources import load_data
from lcjax.models.losses import cross_entropy
from lcjax.models.sequence.language import CharacterLanguageModel, WordLanguageModel
from lcjax.models.sequence.speech import AttentionSpeech, DeepSpeech
from lcjax.models.sequence.translation import Translation
from lcjax.models.sequence_losses import character_mistakes, ctc, token_cross_entropy, token_mistakes, tokens_of
from lcjax.models.vision.lenet import LeNet
from lcjax.models.vision.mlp import MLP
from lcjax.models.vision.resnet import resnet
from lcjax.studies.ranking.task import Task
from lcjax.training import (
    Budget,
    Program,
    Scoring,
    ScoringByError,
    consecutive,
    cosine,
    epochs,
    momentum,
    nesterov,
)

__all__ = ["MAIN", "REPORTED", "SMOKE", "TASKS", "Scale", "find_data", "hestness_task"]

FRAMES_AVERAGED = 4  # of speech: 20 ms windows every 10 ms become one frame every 40 ms
TFDS_EXAMPLES = 8  # of a TFDS split are read for each of the largest shard: LM1B's sentences are a third of a window
STRINGS_OF_EACH = 4  # spoken digit: the 2,400 recordings for training make about 1,900 strings

TOKENS = Scoring(tokens_of, token_mistakes)
PIECES = ScoringByError(tokens_of, token_mistakes)
CHARACTERS = ScoringByError(tokens_of, character_mistakes)


@dataclasses.dataclass(frozen=True)
class Extent:
    """How large one domain is in a ranking.

    Attributes:
        most: examples of the largest shard: images, windows of characters or words, pairs, utterances.
        units: of the nets, one model size each.
        epochs: passes over a run's own shard, at most: training stops early by the validation set.
        steps: optimizer steps at least, for the small shards.
        rates: how many of a task's learning rates are tried, the first ones.
    """

    most: int
    units: tuple[int, ...]
    epochs: float | int
    steps: int
    rates: int = 2

    def budget(self) -> Budget:
        """Of every net of the domain."""
        return Budget(steps=self.steps, epochs=self.epochs, records=12, patience=5)


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large a ranking is.

    Attributes:
        name: for folders and tables.
        shards: of the largest training set, each task's sizes are these shares of it.
        words: size of the vocabulary of words.
        pieces: of word pieces.
        validation: examples of validation and test set of texts and speech, at most.
        extents: by domain.
    """

    name: str
    shards: tuple[float, ...]
    words: int
    pieces: int
    validation: int
    extents: Mapping[str, Extent]


SMOKE = Scale(
    "smoke",
    shards=(1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0),
    words=1000,
    pieces=1000,
    validation=200,
    extents={
        "images": Extent(8000, units=(16, 64, 256), epochs=5, steps=500),
        "characters": Extent(1600, units=(16, 48), epochs=8, steps=200),
        "words": Extent(1600, units=(16, 48), epochs=3, steps=200),
        "translation": Extent(4000, units=(16, 48), epochs=6, steps=200),
        "speech": Extent(1900, units=(16, 48), epochs=8, steps=200),
    },
)
REPORTED = Scale(
    "reported",
    shards=(1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0),
    words=1000,
    pieces=1000,
    validation=400,
    extents={
        "images": Extent(32_000, units=(16, 64, 256), epochs=6, steps=1000),
        "characters": Extent(3200, units=(16, 48, 96), epochs=12, steps=1000),
        "words": Extent(6400, units=(16, 48, 96), epochs=4, steps=600, rates=1),
        "translation": Extent(8000, units=(16, 32, 64), epochs=8, steps=800),
        "speech": Extent(1900, units=(16, 32, 64), epochs=10, steps=1000),
    },
)

# Table 2, then what Table 3, or for the model size the text (4.2.1, C.2), has of the same model where it differs.
WORDS_PUBLISHED = (("loss", -0.066), ("model size", 0.68))
HIGHWAY_WORDS_PUBLISHED = (*WORDS_PUBLISHED, ("loss", -0.070))
DEEP_WORDS_PUBLISHED = (*WORDS_PUBLISHED, ("model size", 0.89))
CHARACTERS_PUBLISHED = (("loss", -0.092), ("loss", -0.094), ("model size", 0.89), ("model size", 0.92))
CHARACTERS_BY_SGD_PUBLISHED = (*CHARACTERS_PUBLISHED[:3], ("model size", 0.78))
TRANSLATION_PUBLISHED = (("error", -0.128), ("model size", 0.68))
CTC_PUBLISHED = (("error", -0.291), ("error", -0.299), ("model size", 0.54))
ATTENTION_PUBLISHED = (("error", -0.291), ("error", -0.296), ("model size", 0.54))
IMAGES_PUBLISHED = (("error", -0.309), ("top5", -0.522), ("loss", -0.350), ("model size", 0.57))


def hestness_task(name: str, path: str, scale: Scale, *, seed: int = 0) -> Task:
    """One of the tasks by its name.

    Args:
        name: a key of `TASKS`.
        path: where its data lie: what `load_data` takes for images, a folder, a file or what `load_sequences` takes,
            as `tfds-words:lm1b`, for the others.
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
    extent = scale.extents["images"]
    most = min(extent.most, len(data.train.targets))
    few = np.geomspace(data.classes, most, 8 if most > 100 * data.classes else 6)
    nets: list[Any] = [MLP((width, width), data.classes) for width in extent.units]
    if name == "images, LeNet":
        nets = [LeNet(filters, data.classes) for filters in ((2, 4), (4, 10), (6, 16))]
    if name == "images, ResNet":
        nets = [resnet(10, width=width, classes=data.classes) for width in (1 / 16, 1 / 8, 1 / 4)]
    optimizer = {"images, momentum": momentum, "images, ResNet": nesterov}.get(name, optax.adam)
    rates = (3e-3, 1e-3) if optimizer is optax.adam else (0.1, 0.02)
    programs = tuple(Program(net, cross_entropy, optimizer, cosine, 64, extent.budget(), epochs) for net in nets)
    sizes = tuple(sorted({round(float(size)) for size in few}))
    return Task(
        name, "images", data, programs, rates[: extent.rates], sizes, "error", "images", published=IMAGES_PUBLISHED
    )


def _words(name: str, path: str, scale: Scale, seed: int) -> Task:
    extent = scale.extents["words"]
    task = _cut(_load(path, "ptb", extent.most, size=scale.words), scale)
    lanes = 8
    layers = 4 if name == "words, LSTM of 4 layers" else 2
    depth = 5 if name == "words, RHN" else None
    dropout = 0.2 if name == "words, dropout" else 0.0
    nets = [
        WordLanguageModel(
            task.data.classes, units, layers=1 if depth else layers, depth=depth, tied=True, dropout=dropout, spread=1.0
        )
        for units in extent.units
    ]
    optimizer, rates = (momentum, (2.0, 0.7)) if name == "words, momentum" else (optax.adam, (2e-2, 1e-2))
    programs = tuple(
        Program(net, token_cross_entropy, optimizer, cosine, lanes, extent.budget(), consecutive, scoring=TOKENS)
        for net in nets
    )
    sizes = _sizes(task.data, scale, extent.most)
    note = _note(task, f"{scale.words:,} words" + ("" if optimizer is momentum else "; Adam, where the paper has SGD"))
    published = HIGHWAY_WORDS_PUBLISHED if depth else DEEP_WORDS_PUBLISHED if layers == 4 else WORDS_PUBLISHED
    return Task(
        name, "words", task.data, programs, rates[: extent.rates], sizes, "loss", "words", True, published, note
    )  # fmt: skip


def _characters(name: str, path: str, scale: Scale, seed: int) -> Task:
    extent = scale.extents["characters"]
    task = _cut(_load(path, "characters", extent.most), scale)
    depth = 4
    nets = [CharacterLanguageModel(task.data.classes, units, depth=depth) for units in extent.units]
    optimizer, rates = (momentum, (3.0, 1.0)) if name == "characters, momentum" else (optax.adam, (3e-2, 1e-2))
    programs = tuple(
        Program(net, token_cross_entropy, optimizer, cosine, 32, extent.budget(), epochs, scoring=TOKENS)
        for net in nets
    )
    sizes = _sizes(task.data, scale, extent.most)
    published = CHARACTERS_BY_SGD_PUBLISHED if optimizer is momentum else CHARACTERS_PUBLISHED
    note = _note(task, f"highway depth {depth} instead of 10")
    return Task(
        name, "characters", task.data, programs, rates[: extent.rates], sizes, "loss", "characters", True,
        published, note
    )  # fmt: skip


def _translation(name: str, path: str, scale: Scale, seed: int) -> Task:
    extent = scale.extents["translation"]
    task = _cut(_load(path, "multi30k", extent.most, size=scale.pieces, longest=30), scale)
    dropout = 0.2 if name == "translation, dropout" else 0.0
    nets = [
        Translation(task.data.classes, task.data.classes, units, dropout=dropout, spread=1.0) for units in extent.units
    ]
    programs = tuple(
        Program(net, token_cross_entropy, optax.adam, cosine, 32, extent.budget(), epochs, scoring=PIECES)
        for net in nets
    )
    sizes = _sizes(task.data, scale, extent.most)
    note = _note(task, f"{scale.pieces:,} word pieces, pairs of at most 30")
    return Task(
        name, "translation", task.data, programs, (2e-2,), sizes, "error", "target tokens",
        True, TRANSLATION_PUBLISHED, note
    )  # fmt: skip


def _speech(name: str, path: str, scale: Scale, seed: int) -> Task:
    attention, extent = name == "speech, attention", scale.extents["speech"]
    digits = {"characters": False, "seed": seed, "repeats": STRINGS_OF_EACH}
    of_digits = _scheme(path, "fsdd") == "fsdd"
    read = _load(
        path, "fsdd", extent.most, attention=attention, subsampling=2 * FRAMES_AVERAGED, **(digits if of_digits else {})
    )  # fmt: skip
    task = _averaged(_cut(read, scale), FRAMES_AVERAGED)
    classes = task.data.classes
    nets: list[Any] = [
        AttentionSpeech(classes, classes - 1, units, spread=1.0)
        if attention
        else DeepSpeech(classes, units, filters=(4, 4), kernels=((11, 5), (11, 5)))
        for units in extent.units
    ]
    objective = token_cross_entropy if attention else ctc
    programs = tuple(
        Program(net, objective, optax.adam, cosine, 16, extent.budget(), epochs, scoring=CHARACTERS) for net in nets
    )
    sizes = _sizes(task.data, scale, extent.most)
    strings = f"strings of spoken digits, every recording in {STRINGS_OF_EACH}, the digits as labels, "
    note = _note(task, f"{strings if of_digits else ''}spectra averaged over {FRAMES_AVERAGED} frames")
    rates = (5e-3,) if attention else (1e-2,)
    published = ATTENTION_PUBLISHED if attention else CTC_PUBLISHED
    return Task(
        name, "speech", task.data, programs, rates, sizes, "error", "utterances", False, published, note
    )  # fmt: skip


TASKS: dict[str, Callable[[str, str, Scale, int], Task]] = {
    "images": _images,
    "images, LeNet": _images,
    "images, momentum": _images,
    "images, ResNet": _images,
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


def _scheme(path: str, usual: str) -> str:
    """What reads a path: the scheme it begins with, as `tfds-words:lm1b`, or the usual one of the task."""
    scheme, colon, _ = path.partition(":")
    return scheme if colon and scheme in SCHEMES else usual


def _load(path: str, usual: str, most: int, **options: Any) -> SequenceTask:
    scheme = _scheme(path, usual)
    if scheme.startswith("tfds-"):
        options["most"] = TFDS_EXAMPLES * most
    return load_sequences(f"{scheme}:{path.removeprefix(f'{scheme}:')}", **options)


def _note(task: SequenceTask, changed: str) -> str:
    """What was changed from the paper, what was left out of the data, and how much of them scores."""
    assert task.data.validation is not None
    assert task.data.test is not None
    held = f"{len(task.data.validation.targets):,} and {len(task.data.test.targets):,} examples to validate and to test"
    return "; ".join((changed, held, *(note.rstrip(".") for note in task.notes)))


def _sizes(data: Data, scale: Scale, most: int) -> tuple[int, ...]:
    largest = min(most, len(data.train.targets))
    return tuple(sorted({max(2, int(largest * share)) for share in scale.shards}))


def _averaged(task: SequenceTask, by: int) -> SequenceTask:
    """Speech with so many frames made one, their mean; what is left over at the end of an utterance is dropped."""

    def short(part: Examples | None) -> Examples | None:
        if part is None:
            return None
        inputs = dict(part.inputs)
        frames = np.asarray(inputs["frames"])
        n, most, bins = frames.shape
        inputs["frames"] = frames[:, : most - most % by].reshape(n, most // by, by, bins).mean(axis=2)
        inputs["length"] = np.asarray(inputs["length"]) // by
        return Examples(inputs, part.targets)

    data = task.data
    train, validation = short(data.train), short(data.validation)
    assert train is not None
    assert validation is not None
    return dataclasses.replace(
        task, data=dataclasses.replace(data, train=train, validation=validation, test=short(data.test))
    )


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
