"""The tasks of Hestness et al. (2019), Tables 2 and 3, at scales for two cores."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
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
from lcjax.papers.hestness import EXPONENTS
from lcjax.studies.ranking.scales import Extent, Scale
from lcjax.studies.ranking.task import RankedTask
from lcjax.training import Program, Scoring, ScoringByError, consecutive, cosine, epochs, momentum, nesterov
from lcjax.typing import PathLike

__all__ = ["MAIN", "TASKS", "find_data", "hestness_task"]

FRAMES_AVERAGED = 4  # frames of speech averaged into one: 20 ms windows every 10 ms become one frame every 40 ms
TFDS_EXAMPLES = 8  # examples of a TFDS split read per example of the largest shard: LM1B's sentences fill a third
STRINGS_OF_EACH = 4  # strings per spoken digit: the 2,400 training recordings make about 1,900 strings

TOKENS = Scoring(tokens_of, token_mistakes)
PIECES = ScoringByError(tokens_of, token_mistakes)
CHARACTERS = ScoringByError(tokens_of, character_mistakes)


def hestness_task(name: str, path: str, scale: Scale, *, seed: int = 0) -> RankedTask:
    """Return one of the tasks by name.

    Args:
        name: a key of `TASKS`.
        path: data of the task: for images as `load_data` takes it; otherwise a folder, a file, or as `load_sequences`
            takes it, such as `tfds-words:lm1b`.
        scale: scale of the ranking.
        seed: seed of random data: splits of images, strings of digits.

    Raises:
        ValueError: the task is unknown, or its data are invalid.
        OSError: the data are missing.

    Examples:
        >>> from lcjax.studies.ranking.scales import SMOKE
        >>> task = hestness_task("images", "digits", SMOKE)
        >>> task.sizes[0], task.metric, len(task.programs)
        (10, 'error', 3)
    """
    if name not in TASKS:
        raise ValueError(f"Unknown task {name!r}; the tasks are {', '.join(TASKS)}.")
    return TASKS[name](name, path, scale, seed)


def _images(name: str, path: str, scale: Scale, seed: int) -> RankedTask:
    """Return the task of classifying images; its smallest shard has one example per class, so that chance shows."""
    data = load_data(path, seed=seed)
    extent = scale.extents["images"]
    most = min(extent.most, len(data.train.targets))
    sizes = np.geomspace(data.classes, most, 8 if most > 100 * data.classes else 6)
    models: list[nn.Module] = [MLP((width, width), data.classes) for width in extent.units]
    if name == "images, LeNet":
        models = [LeNet(filters, data.classes) for filters in ((2, 4), (4, 10), (6, 16))]
    if name == "images, ResNet":
        models = [resnet(10, width=width, classes=data.classes) for width in (1 / 16, 1 / 8, 1 / 4)]
    optimizer = {"images, momentum": momentum, "images, ResNet": nesterov}.get(name, optax.adam)
    rates = (3e-3, 1e-3) if optimizer is optax.adam else (0.1, 0.02)
    return RankedTask(
        name,
        "images",
        data,
        _programs(models, extent, loss=cross_entropy, batch=64, optimizer=optimizer),
        rates[: extent.rates],
        tuple(sorted({round(float(size)) for size in sizes})),
        metric="error",
        unit="images",
        published=EXPONENTS["images"],
    )


def _words(name: str, path: str, scale: Scale, seed: int) -> RankedTask:
    extent = scale.extents["words"]
    task = _cut(_load(path, "ptb", extent.most, size=scale.words), scale)
    highway = name == "words, RHN"
    models = [
        WordLanguageModel(
            task.data.classes,
            units,
            layers=1 if highway else 4 if name == "words, LSTM of 4 layers" else 2,
            depth=5 if highway else None,
            tied=True,
            dropout=0.2 if name == "words, dropout" else 0.0,
            spread=1.0,
        )
        for units in extent.units
    ]
    optimizer, rates = (momentum, (2.0, 0.7)) if name == "words, momentum" else (optax.adam, (2e-2, 1e-2))
    adam = "" if optimizer is momentum else "; Adam, where the paper uses SGD"
    return RankedTask(
        name,
        "words",
        task.data,
        _programs(models, extent, batch=8, optimizer=optimizer, sampling=consecutive, scoring=TOKENS),
        rates[: extent.rates],
        _sizes(task.data, scale, extent),
        metric="loss",
        unit="words",
        count_tokens=True,
        published=EXPONENTS.get(name, EXPONENTS["words, LSTM"]),
        note=_note(task, f"{scale.words:,} words{adam}"),
    )


def _characters(name: str, path: str, scale: Scale, seed: int) -> RankedTask:
    extent, depth = scale.extents["characters"], 4
    task = _cut(_load(path, "characters", extent.most), scale)
    models = [CharacterLanguageModel(task.data.classes, units, depth=depth) for units in extent.units]
    optimizer, rates = (momentum, (3.0, 1.0)) if name == "characters, momentum" else (optax.adam, (3e-2, 1e-2))
    return RankedTask(
        name,
        "characters",
        task.data,
        _programs(models, extent, batch=32, optimizer=optimizer, scoring=TOKENS),
        rates[: extent.rates],
        _sizes(task.data, scale, extent),
        metric="loss",
        unit="characters",
        count_tokens=True,
        published=EXPONENTS["characters, SGD" if optimizer is momentum else "characters, Adam"],
        note=_note(task, f"highway depth {depth} instead of 10"),
    )


def _translation(name: str, path: str, scale: Scale, seed: int) -> RankedTask:
    extent = scale.extents["translation"]
    task = _cut(_load(path, "multi30k", extent.most, size=scale.pieces, longest=30), scale)
    dropout, symbols = 0.2 if name == "translation, dropout" else 0.0, task.data.classes
    models = [Translation(symbols, symbols, units, dropout=dropout, spread=1.0) for units in extent.units]
    return RankedTask(
        name,
        "translation",
        task.data,
        _programs(models, extent, batch=32, scoring=PIECES),
        (2e-2,),
        _sizes(task.data, scale, extent),
        metric="error",
        unit="target tokens",
        count_tokens=True,
        published=EXPONENTS["translation"],
        note=_note(task, f"{scale.pieces:,} word pieces, pairs of at most 30"),
    )


def _speech(name: str, path: str, scale: Scale, seed: int) -> RankedTask:
    attention, extent = name == "speech, attention", scale.extents["speech"]
    digits = _scheme(path, "fsdd") == "fsdd"
    options = {"characters": False, "seed": seed, "repeats": STRINGS_OF_EACH} if digits else {}
    speech = _load(path, "fsdd", extent.most, attention=attention, subsampling=2 * FRAMES_AVERAGED, **options)
    task = _average_frames(_cut(speech, scale), FRAMES_AVERAGED)
    classes = task.data.classes
    models: list[nn.Module] = [
        AttentionSpeech(classes, classes - 1, units, spread=1.0)
        if attention
        else DeepSpeech(classes, units, filters=(4, 4), kernels=((11, 5), (11, 5)))
        for units in extent.units
    ]
    strings = f"strings of spoken digits, every recording in {STRINGS_OF_EACH}, digits as labels, " if digits else ""
    return RankedTask(
        name,
        "speech",
        task.data,
        _programs(models, extent, loss=token_cross_entropy if attention else ctc, batch=16, scoring=CHARACTERS),
        (5e-3,) if attention else (1e-2,),
        _sizes(task.data, scale, extent),
        metric="error",
        unit="utterances",
        published=EXPONENTS[name],
        note=_note(task, f"{strings}spectra averaged over {FRAMES_AVERAGED} frames"),
    )


TASKS: dict[str, Callable[[str, str, Scale, int], RankedTask]] = {
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


def find_data(folder: PathLike, name: str) -> str:
    """Return the data of a task in a folder that holds mnist, tinyshakespeare, ptb, multi30k and fsdd.

    Raises:
        FileNotFoundError: the data are missing.

    Examples:
        >>> find_data("/no/such/folder", "words")
        Traceback (most recent call last):
        FileNotFoundError: The task 'words' needs /no/such/folder/ptb, which does not exist.
    """
    place, scheme = _PLACES[name.partition(",")[0]]
    path = Path(folder) / place
    if not path.exists():
        raise FileNotFoundError(f"The task {name!r} needs {path}, which does not exist.")
    return f"{scheme}{path}"


def _programs(
    models: Iterable[nn.Module],
    extent: Extent,
    *,
    batch: int,
    loss: Callable[..., jax.Array] = token_cross_entropy,
    optimizer: Callable[..., optax.GradientTransformation] = optax.adam,
    sampling: Any = epochs,
    scoring: Scoring | None = None,
) -> tuple[Program, ...]:
    """Return one program per model, with the budget of the domain and a cosine schedule."""
    return tuple(
        Program(model, loss, optimizer, cosine, batch, extent.budget(), sampling, scoring=scoring) for model in models
    )


def _scheme(path: str, default: str) -> str:
    """Return the scheme that reads a path: its own, such as `tfds-words` in `tfds-words:lm1b`, or the default."""
    scheme, colon, _ = path.partition(":")
    return scheme if colon and scheme in SCHEMES else default


def _load(path: str, default: str, most: int, **options: Any) -> SequenceTask:
    scheme = _scheme(path, default)
    if scheme.startswith("tfds-"):
        options["most"] = TFDS_EXAMPLES * most
    return load_sequences(f"{scheme}:{path.removeprefix(f'{scheme}:')}", **options)


def _note(task: SequenceTask, changes: str) -> str:
    """Return the differences from the paper, the held-out examples, and the task's own notes."""
    validation, test = (len(part.targets) if part else 0 for part in (task.data.validation, task.data.test))
    held_out = f"{validation:,} validation and {test:,} test examples"
    return "; ".join((changes, held_out, *(note.rstrip(".") for note in task.notes)))


def _sizes(data: Data, scale: Scale, extent: Extent) -> tuple[int, ...]:
    largest = min(extent.most, len(data.train.targets))
    return tuple(sorted({max(2, int(largest * fraction)) for fraction in scale.shards}))


def _average_frames(task: SequenceTask, count: int) -> SequenceTask:
    """Average every `count` frames of speech into one; frames left over at the end of an utterance are dropped."""

    def average(part: Examples) -> Examples:
        inputs: Mapping[str, np.ndarray] = dict(part.inputs)
        n, most, bins = inputs["frames"].shape
        frames = inputs["frames"][:, : most - most % count].reshape(n, most // count, count, bins).mean(axis=2)
        return Examples({**inputs, "frames": frames, "length": np.asarray(inputs["length"]) // count}, part.targets)

    return _replace_splits(task, average, average)


def _cut(task: SequenceTask, scale: Scale) -> SequenceTask:
    """Keep the first examples of the validation and of the test split, as many as the scale allows."""

    def cut(part: Examples) -> Examples:
        front: Examples = jax.tree.map(lambda leaf: leaf[: scale.validation], part)
        return front

    return _replace_splits(task, lambda part: part, cut)


def _replace_splits(
    task: SequenceTask, train: Callable[[Examples], Examples], held_out: Callable[[Examples], Examples]
) -> SequenceTask:
    """Return the task with its training split and its held-out splits changed."""
    data = task.data
    test = None if data.test is None else held_out(data.test)
    splits = dataclasses.replace(data, train=train(data.train), validation=held_out(data.validation), test=test)
    return dataclasses.replace(task, data=splits)
