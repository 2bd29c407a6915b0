import wave

import jax
import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from lcjax.data.readers.recordings import read_recordings, read_wav
from lcjax.data.readers.spectrogram import frame_count, log_spectrogram, normalized_power
from lcjax.data.sequences.speech import DIGITS, Utterance, audio_seconds, joined_strings, read_digits, speech_task

RATE = 8000
RNG = np.random.default_rng(0)


def noise(samples, seed=0):
    return np.random.default_rng(seed).integers(-3000, 3000, samples).astype(np.int16)


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
def test_normalized_power_depends_on_neither_loudness_nor_offset(scale, shift, seed):
    audio = np.random.default_rng(seed).normal(size=300)
    np.testing.assert_allclose(normalized_power(scale * audio + shift), normalized_power(audio), atol=1e-4)
    assert abs(np.mean(np.square(normalized_power(audio))) - 1) < 1e-5


def test_silence_and_short_audio():
    assert not normalized_power(np.full(50, 7, np.int16)).any()
    silent = log_spectrogram(np.zeros(20, np.float32), RATE)
    np.testing.assert_allclose(silent, np.full((1, 81), np.log(1e-6)), rtol=1e-6)
    with pytest.raises(ValueError, match="got 0 at 8000"):
        log_spectrogram(np.zeros(0, np.float32), RATE)
    assert audio_seconds(np.array([frame_count(RATE, RATE)])).tolist() == [1.0]


@pytest.mark.parametrize(("shortest", "longest", "repeats"), [(3, 7, 1), (3, 7, 2), (1, 1, 1), (4, 5, 1)])
@given(seed=st.integers(0, 2**32 - 1))
def test_strings_use_every_recording_once_a_repeat_and_do_not_mix_speakers(shortest, longest, repeats, seed):
    speakers = np.arange(60) % 3
    strings, left = joined_strings(jax.random.key(seed), speakers, shortest=shortest, longest=longest, repeats=repeats)
    used = np.bincount(np.concatenate(strings), minlength=60)
    assert left == 0
    assert np.all(used == repeats)
    lengths = {len(string) for string in strings}
    assert shortest <= min(lengths) <= max(lengths) <= longest
    assert all(len(set(speakers[string])) == 1 for string in strings)
    first = np.cumsum([len(string) for string in strings]).tolist().index(60) + 1
    assert np.all(np.bincount(np.concatenate(strings[:first])) == 1)


def test_lengths_of_strings_are_drawn_from_all_and_the_key_decides():
    strings, left = joined_strings(jax.random.key(0), np.zeros(3000, int))
    lengths = np.bincount([len(string) for string in strings])[3:]
    assert left == 0
    expected = len(strings) / 5
    assert np.all(np.abs(lengths - expected) < 5 * np.sqrt(expected))
    again, _ = joined_strings(jax.random.key(0), np.zeros(3000, int))
    other, _ = joined_strings(jax.random.key(1), np.zeros(3000, int))
    assert [len(one) for one in strings] == [len(one) for one in again] != [len(one) for one in other]


def test_recordings_left_over_and_too_few():
    strings, left = joined_strings(jax.random.key(0), np.zeros(60, int), shortest=7, longest=7)
    assert (len(strings), left) == (8, 4)
    with pytest.raises(ValueError, match="No group of 2 items has enough for a string of 3 to 7"):
        joined_strings(jax.random.key(0), np.zeros(2, int))
    with pytest.raises(ValueError, match="got 5, 4 and 1"):
        joined_strings(jax.random.key(0), np.zeros(60, int), shortest=5, longest=4)


SOME = [Utterance(noise(1200, 1), "ab"), Utterance(noise(800, 2), "b"), Utterance(noise(240, 3), "ba")]


@pytest.mark.parametrize("attention", [False, True])
def test_utterances_as_frames_lengths_and_targets(attention):
    task = speech_task({"train": SOME, "validation": SOME[:1]}, rate=RATE, attention=attention, subsampling=1)
    inputs, targets = task.data.train.inputs, task.data.train.targets
    assert inputs["length"].tolist() == [14, 9, 2]
    assert inputs["frames"].shape == (3, 14, 81)
    assert (task.unit, task.notes) == ("utterances", ())
    assert [task.vocabulary.decode(row) for row in targets] == ["ab", "b", "ba"]
    assert task.data.validation.inputs["frames"].shape[1:] == inputs["frames"].shape[1:]
    if attention:
        assert task.vocabulary.symbols == ("<blank>", "a", "b", "<sos>", "<eos>")
        assert targets.tolist() == [[1, 2, 4], [2, 4, -1], [2, 1, 4]]
        assert inputs["target"].tolist() == [[3, 1, 2], [3, 2, 0], [3, 2, 1]]
    else:
        assert task.vocabulary.symbols == ("<blank>", "a", "b")
        assert targets.tolist() == [[1, 2], [2, -1], [2, 1]]


def test_frames_are_normalised_over_real_training_frames_and_zero_behind_the_end():
    task = speech_task({"train": SOME, "validation": [Utterance(noise(2000, 4), "a")]}, rate=RATE)
    frames, length = task.data.train.inputs["frames"], task.data.train.inputs["length"]
    real = np.arange(frames.shape[1]) < length[:, None]
    assert not frames[~real].any()
    np.testing.assert_allclose(frames[real].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(frames[real].std(axis=0), 1, atol=1e-5)
    raw = [log_spectrogram(normalized_power(one.audio), RATE) for one in SOME]
    together = np.concatenate(raw)
    np.testing.assert_allclose(
        frames[0, : length[0]], (raw[0] - together.mean(axis=0)) / together.std(axis=0), atol=1e-4
    )


def test_labels_longer_than_the_frames_are_masked_and_counted():
    # 400 samples are 4 frames, 2 after subsampling; "aa" needs a blank between its two, "ab" does not.
    some = [Utterance(noise(400, i), labels) for i, labels in enumerate(("ab", "aa", "aba", "b"))]
    task = speech_task({"train": some, "validation": some[:1]}, rate=RATE)
    assert task.data.train.targets.tolist() == [[1, 2, -1], [-1, -1, -1], [-1, -1, -1], [2, -1, -1]]
    (note,) = task.notes
    assert note.startswith("train: 2 of 4 utterances have labels that are longer than their frames at one in 2")
    assert not speech_task({"train": some, "validation": some[:1]}, rate=RATE, subsampling=1).notes
    assert not speech_task({"train": some, "validation": some[:1]}, rate=RATE, attention=True).notes


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ([], "no utterances in the validation split"),
        ([Utterance(np.zeros(500, np.int16), "a")], "Utterance 0 of the validation split is silent"),
        (
            [SOME[0], Utterance(np.full(500, np.nan), "a")],
            "Utterance 1 of the validation split is silent or not finite",
        ),
        ([Utterance(noise(500).reshape(-1, 2), "a")], r"not one channel of samples but of shape \(250, 2\)"),
        ([Utterance(noise(500), "")], "Utterance 0 of the validation split has no labels"),
        ([Utterance(noise(500), "xa")], "The validation split has a label that training lacks: 'x' is not among"),
    ],
)
def test_bad_utterances(validation, message):
    with pytest.raises(ValueError, match=message):
        speech_task({"train": SOME, "validation": validation}, rate=RATE)


def write_wav(path, audio, rate=RATE, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(audio.tobytes())


def test_a_wav_file(tmp_path):
    write_wav(tmp_path / "a.wav", noise(300))
    np.testing.assert_array_equal(read_wav(tmp_path / "a.wav", rate=RATE), noise(300))


def test_bad_wav_files(tmp_path):
    path = tmp_path / "3_anna_0.wav"
    for options, message in (
        ({"rate": 44_100}, "has 44100 samples a second, not 8000: resample"),
        ({"channels": 2}, "has 2 channels, not one"),
        ({"width": 1}, "has samples of 8 bits, not 16"),
    ):
        write_wav(path, noise(300), **options)
        with pytest.raises(ValueError, match=rf"3_anna_0\.wav {message}"):
            read_recordings(tmp_path)
    write_wav(path, noise(300))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="truncated or empty: 250 of 300 samples"):
        read_recordings(tmp_path)
    path.write_bytes(b"RIFF nothing")
    with pytest.raises(ValueError, match="not a WAV file"):
        read_recordings(tmp_path)
    write_wav(path, np.zeros(300, np.int16))
    with pytest.raises(ValueError, match=r"3_anna_0\.wav is silent, all its 300 samples are 0"):
        read_recordings(tmp_path)
    path.rename(tmp_path / "three.wav")
    with pytest.raises(ValueError, match=r"three\.wav is not named DIGIT_SPEAKER_TAKE\.wav"):
        read_recordings(tmp_path)
    (tmp_path / "three.wav").unlink()
    with pytest.raises(FileNotFoundError, match="No WAV file in"):
        read_recordings(tmp_path)


def arrays(takes=12, speakers=2):
    """As many recordings of each digit by each speaker."""
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


def save(folder, **changes):
    path = folder / "set.npz"
    np.savez(path, **{name: value for name, value in (arrays() | changes).items() if value is not None})
    return path


def test_an_archive_and_a_folder_of_wav_files_are_the_same_task(tmp_path):
    given_ = arrays()
    path = save(tmp_path)
    for i, audio in enumerate(np.split(given_["audio"], given_["offsets"][1:-1])):
        name = f"{given_['digit'][i]}_{'ab'[given_['speaker'][i]]}_{given_['take'][i]}.wav"
        write_wav(tmp_path / name, audio)
    first, second = read_digits(path, seed=3), read_digits(tmp_path, seed=3)
    for one, other in zip(jax.tree.leaves(first.data), jax.tree.leaves(second.data), strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.vocabulary.symbols[:3] == ("<blank>", " ", "e")


def test_takes_decide_the_split_and_strings_stay_within_it(tmp_path):
    task = read_digits(save(tmp_path), characters=False, attention=True)
    spoken = {}
    for split in ("train", "validation", "test"):
        part = getattr(task.data, split)
        text = [task.vocabulary.decode(row).split() for row in part.targets]
        assert all(3 <= len(string) <= 7 for string in text)
        spoken[split] = [word for string in text for word in string]
    assert {split: len(words) for split, words in spoken.items()} == {"train": 40, "validation": 100, "test": 100}
    for words in spoken.values():
        assert all(words.count(digit) == len(words) // 10 for digit in DIGITS)
    assert task.data.classes == 1 + 10 + 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": np.int32(16_000)}, "16000 samples a second, not 8000"),
        ({"audio": arrays()["audio"].reshape(-1, 1)}, r"one channel of 16-bit samples, .* of shape \(\d+, 1\)"),
        ({"audio": arrays()["audio"].astype(np.float32)}, "got float32"),
        ({"take": None}, "it lacks take"),
        ({"digit": np.full(240, 10)}, "digits must be 0 to 9, got 10 to 10"),
        ({"digit": np.zeros(239)}, r"241 offsets and \[239, 240, 240\]"),
        ({"offsets": arrays()["offsets"][::-1]}, "offsets must rise from 0"),
        ({"audio": np.zeros(arrays()["audio"].size, np.int16)}, "recording 0 is silent"),
        ({"take": np.zeros(240)}, r"no recording for the train split: takes are \[0\]"),
    ],
)
def test_bad_archives(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_digits(save(tmp_path, **changes))


def test_an_archive_that_is_none(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK not")
    with pytest.raises(ValueError, match=r"a\.npz is not an archive of recordings"):
        read_digits(tmp_path / "a.npz")


def test_free_spoken_digits_keep_their_official_split(shared_data):
    path = shared_data / "fsdd/fsdd.npz"
    recordings = read_recordings(path)
    assert len(recordings.audio) == 3000
    task = read_digits(path, characters=False)
    labels = {split: np.sum(getattr(task.data, split).targets >= 0) for split in ("train", "validation", "test")}
    assert labels == {"train": 2400, "validation": 300, "test": 300}
    assert np.bincount(task.data.test.targets[task.data.test.targets >= 0])[1:].tolist() == [30] * 10
    assert task.notes == ()
    held_out = sum(recordings.audio[i].size for i in np.flatnonzero(recordings.take < 5)) / RATE
    seconds = audio_seconds(task.data.test.inputs["length"]).sum()
    assert 0 <= held_out - seconds < 0.01 * len(task.data.test.targets) + 1e-6
