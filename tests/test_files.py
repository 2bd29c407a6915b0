import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.files import atomic_path, write_json


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


def test_folder_is_made(tmp_path):
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
