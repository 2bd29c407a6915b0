"""Files are written completely or not at all, and JSON keeps short lists on one line."""

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.files import (
    atomic_path,
    cache_folder,
    lock_file,
    read_checked,
    remove_temporaries,
    require_file,
    require_folder,
    write_checked,
    write_json,
    writing,
)


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"size": 1})

    def fail_half_way():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert json.loads(target.read_text()) == {"size": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_folder_is_created(tmp_path):
    write_json(tmp_path / "new" / "a.json", [1.0, float("nan")])
    assert json.loads((tmp_path / "new" / "a.json").read_text()) == [1.0, None]


LEAF = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text('ab[]{},\n"\\ '), st.none())
VALUES = st.recursive(LEAF, lambda v: st.lists(v) | st.dictionaries(st.text('a[]{}\n" '), v), max_leaves=12)


@given(VALUES)
def test_lists_on_one_line_read_the_same(value):
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder, "a.json"), value)
        assert json.loads(Path(folder, "a.json").read_text()) == value


def test_innermost_lists_are_a_line_each(tmp_path):
    write_json(tmp_path / "a.json", {"a": [[1, 2], [3.5, None]], "b": ["x, y", "[1"], "c": []})
    assert (tmp_path / "a.json").read_text() == (
        '{\n "a": [\n  [1, 2],\n  [3.5, null]\n ],\n "b": [\n  "x, y",\n  "[1"\n ],\n "c": []\n}\n'
    )


def test_a_new_file_has_the_suffix_while_written_and_can_be_read_by_all(tmp_path):
    with atomic_path(tmp_path / "new" / "a.npz") as temporary:
        assert temporary.suffix == ".npz"
        assert temporary.parent == tmp_path / "new"
        temporary.write_text("complete")
    assert (tmp_path / "new" / "a.npz").read_text() == "complete"
    assert (tmp_path / "new" / "a.npz").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LCJAX_CACHE": "/a"}, Path("/a")),
        ({"LCJAX_CACHE": ""}, None),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/lcjax")),
        ({"XDG_CACHE_HOME": ""}, Path("/c/.cache/lcjax")),
        ({}, Path("/c/.cache/lcjax")),
    ],
)
def test_the_cache_is_where_the_environment_says(variables, expected, monkeypatch):
    for name in ("LCJAX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/c")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == expected


def test_missing_files_and_folders(tmp_path):
    (tmp_path / "a").write_text("")
    assert require_file(str(tmp_path / "a")) == tmp_path / "a"
    assert require_folder(str(tmp_path)) == tmp_path
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} is not a file"):
        require_file(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"No folder {tmp_path / 'a'}"):
        require_folder(tmp_path / "a")


def test_what_a_killed_process_left_is_removed_but_not_what_another_writes(tmp_path):
    left, young, locked, other = (
        tmp_path / name for name in (".lcjax-a-1.npz", ".lcjax-b-2", ".lcjax-c-3", ".notes-4")
    )
    for path in (left, young, locked, other):
        path.write_bytes(b"half")
    for path in (left, locked, other):
        os.utime(path, (1, 1))
    with locked.open("rb") as file:
        assert lock_file(file.fileno())
        remove_temporaries(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, locked, other])


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "a.json").symlink_to(tmp_path / "outside")
    write_json(tmp_path / "a.json", {"size": 1})
    assert (tmp_path / "outside").read_text() == "mine"
    assert not (tmp_path / "a.json").is_symlink()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "x"), OSError(errno.EDQUOT, "x"), ValueError(os.strerror(28))])
def test_a_full_disk_is_named_with_file_and_remedy(tmp_path, error):
    message = rf"The disk is full: {tmp_path}/a\.json was not written. Free some space and repeat"
    with pytest.raises(OSError, match=message) as raised, atomic_path(tmp_path / "a.json"):
        raise error
    assert raised.value.errno in (errno.ENOSPC, errno.EDQUOT)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PermissionError), writing("a"):
        raise PermissionError(errno.EACCES, "x")


def test_a_checksum_covers_every_field(tmp_path):
    write_checked(tmp_path / "a.json", {"size": 10, "rate": float("nan"), "of": {"runs": [1, 2.5]}})
    text = (tmp_path / "a.json").read_text()
    assert read_checked(tmp_path / "a.json") == {"size": 10, "rate": None, "of": {"runs": [1, 2.5]}}
    for old, new in (("10", "11"), ("2.5", "2.4"), ("rate", "late"), ("null", "0")):
        (tmp_path / "a.json").write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=r"a\.json cannot be read: its checksum is wrong, so it has changed since"):
            read_checked(tmp_path / "a.json")
