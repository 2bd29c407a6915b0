"""Sequence tasks by name."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from lcjax.data.sequences.parallel_text import parallel_task, read_parallel
from lcjax.data.sequences.speech import speech_task
from lcjax.data.sequences.spoken_digits import read_spoken_digits
from lcjax.data.sequences.task import SequenceTask
from lcjax.data.sequences.text import characters_task, read_text, words_task
from lcjax.data.sequences.tfds import read_tfds_parallel, read_tfds_text
from lcjax.data.sequences.tfds_speech import read_tfds_speech
from lcjax.files import reading

__all__ = ["SCHEMES", "load_sequences"]

Option: TypeAlias = int | float | str | Mapping[str, str] | None
Stage: TypeAlias = Callable[..., Any]

_STAGES: dict[str, tuple[Stage, ...]] = {  # scheme -> a reader, and what makes a task of its splits
    "ptb": (read_text, words_task),
    "words": (read_text, words_task),
    "characters": (read_text, characters_task),
    "multi30k": (read_parallel, parallel_task),
    "parallel": (read_parallel, parallel_task),
    "fsdd": (read_spoken_digits,),
    "tfds-words": (read_tfds_text, words_task),
    "tfds-characters": (read_tfds_text, characters_task),
    "tfds-parallel": (read_tfds_parallel, partial(parallel_task, size=36_549)),  # Hestness et al. (2019, section A.1)
    "tfds-speech": (read_tfds_speech, partial(speech_task, rate=16_000)),
}
SCHEMES = tuple(_STAGES)


def load_sequences(name: str, **options: Option) -> SequenceTask:
    """Load a sequence task by name.

    - `ptb:DIR`, `words:PATH`: a stream of words from a folder with one file per split, or from one file (`read_text`,
      `words_task`).
    - `characters:PATH`: sequences of characters, one per line (`read_text`, `characters_task`).
    - `multi30k:DIR`, `parallel:DIR`: translation, German to English by default (`read_parallel`, `parallel_task`).
    - `fsdd:PATH`: spoken digits, joined into strings (`read_spoken_digits`).
    - `tfds-words:lm1b`, `tfds-characters:lm1b`, `tfds-parallel:wmt16_translate/de-en`, `tfds-speech:librispeech`: the
      same from TensorFlow Datasets (`lcjax.data.sequences.tfds`, `lcjax.data.sequences.tfds_speech`, `speech_task`).

    Args:
        name: "scheme:argument" as above.
        options: keyword arguments of the functions in parentheses.

    Raises:
        ValueError: the name or an option is unknown, or the reader refuses the data.
        OSError: a file or folder is missing, or a TFDS set is neither on disk nor reachable by network.

    Examples:
        >>> load_sequences("poems:here")
        Traceback (most recent call last):
        ValueError: Unknown sequence task 'poems:here'; known are ptb:, words:, characters:, multi30k:, parallel:, ...
    """
    scheme, _, argument = name.partition(":")
    if scheme not in _STAGES or not argument:
        known = ", ".join(f"{scheme}:" for scheme in _STAGES)
        raise ValueError(f"Unknown sequence task {name!r}; known are {known} followed by a path or a name of TFDS.")
    known_options = [_options_of(stage) for stage in _STAGES[scheme]]
    unknown = sorted(set(options) - set().union(*known_options))
    if unknown:
        known = ", ".join(sorted(set().union(*known_options)))
        raise ValueError(f"{scheme}: has no option {', '.join(unknown)}; its options are {known}.")
    read, *conversions = (
        partial(stage, **{option: value for option, value in options.items() if option in names})
        for stage, names in zip(_STAGES[scheme], known_options, strict=True)
    )
    result: Any = read(argument)
    with reading(argument):
        for convert in conversions:
            result = convert(result)
    task: SequenceTask = result
    return dataclasses.replace(task, data=dataclasses.replace(task.data, name=name))


def _options_of(stage: Stage) -> set[str]:
    parameters = inspect.signature(stage).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY} - {"name", "notes"}
