"""Utterances as frames, lengths and labels."""

import numpy as np
import pytest

from lcjax.data.readers.spectrogram import frame_count, log_spectrogram, normalize_power
from lcjax.data.sequences.speech import Utterance, audio_seconds, speech_task
from tests.data.problems import RATE, noise

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
    raw = [log_spectrogram(normalize_power(one.audio), RATE) for one in SOME]
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
    assert note.startswith("train: 2 of 4 utterances have more labels than frames after subsampling by 2; they are")
    assert not speech_task({"train": some, "validation": some[:1]}, rate=RATE, subsampling=1).notes
    assert not speech_task({"train": some, "validation": some[:1]}, rate=RATE, attention=True).notes


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ([], r"The speech has no validation split, only \['train'\]"),
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


def test_notes_of_the_reader_come_first_and_an_empty_test_split_is_left_out():
    some = [Utterance(noise(400, 1), "aa"), Utterance(noise(800, 2), "b")]
    task = speech_task({"test": [], "validation": some, "train": some}, rate=RATE, notes=["read"], name="noise")
    assert task.notes[0] == "read"
    assert [note[:12] for note in task.notes[1:]] == ["train: 1 of ", "validation: "]
    assert task.data.test is None
    assert task.data.name == "noise"


def test_ctc_and_subsampling_by_two_are_the_defaults():
    splits = {"train": [Utterance(noise(400, i), labels) for i, labels in enumerate(("ab", "aa"))]}
    splits["validation"] = splits["train"]
    explicit = speech_task(splits, rate=RATE, attention=False, subsampling=2, notes=(), name="speech")
    default = speech_task(splits, rate=RATE)
    assert default.data.fingerprint() == explicit.data.fingerprint()
    assert default.notes == explicit.notes != speech_task(splits, rate=RATE, subsampling=1).notes


def test_words_as_labels():
    some = [Utterance(noise(800, 1), ["two", "one"])]
    task = speech_task({"train": some, "validation": some}, rate=RATE, attention=True)
    assert task.vocabulary.symbols == ("<blank>", "one", "two", "<sos>", "<eos>")
    assert task.vocabulary.decode(task.data.train.targets) == "two one"


def test_seconds_of_frames():
    assert audio_seconds(np.array([frame_count(RATE, RATE), 1])).tolist() == [1.0, 0.02]
