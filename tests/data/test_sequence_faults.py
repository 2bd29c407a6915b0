"""Mutated curves, recordings, text and prepared sets: read, or refused in one line, within limits."""

import json

import pytest

from benchmarks.faults.fuzz import fuzz, judge, write_mutated
from benchmarks.faults.sequences import SUBJECTS


@pytest.mark.parametrize("reader", SUBJECTS)
def test_the_files_are_valid_without_a_mutation(tmp_path, reader):
    subject = SUBJECTS[reader]
    for name, raw in subject.files().items():
        (tmp_path / name).write_bytes(raw)
    subject.read(tmp_path)


@pytest.mark.parametrize("reader", ["curves", "recordings, take", "tokenizer", "tfds"])
def test_changes_behind_the_header_keep_the_form_of_a_file(reader):
    subject = SUBJECTS[reader]
    for name, (content, pack) in subject.inner.items():
        changed = {pack(content + bytes([i])) for i in range(8)}
        assert len(changed) > 1
        if name.endswith(".json"):
            assert len({json.dumps(json.loads(one)) for one in changed}) > 1


@pytest.mark.parametrize("seed", [823, 1005])
def test_a_word_of_100_000_characters_is_refused_at_once(tmp_path, seed):
    write_mutated(SUBJECTS["parallel"], seed, tmp_path)
    verdict, message = judge(SUBJECTS["parallel"], tmp_path)
    assert (verdict, "characters, more than 2,000" in message) == ("refused", True)


@pytest.mark.slow
@pytest.mark.parametrize("reader", SUBJECTS)
def test_150_mutated_files(reader):
    report = fuzz(reader, 150)
    assert report["faults"] == []
    assert set(report["verdicts"]) == {"read", "refused"}


@pytest.mark.acceptance
@pytest.mark.parametrize("reader", SUBJECTS)
def test_2000_mutated_files(reader):
    assert fuzz(reader, 2000)["faults"] == []
