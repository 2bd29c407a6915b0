"""Log-spectrograms against SciPy, and their normalization."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from lcjax.data.readers.spectrogram import frame_count, log_spectrogram, normalize_power

RATE = 8000
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("rate", [8000, 16_000, 11_025])
@pytest.mark.parametrize("samples", [401, 3000, 4567])
def test_log_spectrogram_is_that_of_scipy(samples, rate):
    audio = RNG.normal(size=samples).astype(np.float32)
    window, hop = round(0.02 * rate), round(0.01 * rate)
    hann = scipy.signal.get_window("hann", window)
    bins, _, power = scipy.signal.spectrogram(
        audio.astype(float), rate, hann, window, window - hop, detrend=False, return_onesided=True, scaling="density"
    )
    power[1 : -1 if window % 2 == 0 else None] /= 2  # SciPy adds the power of the negative frequencies
    expected = np.log(power.T * rate + 1e-6)
    actual = log_spectrogram(audio, rate)
    assert actual.dtype == np.float32
    assert actual.shape == (frame_count(samples, rate), len(bins))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_white_noise_of_power_one_has_one_in_each_bin():
    power = np.exp(log_spectrogram(RNG.normal(size=400_000).astype(np.float32), RATE))
    error = power[::2, 1:-1].std() / np.sqrt(power[::2, 1:-1].size)  # every other window: independent ones
    assert abs(power[::2, 1:-1].mean() - 1) < 5 * error


@given(scale=st.floats(0.01, 1e4), shift=st.floats(-1e3, 1e3), seed=st.integers(0, 99))
def test_power_depends_on_neither_loudness_nor_offset(scale, shift, seed):
    audio = np.random.default_rng(seed).normal(size=300)
    np.testing.assert_allclose(normalize_power(scale * audio + shift), normalize_power(audio), atol=1e-4)
    assert abs(np.mean(np.square(normalize_power(audio))) - 1) < 1e-5


def test_silence_and_short_audio():
    assert not normalize_power(np.full(50, 7, np.int16)).any()
    silent = log_spectrogram(np.zeros(20, np.float32), RATE)
    np.testing.assert_allclose(silent, np.full((1, 81), np.log(1e-6)), rtol=1e-6)
    for samples, rate in ((0, RATE), (10, 74)):
        with pytest.raises(ValueError, match=f"rate of at least 75 per second, got {samples} at {rate}"):
            log_spectrogram(np.zeros(samples, np.float32), rate)
    # At 75 samples per second windows have two, (0, 1) times the audio: power a**2 in both bins.
    np.testing.assert_allclose(log_spectrogram(np.arange(3, dtype=np.float32), 75), np.log([[1, 1], [4, 4]]), atol=1e-5)


def test_frames_are_whole_windows():
    assert [frame_count(n, RATE) for n in (1, 160, 239, 240, 320)] == [1, 1, 1, 2, 3]
