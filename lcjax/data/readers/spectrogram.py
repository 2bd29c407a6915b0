"""Log-spectrograms of audio whose power is normalized."""

import numpy as np
from jaxtyping import Float, Num

__all__ = ["frame_count", "log_spectrogram", "normalized_power"]

WINDOW, HOP = 0.020, 0.010  # seconds; the window is of Hestness et al. (2018, C.3), the hop is ours
_FLOOR = 1e-6  # added to the power before the logarithm: 60 dB below that of white noise as loud as the audio


def normalized_power(audio: Num[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
    """Audio without its mean, scaled to a mean square of one, float32; silence becomes zeros.

    Examples:
        >>> normalized_power(np.array([5, 9, 5, 9], np.int16)).tolist()
        [-1.0, 1.0, -1.0, 1.0]
    """
    centred = audio.astype(np.float64) - np.mean(audio, dtype=np.float64)
    power = np.mean(np.square(centred))
    return (centred / np.sqrt(power if power > 0 else 1.0)).astype(np.float32)


def frame_count(samples: int, rate: int) -> int:
    """Number of frames of so many samples: of whole windows, at least one.

    Examples:
        >>> frame_count(8000, 8000)
        99
    """
    window, hop = round(WINDOW * rate), round(HOP * rate)
    return 1 + max(samples - window, 0) // hop


def log_spectrogram(audio: Float[np.ndarray, " samples"], rate: int) -> Float[np.ndarray, "frames bins"]:
    """Natural logarithm of the power in windows of 20 ms, 10 ms apart.

    Windows are Hann's (periodic), without padding at either end; the squared magnitude of the Fourier transform is
    divided by the sum of the squared window, so that white noise of power one has one in each bin on average. 1e-6 is
    added, which bounds the logarithm of silence. What is left behind the last whole window is not seen; audio shorter
    than a window is filled up with zeros.

    Args:
        audio: samples, of power one as `normalized_power` makes them.
        rate: samples a second.

    Returns:
        Frames by bins from 0 to half the rate: 81 bins of 50 Hz at 8 kHz; float32.

    Raises:
        ValueError: there are no samples, or the rate leaves fewer than two samples a window.

    Examples:
        >>> log_spectrogram(np.zeros(800, np.float32), 8000).shape
        (9, 81)
    """
    window, hop = round(WINDOW * rate), round(HOP * rate)
    if not audio.size or hop < 1:
        raise ValueError(f"Need samples and a rate of at least 100 a second, got {audio.size} at {rate}.")
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    filled = np.pad(audio, (0, max(window - audio.size, 0)))
    frames = np.lib.stride_tricks.sliding_window_view(filled, window)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * taper, axis=1))) / np.sum(np.square(taper))
    return np.log(power + _FLOOR).astype(np.float32)
