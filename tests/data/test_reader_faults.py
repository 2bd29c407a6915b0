"""Mutated files: every reader reads them or refuses them in one line, within limits of time and memory."""

import json

import numpy as np
import pytest

from benchmarks.faults import readers
from benchmarks.faults.fuzz import SUBJECTS, fuzz, judge, write_files, write_mutated
from benchmarks.faults.mutations import mutate
from benchmarks.faults.readers import Subject

FOUND = [  # seeds of files that were once a fault
    ("npz stored", 115),  # a signaling nan: NumPy warned of an invalid value in a cast
    ("cifar10 python 2", 42),  # a text with a damaged escape: Python warned
    ("cifar10 python 2", 147),
    ("libsvm", 551),  # a value of 1e200: NumPy warned of an overflow
    ("parallel", 823),  # a word of 100,000 characters: slow
    ("parallel", 1005),
    ("tfds", 321),  # the pair of input and target names a feature that there is not
    ("tfds", 1323),
    ("curves, spreads", 285),  # an infinite number of repeats: NumPy warned of its remainder
    ("table of data", 53),  # an infinite number: NumPy warned of its difference
]


def test_mutations_are_repeatable_and_leave_what_is_kept():
    raw = bytes(range(256))
    seen = {mutate(np.random.default_rng(seed), raw, [b"token"], keep=9) for seed in range(50)}
    assert seen == {mutate(np.random.default_rng(seed), raw, [b"token"], keep=9) for seed in range(50)}
    assert len(seen) > 45
    assert all(one[:9] == raw[:9] for one in seen)


@pytest.mark.parametrize("reader", SUBJECTS)
def test_the_files_are_valid_without_a_mutation(tmp_path, reader):
    subject = SUBJECTS[reader]
    write_files(subject.files(), tmp_path)
    subject.read(tmp_path)


@pytest.mark.parametrize("reader", readers.SUBJECTS)
def test_contents_are_packed_as_in_the_valid_files(reader):
    subject = SUBJECTS[reader]
    for name, (content, pack) in subject.inner.items():
        assert pack(content) == subject.files()[name]


@pytest.mark.parametrize("reader", ["curves", "recordings, take", "tokenizer", "tfds"])
def test_changes_behind_the_header_keep_the_form_of_a_file(reader):
    subject = SUBJECTS[reader]
    for name, (content, pack) in subject.inner.items():
        changed = {pack(content + bytes([i])) for i in range(8)}
        assert len(changed) > 1
        if name.endswith(".json"):
            assert len({json.dumps(json.loads(one)) for one in changed}) > 1


@pytest.mark.parametrize(("reader", "seed"), FOUND)
def test_files_that_were_once_a_fault(tmp_path, reader, seed):
    write_mutated(SUBJECTS[reader], seed, tmp_path)
    verdict, message = judge(SUBJECTS[reader], tmp_path)
    assert verdict in ("read", "refused"), message


def broken(error):
    def read(folder):
        raise error

    return Subject(lambda: {"a": b"a"}, read)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ValueError("a\nb"), "several lines"),
        (ValueError("bad"), "no file named"),
        (KeyError("a"), "KeyError"),
        (RecursionError(), "RecursionError"),
        (MemoryError(), "MemoryError"),
    ],
    ids=["lines", "name", "key", "recursion", "memory"],
)
def test_faults_are_recognized(tmp_path, error, verdict):
    assert judge(broken(error), tmp_path)[0] == verdict


def test_slow_readings_and_warnings_are_faults(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.faults.fuzz.SECONDS", 0.01)
    assert judge(Subject(dict, lambda folder: sum(range(2_000_000))), tmp_path)[0] == "slow"
    monkeypatch.undo()
    assert judge(Subject(dict, lambda folder: np.float32(1) / np.float32(0)), tmp_path)[0] == "warning"


@pytest.mark.slow
@pytest.mark.parametrize("reader", SUBJECTS)
def test_150_mutated_files(reader):
    report = fuzz(reader, 150)
    assert report["faults"] == []
    assert set(report["verdicts"]) == {"read", "refused"}


@pytest.mark.acceptance
@pytest.mark.parametrize("reader", SUBJECTS)
def test_2000_mutated_files(reader):
    report = fuzz(reader, 2000)
    assert report["faults"] == []
    assert report["verdicts"]["read"] > 0
