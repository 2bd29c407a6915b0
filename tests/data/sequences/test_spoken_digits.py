"""Spoken digits: the strings, and the recordings of each split."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.data.readers.recordings import read_recordings
from lcjax.data.sequences.speech import audio_seconds
from lcjax.data.sequences.spoken_digits import DIGITS, draw_strings, read_spoken_digits
from tests.data.problems import RATE, save_recordings, save_wav_folder


@pytest.mark.parametrize(("shortest", "longest", "repeats"), [(3, 7, 1), (3, 7, 2), (1, 1, 1), (4, 5, 1)])
@given(seed=st.integers(0, 2**32 - 1))
def test_strings_use_every_recording_once_a_repeat_and_do_not_mix_speakers(shortest, longest, repeats, seed):
    speakers = np.arange(60) % 3
    strings, left_over = draw_strings(
        jax.random.key(seed), speakers, shortest=shortest, longest=longest, repeats=repeats
    )
    used = np.bincount(np.concatenate(strings), minlength=60)
    assert left_over == 0
    assert np.all(used == repeats)
    lengths = {len(string) for string in strings}
    assert shortest <= min(lengths) <= max(lengths) <= longest
    assert all(len(set(speakers[string])) == 1 for string in strings)
    first = np.cumsum([len(string) for string in strings]).tolist().index(60) + 1
    assert np.all(np.bincount(np.concatenate(strings[:first])) == 1)


def test_lengths_of_strings_are_drawn_from_all_and_the_key_decides():
    strings, left_over = draw_strings(jax.random.key(0), np.zeros(3000, int))
    lengths = np.bincount([len(string) for string in strings])[3:]
    assert left_over == 0
    expected = len(strings) / 5
    assert np.all(np.abs(lengths - expected) < 5 * np.sqrt(expected))
    again, _ = draw_strings(jax.random.key(0), np.zeros(3000, int))
    other, _ = draw_strings(jax.random.key(1), np.zeros(3000, int))
    assert [len(one) for one in strings] == [len(one) for one in again] != [len(one) for one in other]


def test_defaults():
    groups = np.repeat([0, 1], 30)
    strings = draw_strings(jax.random.key(5), groups, shortest=3, longest=7, repeats=1)
    for one, other in zip(draw_strings(jax.random.key(5), groups)[0], strings[0], strict=True):
        np.testing.assert_array_equal(one, other)


def test_recordings_left_over_and_too_few():
    strings, left_over = draw_strings(jax.random.key(0), np.zeros(60, int), shortest=7, longest=7)
    assert (len(strings), left_over) == (8, 4)
    with pytest.raises(ValueError, match="No group of 2 items has enough for a string of 3 to 7"):
        draw_strings(jax.random.key(0), np.zeros(2, int))
    with pytest.raises(ValueError, match="got 5, 4 and 1"):
        draw_strings(jax.random.key(0), np.zeros(60, int), shortest=5, longest=4)


def test_an_archive_and_a_folder_of_wav_files_are_the_same_task(tmp_path):
    path, folder = save_recordings(tmp_path), save_wav_folder(tmp_path)
    first, second = read_spoken_digits(path, seed=3), read_spoken_digits(folder, seed=3)
    for one, other in zip(jax.tree.leaves(first.data), jax.tree.leaves(second.data), strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.vocabulary.symbols[:3] == ("<blank>", " ", "e")
    default = read_spoken_digits(path).data
    explicit = {"seed": 0, "shortest": 3, "longest": 7, "repeats": 1, "rate": RATE}
    other = read_spoken_digits(path, **explicit, characters=True, attention=False, subsampling=2).data
    assert default.fingerprint() == other.fingerprint() != first.data.fingerprint()


def test_takes_decide_the_split_and_strings_stay_within_it(tmp_path):
    task = read_spoken_digits(save_recordings(tmp_path), characters=False, attention=True)
    assert task.vocabulary.symbols == ("<blank>", *sorted(DIGITS), "<sos>", "<eos>")
    spoken = {}
    for split in ("train", "validation", "test"):
        part = getattr(task.data, split)
        text = [task.vocabulary.decode(row).split() for row in part.targets]
        assert all(3 <= len(string) <= 7 for string in text)
        spoken[split] = [word for string in text for word in string]
    assert {split: len(words) for split, words in spoken.items()} == {"train": 40, "validation": 100, "test": 100}
    for words in spoken.values():
        assert all(words.count(digit) == len(words) // 10 for digit in DIGITS)


def test_single_digits_and_recordings_that_are_left_over(tmp_path):
    path = save_recordings(tmp_path)
    task = read_spoken_digits(path, shortest=1, longest=1, repeats=2, characters=False)
    assert [len(getattr(task.data, split).targets) for split in ("train", "validation", "test")] == [80, 200, 200]
    assert np.bincount(task.data.test.targets[:, 0])[1:].tolist() == [20] * 10
    assert task.data.train.targets.shape[1] == 1
    assert task.data.name == f"fsdd:{path}"
    task = read_spoken_digits(path, shortest=7, longest=7, subsampling=1)
    assert task.notes == tuple(
        f"{split}: {left} of {n} recordings are too few for a string."
        for split, left, n in (("train", 12, 40), ("validation", 2, 100), ("test", 2, 100))
    )


def test_a_split_without_recordings_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"set\.npz has no recording for the train split: takes are \[0\]"):
        read_spoken_digits(save_recordings(tmp_path, take=np.zeros(240)))
    with pytest.raises(ValueError, match="has 8000 samples per second, not 16000"):
        read_spoken_digits(tmp_path / "set.npz", rate=16_000)


@pytest.mark.slow
def test_free_spoken_digits_keep_their_official_split(shared_data):
    path = shared_data / "fsdd/fsdd.npz"
    recordings = read_recordings(path)
    assert len(recordings.audio) == 3000
    task = read_spoken_digits(path, characters=False)
    labels = {split: np.sum(getattr(task.data, split).targets >= 0) for split in ("train", "validation", "test")}
    assert labels == {"train": 2400, "validation": 300, "test": 300}
    assert np.bincount(task.data.test.targets[task.data.test.targets >= 0])[1:].tolist() == [30] * 10
    assert task.notes == ()
    held_out = sum(recordings.audio[i].size for i in np.flatnonzero(recordings.take < 5)) / RATE
    seconds = audio_seconds(task.data.test.inputs["length"]).sum()
    assert 0 <= held_out - seconds < 0.01 * len(task.data.test.targets) + 1e-6
