"""The tasks of Hestness et al. (2019), Tables 2 and 3, at scales that two cores can train."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax

from lcjax.data.examples import Examples
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
    """Return one of the tasks by its name in `TASKS`, at a scale.

    `path` is the location of the data: for images as `load_data` takes it; otherwise a folder, a file, or as
    `load_sequences` takes it, such as `tfds-words:lm1b`. `seed` is for random splits of images and strings of digits.

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
    """Return the task of classifying images; its smallest shard, one example per class, shows the chance level."""
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
    rates: tuple[float, ...] = (3e-3, 1e-3) if optimizer is optax.adam else (0.1, 0.02)
    programs = _programs(models, extent, loss=cross_entropy, batch=64, optimizer=optimizer)
    published, shards = EXPONENTS["images"], tuple(sorted({round(float(size)) for size in sizes}))
    rates = rates[: extent.rates]
    note = f"the paper trains ResNets on ImageNet with Nesterov momentum; {_count_rates(rates)}"
    return RankedTask(name, "images", data, programs, rates, shards, "error", "images", published=published, note=note)


def _words(name: str, path: str, scale: Scale, seed: int) -> RankedTask:
    extent = scale.extents["words"]
    task = _cut(_load(path, "ptb", extent.most, size=scale.words), scale)
    layers, depth = (1, 5) if name == "words, RHN" else (4 if name == "words, LSTM of 4 layers" else 2, None)
    dropout, symbols = 0.2 if name == "words, dropout" else 0.0, task.data.classes
    models = [
        WordLanguageModel(symbols, units, layers=layers, depth=depth, tied=True, dropout=dropout, spread=1.0)
        for units in extent.units
    ]
    optimizer, rates = (momentum, (2.0, 0.7)) if name == "words, momentum" else (optax.adam, (2e-2, 1e-2))
    adam = "" if optimizer is momentum else "; Adam, where the paper uses SGD"
    programs = _programs(models, extent, batch=8, optimizer=optimizer, sampling=consecutive, scoring=TOKENS)
    published, changes = EXPONENTS.get(name, EXPONENTS["words, LSTM"]), f"{scale.words:,} words{adam}"
    return _rank_sequences(name, task, scale, programs, rates, published, changes, metric="loss", unit="words")


def _characters(name: str, path: str, scale: Scale, seed: int) -> RankedTask:
    extent, depth = scale.extents["characters"], 4
    task = _cut(_load(path, "characters", extent.most), scale)
    models = [CharacterLanguageModel(task.data.classes, units, depth=depth) for units in extent.units]
    optimizer, rates = (momentum, (3.0, 1.0)) if name == "characters, momentum" else (optax.adam, (3e-2, 1e-2))
    programs = _programs(models, extent, batch=32, optimizer=optimizer, scoring=TOKENS)
    published = EXPONENTS["characters, SGD" if optimizer is momentum else "characters, Adam"]
    changes = f"highway depth {depth} instead of 10"
    return _rank_sequences(name, task, scale, programs, rates, published, changes, metric="loss", unit="characters")


def _translation(name: str, path: str, scale: Scale, seed: int) -> RankedTask:
    extent = scale.extents["translation"]
    task = _cut(_load(path, "multi30k", extent.most, size=scale.pieces, longest=30), scale)
    dropout, symbols = 0.2 if name == "translation, dropout" else 0.0, task.data.classes
    models = [Translation(symbols, symbols, units, dropout=dropout, spread=1.0) for units in extent.units]
    programs = _programs(models, extent, batch=32, scoring=PIECES)
    plain = "" if dropout else "; no dropout, where the printed exponent has 0.2"
    published, changes = EXPONENTS["translation"], f"{scale.pieces:,} word pieces, pairs of at most 30{plain}"
    return _rank_sequences(
        name, task, scale, programs, (2e-2,), published, changes, metric="error", unit="target tokens"
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
    loss, rates = (token_cross_entropy, (5e-3,)) if attention else (ctc, (1e-2,))
    programs = _programs(models, extent, loss=loss, batch=16, scoring=CHARACTERS)
    published, changes = EXPONENTS[name], f"{strings}spectra averaged over {FRAMES_AVERAGED} frames"
    return _rank_sequences(
        name, task, scale, programs, rates, published, changes, metric="error", unit="utterances", count_tokens=False
    )


TASKS: dict[str, Callable[[str, str, Scale, int], RankedTask]] = {
    **dict.fromkeys(("images", "images, LeNet", "images, momentum", "images, ResNet"), _images),
    **dict.fromkeys(("characters", "characters, momentum"), _characters),
    **dict.fromkeys(("words", "words, LSTM of 4 layers", "words, RHN", "words, momentum", "words, dropout"), _words),
    **dict.fromkeys(("translation", "translation, dropout"), _translation),
    **dict.fromkeys(("speech, CTC", "speech, attention"), _speech),
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


def _rank_sequences(
    name: str,
    task: SequenceTask,
    scale: Scale,
    programs: tuple[Program, ...],
    rates: tuple[float, ...],
    published: tuple[tuple[str, float], ...],
    changes: str,
    *,
    metric: str,
    unit: str,
    count_tokens: bool = True,
) -> RankedTask:
    """Return a task of sequences; its note has the differences from the paper, the held-out examples and its own."""
    domain = name.partition(",")[0]
    extent, data = scale.extents[domain], task.data
    largest = min(extent.most, len(data.train.targets))
    sizes = tuple(sorted({max(2, int(largest * fraction)) for fraction in scale.shards}))
    validation, test = (len(part.targets) if part else 0 for part in (data.validation, data.test))
    held_out = f"{validation:,} validation and {test:,} test examples"
    rates = rates[: extent.rates]
    note = "; ".join((changes, _count_rates(rates), held_out, *(note.rstrip(".") for note in task.notes)))
    return RankedTask(name, domain, data, programs, rates, sizes, metric, unit, count_tokens, published, note)


def _count_rates(rates: tuple[float, ...]) -> str:
    return "one learning rate, not selected" if len(rates) == 1 else f"{len(rates)} learning rates"


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
