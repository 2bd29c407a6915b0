import json

import pytest

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
