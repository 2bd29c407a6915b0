"""Pairs of sentences in word pieces, from lists and from folders."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.data.readers.files import read_lines
from lcjax.data.sequences.parallel_text import Pairs, parallel_task, read_parallel

TRAIN = Pairs(["ein Hund", "eine Katze", "zwei Hunde !", "der Hund"], ["a dog", "a cat", "two dogs !", "the dog"])
HELD_OUT = Pairs(["zwei Katzen"], ["two cats"])


def test_a_pair_as_inputs_and_targets():
    task = parallel_task({"train": TRAIN, "validation": HELD_OUT, "test": HELD_OUT}, size=30)
    vocabulary, train = task.vocabulary, task.data.train
    assert (task.unit, task.data.classes, len(vocabulary)) == ("target tokens", 30, 30)
    for row, (source, target) in enumerate(zip(*TRAIN, strict=True)):
        pieces, labels = vocabulary.encode_batch([source])[0], vocabulary.encode(target)
        assert train.inputs["source"][row, : len(pieces)].tolist() == pieces.tolist()
        assert not train.inputs["source"][row, len(pieces) :].any()
        assert train.targets[row, : len(labels)].tolist() == labels.tolist()
        assert train.inputs["target"][row, : len(labels)].tolist() == [vocabulary.start, *labels[:-1]]
        assert np.all(train.targets[row, len(labels) :] == -1)
        assert not train.inputs["target"][row, len(labels) :].any()
        assert vocabulary.decode(train.targets[row]) == vocabulary.decode(train.inputs["target"][row]) == target
    assert train.inputs["source"].max() < 30 - 2  # a source has neither start nor end
    assert task.data.test.targets.shape[1:] == train.targets.shape[1:]


@given(size=st.integers(25, 40))
def test_pieces_are_learned_on_the_training_side_only(size):
    plain = parallel_task({"train": TRAIN, "validation": HELD_OUT}, size=size)
    other = parallel_task({"train": TRAIN, "validation": Pairs(["qqq qqq"] * 9, ["qqq"] * 9)}, size=size)
    assert plain.vocabulary.symbols == other.vocabulary.symbols
    real = other.data.validation.targets[0]
    assert real[real >= 0].tolist()[-2:] == [other.vocabulary.unknown, other.vocabulary.end]


def test_long_pairs_and_empty_sides_are_left_out_and_counted():
    some = Pairs([*TRAIN.source, "", "ein", "Hund " * 40], [*TRAIN.target, "nothing", " ", "dog"])
    task = parallel_task({"train": some, "validation": HELD_OUT}, size=30, longest=20)
    assert task.notes == (
        "train: 2 of 7 pairs have an empty side and are left out.",
        "train: 1 of 5 pairs have more than 20 pieces on a side and are left out.",
    )
    decoded = [task.vocabulary.decode(row) for row in task.data.train.targets]
    assert decoded == TRAIN.target
    training = {"train": TRAIN, "validation": TRAIN}
    assert parallel_task(training, size=30, longest=10).notes == ()  # "eine Katze" has 10 pieces
    assert parallel_task(training, size=30, longest=9).notes[0].startswith("train: 1 of 4 pairs")


def test_defaults_and_longest_pairs_of_one_piece():
    pairs = Pairs(["a"] * 2, ["b"] * 2)
    task = parallel_task({"train": pairs, "validation": pairs}, size=9, longest=1)
    assert task.data.train.inputs["source"].shape == (2, 1)
    assert task.data.train.targets.shape == (2, 2)
    assert task.data.name == "parallel"
    with pytest.raises(ValueError, match="A vocabulary of 8000 pieces"):
        parallel_task({"train": pairs, "validation": pairs})
    long = {"train": Pairs(["a " * 50, "a " * 51], ["b", "b"]), "validation": pairs}
    assert parallel_task(long, size=9).notes == (
        "train: 1 of 2 pairs have more than 50 pieces on a side and are left out.",
    )


@pytest.mark.parametrize(
    ("splits", "options", "message"),
    [
        ({"train": TRAIN}, {}, r"no validation split, only \['train'\]"),
        ({"train": Pairs(["a", "b"], ["a"]), "validation": HELD_OUT}, {}, "train has 2 sources and 1 targets"),
        ({"train": Pairs(["", "b"], ["a", ""]), "validation": HELD_OUT}, {}, "no pair with text on both sides"),
        ({"train": TRAIN, "validation": HELD_OUT}, {"size": 3000}, "3000 pieces does not fit the training text"),
        ({"train": TRAIN, "validation": HELD_OUT}, {"longest": 1}, "No pair of the train split has at most 1 pieces"),
        ({"train": TRAIN, "validation": HELD_OUT}, {"longest": 0}, "longest must be at least 1, got 0"),
    ],
)
def test_bad_pairs(splits, options, message):
    with pytest.raises(ValueError, match=message):
        parallel_task(splits, **({"size": 30} | options))


def write(folder, **files):
    for name, lines in files.items():
        split, language = name.split("_")
        raw = "".join(f"{line}\n" for line in lines).encode()
        packed = language == "de"
        (folder / f"{split}.{language}{'.gz' if packed else ''}").write_bytes(gzip.compress(raw) if packed else raw)


def test_a_folder(tmp_path):
    write(tmp_path, train_de=TRAIN.source, train_en=TRAIN.target, val_de=HELD_OUT.source, val_en=HELD_OUT.target)
    assert read_parallel(tmp_path) == {"train": TRAIN, "validation": HELD_OUT}
    assert read_parallel(tmp_path, source="en", target="de") == {
        "train": Pairs(TRAIN.target, TRAIN.source),
        "validation": Pairs(HELD_OUT.target, HELD_OUT.source),
    }


def test_bad_folders(tmp_path):
    write(tmp_path, train_de=TRAIN.source, train_en=TRAIN.target[:3], val_de=["a"], val_en=["b"])
    with pytest.raises(ValueError, match=r"train\.de\.gz has 4 lines and train\.en has 3"):
        read_parallel(tmp_path)
    (tmp_path / "val.en").unlink()
    write(tmp_path, train_en=TRAIN.target)
    with pytest.raises(FileNotFoundError, match=r"No file val\.en or val\.en\.gz"):
        read_parallel(tmp_path)
    (tmp_path / "val.en").write_bytes(b"\xff\n")
    with pytest.raises(ValueError, match=r"val\.en, line 1: byte 0xff at offset 0 is not UTF-8"):
        read_parallel(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"ends in \.fr"):
        read_parallel(tmp_path, source="fr")


def test_multi30k(shared_data):
    folder = shared_data / "multi30k"
    validation = Pairs(read_lines(folder / "val.de.gz"), read_lines(folder / "val.en.gz"))
    task = parallel_task({"train": validation, "validation": validation}, size=2000, longest=60)
    decoded = [task.vocabulary.decode(row) for row in task.data.train.targets]
    assert decoded == [" ".join(line.split()) for line in validation.target]
    assert len(decoded) == 1014
