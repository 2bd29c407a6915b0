"""Named sequence tasks."""

import dataclasses
from collections.abc import Callable
from typing import Any

from lcjax.data.sequences.parallel_text import read_parallel
from lcjax.data.sequences.speech import read_digits
from lcjax.data.sequences.task import SequenceTask
from lcjax.data.sequences.text import read_characters, read_words
from lcjax.data.sequences.tfds import read_tfds_characters, read_tfds_parallel, read_tfds_words
from lcjax.data.sequences.tfds_speech import read_tfds_speech

__all__ = ["SCHEMES", "load_sequences"]

_READERS: dict[str, Callable[..., SequenceTask]] = {
    "ptb": read_words,
    "words": read_words,
    "characters": read_characters,
    "multi30k": read_parallel,
    "parallel": read_parallel,
    "fsdd": read_digits,
    "tfds-words": read_tfds_words,
    "tfds-characters": read_tfds_characters,
    "tfds-parallel": read_tfds_parallel,
    "tfds-speech": read_tfds_speech,
}
SCHEMES = tuple(_READERS)


def load_sequences(name: str, **options: Any) -> SequenceTask:
    """Load a sequence task by name.

    - `ptb:DIR`, `words:PATH`: a word stream from a folder with a file a split, or from one file (`read_words`).
    - `characters:PATH`: sequences of characters, one a line (`read_characters`).
    - `multi30k:DIR`, `parallel:DIR`: translation, German to English by default (`read_parallel`).
    - `fsdd:PATH`: spoken digits, joined into strings (`read_digits`).
    - `tfds-words:lm1b`, `tfds-characters:lm1b`, `tfds-parallel:wmt16_translate/de-en`, `tfds-speech:librispeech`: the
      same from TensorFlow Datasets (`lcjax.data.sequences.tfds`, `lcjax.data.sequences.tfds_speech`).

    Args:
        name: "scheme:argument" as above.
        options: of the reader.

    Raises:
        ValueError: unknown name, an option that the reader lacks, or what the reader refuses.
        OSError: a file or folder is missing, or a TFDS set can be had neither from disk nor from the network.

    Examples:
        >>> load_sequences("poems:here")
        Traceback (most recent call last):
        ValueError: Unknown sequence task 'poems:here'; known are ptb:, words:, characters:, multi30k:, parallel:, ...
    """
    scheme, _, argument = name.partition(":")
    if scheme not in _READERS or not argument:
        raise ValueError(
            f"Unknown sequence task {name!r}; known are {', '.join(f'{known}:' for known in _READERS)} followed by a "
            "path or a name of TFDS."
        )
    reader = _READERS[scheme]
    known = set(reader.__annotations__) - {"return"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(f"{scheme}: knows no option {', '.join(unknown)}; its options are {', '.join(sorted(known))}.")
    task = reader(argument, **options)
    return dataclasses.replace(task, data=dataclasses.replace(task.data, name=name))
