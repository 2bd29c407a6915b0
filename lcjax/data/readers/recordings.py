"""Recordings of spoken digits: 16-bit mono audio at one rate, from a NumPy archive or WAV files."""

import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int16

from lcjax.data.readers.files import open_archive, read_bytes
from lcjax.files import reading
from lcjax.typing import PathLike

__all__ = ["Recordings", "check_rate", "read_recordings", "read_wav"]

_FIELDS = ("audio", "offsets", "digit", "speaker", "take", "sample_rate")
_NAME = re.compile(r"([0-9])_(.+)_([0-9]{1,9})\.wav", re.IGNORECASE)
_UNKNOWN_LENGTH = 0x7FFFF000  # or more, or 0: lengths that writers to a pipe leave in the header


class Recordings(NamedTuple):
    """Recordings of one spoken digit each.

    Attributes:
        audio: samples of each, int16.
        digit: 0 to 9, `(n,)`.
        speaker: number of the speaker, from 0, `(n,)`.
        take: number of the recording among those of the same speaker and digit, `(n,)`.
        rate: samples per second.
    """

    audio: list[np.ndarray]
    digit: Int[np.ndarray, " n"]
    speaker: Int[np.ndarray, " n"]
    take: Int[np.ndarray, " n"]
    rate: int


def read_wav(path: PathLike, *, rate: int) -> Int16[np.ndarray, " samples"]:
    """Read the samples of a WAV file: 16-bit PCM, one channel, `rate` samples per second.

    In a file that was written to a pipe, without lengths in its header, the samples extend to the end of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, truncated or empty, or has another rate, another sample type or several
            channels.
    """
    from scipy.io import wavfile

    raw = _fill_lengths(read_bytes(path))
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)
        warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
        try:
            file_rate, audio = wavfile.read(io.BytesIO(raw))
        except UnboundLocalError:  # SciPy found a header, but nothing behind it
            raise ValueError("it has no samples") from None
    check_rate(path, file_rate, rate)
    if audio.ndim != 1:
        raise ValueError(f"{path} has {audio.shape[1]} channels, not one: choose or mix them first.")
    if audio.dtype.kind != "i" or audio.dtype.itemsize != 2:
        raise ValueError(f"{path} has {audio.dtype.name} samples, not 16-bit integers: convert it to 16-bit PCM first.")
    if not audio.size:
        raise ValueError(f"{path} has no samples.")
    return np.asarray(audio, np.int16)


def _fill_lengths(raw: bytearray) -> bytearray:
    """Return a WAV file with the lengths of file and samples that a writer to a pipe could not know."""
    data = raw.find(b"data", 12)
    for place in (0, data) if raw.startswith(b"RIFF") and data > 0 else ():
        if 0 < int.from_bytes(raw[place + 4 : place + 8], "little") < _UNKNOWN_LENGTH:
            break
        raw = raw[: place + 4] + (len(raw) - place - 8).to_bytes(4, "little") + raw[place + 8 :]
    return raw


def check_rate(path: PathLike, actual: int, expected: int) -> None:
    """Raise ValueError if audio has another number of samples per second than expected."""
    if actual != expected:
        raise ValueError(f"{path} has {actual} samples per second, not {expected}: resample it first.")


def read_recordings(path: PathLike, *, rate: int = 8000) -> Recordings:
    """Read the Free Spoken Digit Dataset, or recordings in the same layout.

    Args:
        path: a NumPy archive with `audio` (all samples end to end, int16), `offsets` (n + 1), `digit`, `speaker`,
            `take` (n each) and `sample_rate`; or a folder of WAV files named `{digit}_{speaker}_{take}.wav`.
        rate: required samples per second.

    Returns:
        The recordings; those of a folder are sorted by speaker, digit and take.

    Raises:
        FileNotFoundError: there is no such file, or a folder has no WAV files.
        ValueError: an archive is unreadable or inconsistent, a recording has another rate or several channels, or is
            silent (all samples equal), so that its power cannot be normalized.

    Examples:
        >>> read_recordings("/no/such.npz")
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such.npz.
    """
    path = Path(path)
    recordings, names = _read_folder(path, rate) if path.is_dir() else _read_archive(path, rate)
    for name, audio in zip(names, recordings.audio, strict=True):
        if audio.min() == audio.max():
            raise ValueError(f"{path}: {name} is silent, all its {audio.size} samples are {audio[0]}: leave it out.")
    return recordings


def _read_folder(folder: Path, rate: int) -> tuple[Recordings, list[str]]:
    entries = []
    for file in sorted(file for file in folder.iterdir() if file.suffix.lower() == ".wav"):
        match = _NAME.fullmatch(file.name)
        if match is None:
            raise ValueError(f"{file} is not named DIGIT_SPEAKER_TAKE.wav.")
        entries.append((match[2], int(match[1]), int(match[3]), file))
    if not entries:
        raise FileNotFoundError(f"No WAV file in {folder}.")
    speaker, digit, take, files = zip(*sorted(entries), strict=True)
    audio = [read_wav(file, rate=rate) for file in files]
    speaker_number = np.unique(speaker, return_inverse=True)[1]
    return Recordings(audio, np.array(digit), speaker_number, np.array(take), rate), [file.name for file in files]


def _read_archive(path: Path, rate: int) -> tuple[Recordings, list[str]]:
    with open_archive(path) as archive:
        missing = [name for name in _FIELDS if name not in archive]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        audio = archive["audio"]
        if audio.ndim != 1 or audio.dtype != np.int16:
            kind = f"{audio.dtype} of shape {audio.shape}"
            raise ValueError(f"audio must be one channel of 16-bit samples, `(samples,)` int16, got {kind}")
        check_rate(path, int(_whole_numbers(archive, "sample_rate", ndim=0)), rate)
        offsets, digit, speaker, take = (_whole_numbers(archive, name) for name in _FIELDS[1:5])
        counts = [digit.size, speaker.size, take.size]
        rising = offsets.size and (offsets[0] == 0) and (offsets[-1] == audio.size) and np.all(np.diff(offsets) > 0)
        if set(counts) != {offsets.size - 1} or not rising or not digit.size:
            raise ValueError(
                f"offsets must increase from 0 to {audio.size}, the number of samples, and be one more than the "
                f"digits, speakers and takes, got {offsets.size} offsets and {counts}"
            )
        if digit.min() < 0 or digit.max() > 9:
            raise ValueError(f"digits must be 0 to 9, got {digit.min()} to {digit.max()}")
    recordings = Recordings(np.split(audio, offsets[1:-1]), digit, speaker, take, rate)
    return recordings, [f"recording {number}" for number in range(digit.size)]


def _whole_numbers(archive: Mapping[str, np.ndarray], name: str, *, ndim: int = 1) -> Int[np.ndarray, "..."]:
    """Return an array of an archive as int64, without rounding."""
    values = archive[name]
    if values.ndim == ndim and values.dtype.kind in "iuf":
        with np.errstate(invalid="ignore"):
            whole = values.astype(np.int64)
        if np.all(whole == values):
            return whole
        example = values[whole != values].flat[0]
        raise ValueError(f"{name} must be whole numbers, got {example}")
    shape = "()" if ndim == 0 else "(n,)"
    raise ValueError(f"{name} must be whole numbers of shape {shape}, got {values.dtype} of shape {values.shape}")
