"""Recordings of spoken digits: 16-bit audio in one channel at one rate, from a NumPy archive or WAV files."""

import re
import wave
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

__all__ = ["Recordings", "read_recordings", "read_wav"]

_NEEDED = ("audio", "offsets", "digit", "speaker", "take", "sample_rate")
_NAME = re.compile(r"(\d)_(.+)_(\d+)\.wav")


class Recordings(NamedTuple):
    """One spoken digit each.

    Attributes:
        audio: samples of each, int16.
        digit: 0 to 9, `(n,)`.
        speaker: who speaks, numbered from 0, `(n,)`.
        take: which of this speaker's recordings of this digit, `(n,)`.
        rate: samples a second.
    """

    audio: list[np.ndarray]
    digit: Int[np.ndarray, " n"]
    speaker: Int[np.ndarray, " n"]
    take: Int[np.ndarray, " n"]
    rate: int


def read_wav(path: str | Path, *, rate: int) -> Int[np.ndarray, " samples"]:
    """Samples of a WAV file: 16-bit PCM, one channel, at the given rate.

    Args:
        path: the file.
        rate: samples a second that it must have.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or empty, or has another rate, another width or more channels.

    Examples:
        >>> read_wav("/no/such.wav", rate=8000)
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such.wav.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No file {path}.")
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, found, frames = file.getparams()[:4]
            raw = file.readframes(frames)
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is not a WAV file of PCM samples that can be read: {error}.") from None
    if found != rate:
        raise ValueError(f"{path} has {found} samples a second, not {rate}: resample it first.")
    if channels != 1:
        raise ValueError(f"{path} has {channels} channels, not one: choose or mix them first.")
    if width != 2:
        raise ValueError(f"{path} has samples of {8 * width} bits, not 16: convert it first.")
    if len(raw) != 2 * frames or not frames:
        raise ValueError(f"{path} is truncated or empty: {len(raw) // 2} of {frames} samples.")
    return np.frombuffer(raw, "<i2").astype(np.int16)


def read_recordings(path: str | Path, *, rate: int = 8000) -> Recordings:
    """Read the Free Spoken Digit Dataset, or recordings laid out like it.

    Args:
        path: a NumPy archive with `audio` (all samples end to end, int16), `offsets` (n + 1), `digit`, `speaker`,
            `take` (n each) and `sample_rate`; or a folder of WAV files named `{digit}_{speaker}_{take}.wav`.
        rate: samples a second that the recordings must have.

    Returns:
        The recordings, those of a folder sorted by speaker, digit and take.

    Raises:
        FileNotFoundError: no such file, or a folder without WAV files.
        ValueError: an unreadable or inconsistent archive, another rate, more than one channel, or a recording that is
            silent (all samples alike): it can have no power to normalise by.

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
    found = []
    for file in sorted(folder.glob("*.wav")):
        match = _NAME.fullmatch(file.name)
        if match is None:
            raise ValueError(f"{file} is not named DIGIT_SPEAKER_TAKE.wav.")
        found.append((match[2], int(match[1]), int(match[3]), file))
    if not found:
        raise FileNotFoundError(f"No WAV file in {folder}.")
    found.sort(key=lambda entry: entry[:3])
    speakers = sorted({entry[0] for entry in found})
    return Recordings(
        [read_wav(entry[3], rate=rate) for entry in found],
        np.array([entry[1] for entry in found]),
        np.array([speakers.index(entry[0]) for entry in found]),
        np.array([entry[2] for entry in found]),
        rate,
    ), [entry[3].name for entry in found]


def _read_archive(path: Path, rate: int) -> tuple[Recordings, list[str]]:
    if not path.is_file():
        raise FileNotFoundError(f"No file {path}.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in _NEEDED if name not in archive]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}")
            fields = {name: archive[name] for name in _NEEDED}
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not an archive of recordings that can be read: {error}.") from None
    audio, offsets = fields["audio"], fields["offsets"]
    if int(fields["sample_rate"]) != rate:
        raise ValueError(f"{path} has {int(fields['sample_rate'])} samples a second, not {rate}: resample it first.")
    if audio.ndim != 1 or audio.dtype != np.int16:
        raise ValueError(
            f"{path}: audio must be one channel of 16-bit samples, `(samples,)` int16, got {audio.dtype} of shape "
            f"{audio.shape}."
        )
    digit, speaker, take = (fields[name].astype(np.int64) for name in ("digit", "speaker", "take"))
    counts = [digit.size, speaker.size, take.size]
    cuts = offsets.size and (offsets[0] == 0) and (offsets[-1] == audio.size) and np.all(np.diff(offsets) > 0)
    if set(counts) != {offsets.size - 1} or not cuts or not digit.size:
        raise ValueError(
            f"{path}: offsets must rise from 0 to the {audio.size} samples, one more of them than of digits, speakers "
            f"and takes: {offsets.size} offsets and {counts}."
        )
    if digit.min() < 0 or digit.max() > 9:
        raise ValueError(f"{path}: digits must be 0 to 9, got {digit.min()} to {digit.max()}.")
    recordings = Recordings(np.split(audio, offsets[1:-1]), digit, speaker, take, rate)
    return recordings, [f"recording {number}" for number in range(digit.size)]
