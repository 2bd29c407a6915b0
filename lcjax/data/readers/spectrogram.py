"""Log-spectrograms of audio with normalized power."""

import numpy as np
from jaxtyping import Float, Float32, Num

__all__ = ["frame_count", "log_spectrogram", "normalize_power"]

WINDOW, HOP = 0.020, 0.010  # seconds; the window of Hestness et al. (2019, section C.3), the hop is ours
_FLOOR = 1e-6  # added to the power before the logarithm: 60 dB below white noise of the same power as the audio


def normalize_power(audio: Num[np.ndarray, " samples"]) -> Float32[np.ndarray, " samples"]:
    """Subtract the mean and scale to a mean square of one, float32; silence becomes zeros.

    Examples:
        >>> normalize_power(np.array([5, 9, 5, 9], np.int16)).tolist()
        [-1.0, 1.0, -1.0, 1.0]
    """
    centred = audio.astype(np.float64) - np.mean(audio, dtype=np.float64)
    power = np.mean(np.square(centred))
    return np.asarray(centred / np.sqrt(power if power > 0 else 1.0), np.float32)


def frame_count(samples: int, rate: int) -> int:
    """Return the number of frames of whole windows, at least one.

    Examples:
        >>> frame_count(8000, 8000)
        99
    """
    window, hop = round(WINDOW * rate), round(HOP * rate)
    return 1 + max(samples - window, 0) // hop


def log_spectrogram(audio: Float[np.ndarray, " samples"], rate: int) -> Float32[np.ndarray, "frames bins"]:
    """Return the natural logarithm of the power in windows of 20 ms, 10 ms apart.

    The windows are periodic Hann windows, without padding at either end. The squared magnitude of the Fourier transform
    is divided by the sum of the squared window, so that white noise of power one has mean one in each bin. 1e-6 is
    added, which bounds the logarithm of silence. Samples beyond the last whole window are ignored; audio shorter than a
    window is padded with zeros.

    Args:
        audio: samples, of power one as from `normalize_power`.
        rate: samples per second.

    Returns:
        Frames by bins from 0 to half the rate: 81 bins of 50 Hz at 8 kHz; float32.

    Raises:
        ValueError: there are no samples, or the rate leaves fewer than two samples per window.

    Examples:
        >>> log_spectrogram(np.zeros(800, np.float32), 8000).shape
        (9, 81)
    """
    window, hop = round(WINDOW * rate), round(HOP * rate)
    if not audio.size or window < 2:
        raise ValueError(f"Need samples and a rate of at least 75 per second, got {audio.size} at {rate}.")
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    samples = np.pad(audio, (0, max(window - audio.size, 0)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * taper, axis=1))) / np.sum(np.square(taper))
    return np.asarray(np.log(power + _FLOOR), np.float32)
