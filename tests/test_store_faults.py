"""Every kind of damage to every file of a sweep's folder gives the undisturbed table or a refusal in one line."""

import tempfile
from pathlib import Path

import pytest

from benchmarks.faults.store import DAMAGES, KINDS, RIGHT, rows


@pytest.mark.slow
def test_damage_never_gives_another_table_or_exception():
    with tempfile.TemporaryDirectory() as folder:  # which a user without rights may enter
        table = rows(Path(folder), flips=4, seed=1)
    assert len(table) == len(KINDS) * len(DAMAGES)
    assert [row for row in table if not set(row["verdicts"]) <= set(RIGHT)] == []
    verdicts = {(row["file"], row["damage"]): set(row["verdicts"]) for row in table}
    for file in ("manifest.json", "runs.jsonl", "variables/*.npz", "lock"):
        assert verdicts[file, "read-only"] == {"same table"}  # the folder is a finished one
        assert verdicts[file, "x64"] == {"refused"}
    for damage in ("truncate", "empty", "delete", "flip", "swap with another sweep", "swap with another run"):
        assert verdicts["manifest.json", damage] == {"refused"}
        assert verdicts["lock", damage] == {"same table"}
        assert verdicts["variables/*.npz", damage] >= {"same table, with a warning"}
    assert verdicts["runs.jsonl", "flip"] == {"same table, with a warning"}
    assert verdicts["runs.jsonl", "swap with another sweep"] == {"refused"}
