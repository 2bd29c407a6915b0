"""Problems of data tests: recordings of spoken digits, noise, and random text."""

import wave

import numpy as np
from hypothesis import strategies as st

RATE = 8000


def noise(samples, seed=0):
    return np.random.default_rng(seed).integers(-3000, 3000, samples).astype(np.int16)


def write_wav(path, audio, rate=RATE, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(audio.tobytes())


def recordings(takes=12, speakers=2):
    """Return the arrays of an archive with the same number of recordings of each digit by each speaker."""
    speaker, digit, take = (a.reshape(-1) for a in np.mgrid[:speakers, :10, :takes])
    length = np.random.default_rng(0).integers(700, 900, digit.size)
    return {
        "audio": noise(length.sum()),
        "offsets": np.concatenate([[0], np.cumsum(length)]),
        "digit": digit.astype(np.uint8),
        "speaker": speaker.astype(np.uint8),
        "take": take.astype(np.uint8),
        "sample_rate": np.int32(RATE),
    }


def save_recordings(folder, **changes):
    """Write an archive in which some arrays are replaced, or omitted if None."""
    path = folder / "set.npz"
    np.savez(path, **{name: value for name, value in (recordings() | changes).items() if value is not None})
    return path


def save_wav_folder(folder):
    """Write the same recordings as WAV files."""
    arrays = recordings()
    for i, audio in enumerate(np.split(arrays["audio"], arrays["offsets"][1:-1])):
        name = f"{arrays['digit'][i]}_{'ab'[arrays['speaker'][i]]}_{arrays['take'][i]}.wav"
        write_wav(folder / name, audio)
    return folder


WORD = st.text("abcdé→", min_size=1, max_size=4)
SENTENCE = st.lists(WORD, min_size=1, max_size=9).map(" ".join)
TEXT = st.lists(SENTENCE, min_size=1, max_size=8)
