"""Sequence tasks by name, with the options of each."""

import inspect

import pytest

from lcjax.data.sequences.sources import _STAGES, SCHEMES, load_sequences
from tests.data.problems import save_recordings


def test_text_by_name(tmp_path):
    (tmp_path / "train.txt").write_text("a b c\nb c\n" * 9)
    (tmp_path / "valid.txt").write_text("c a\n")
    (tmp_path / "test.txt").write_text("b\n")
    for scheme in ("ptb", "words"):
        task = load_sequences(f"{scheme}:{tmp_path}", size=None, unroll=5)
        assert (task.unit, task.data.classes, task.data.train.inputs.shape) == ("words", 5, (13, 5))
        assert task.data.name == f"{scheme}:{tmp_path}"
        task.data.check()
    task = load_sequences(f"characters:{tmp_path / 'train.txt'}", validation_fraction=0.2, test_fraction=0.2)
    assert (task.unit, len(task.data.train.targets)) == ("characters", 10)


def test_pairs_by_name(tmp_path):
    for name in ("train.de", "train.en", "val.de", "val.en"):
        (tmp_path / name).write_text("ein Hund\n" if name.endswith("de") else "a dog\n")
    for scheme in ("multi30k", "parallel"):
        task = load_sequences(f"{scheme}:{tmp_path}", size=18, source="en", target="de")
        assert task.vocabulary.decode(task.data.train.targets) == "ein Hund"


def test_speech_by_name(tmp_path):
    name = f"fsdd:{save_recordings(tmp_path)}"
    task = load_sequences(name, characters=False, shortest=5, longest=5)
    assert (task.unit, task.data.name, len(task.data.train.targets)) == ("utterances", name, 8)


def test_defaults_of_the_sets_of_tfds():
    defaults = {
        (scheme, name): parameter.default
        for scheme in SCHEMES
        for stage in _STAGES[scheme]
        for name, parameter in inspect.signature(stage).parameters.items()
    }
    assert defaults["tfds-parallel", "size"] == 36_549
    assert defaults["parallel", "size"] == 8000
    assert defaults["tfds-speech", "rate"] == 16_000
    assert defaults["fsdd", "rate"] == 8000


@pytest.mark.parametrize("name", ["ptb", "ptb:", "poems:x"])
def test_unknown_names_list_the_known(name):
    with pytest.raises(ValueError, match=rf"Unknown sequence task '{name}'; known are ptb:, words:, .*: followed"):
        load_sequences(name)


@pytest.mark.parametrize(
    ("name", "option", "known"),
    [
        ("characters:x", "unroll", "longest, size, test_fraction, validation_fraction"),
        ("words:x", "path", "size, test_fraction, unroll, validation_fraction"),
        ("tfds-words:x", "longest", "most, size, test_fraction, unroll, validation_fraction"),
        ("tfds-speech:x", "notes", "attention, most, rate, splits, subsampling"),
    ],
)
def test_unknown_options_list_the_known(name, option, known):
    with pytest.raises(ValueError, match=rf"has no option {option}; its options are {known}\."):
        load_sequences(name, **{option: "y"})
