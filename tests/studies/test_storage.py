"""Arrays computed from runs are stored once, by everything that they depend on."""

import numpy as np
import pytest

from lcjax.studies.storage import restore_or_compute


def test_arrays_are_computed_once_for_each_identity(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"value": np.arange(3.0), "flag": np.array(True)}

    first = restore_or_compute(tmp_path, "neighbors", {"width": 1}, compute)
    again = restore_or_compute(tmp_path, "neighbors", {"width": 1}, compute)
    assert len(calls) == 1
    for name in ("value", "flag"):
        assert again[name].dtype == first[name].dtype
        np.testing.assert_array_equal(again[name], first[name])
    restore_or_compute(tmp_path, "neighbors", {"width": 2}, compute)
    restore_or_compute(None, "neighbors", {"width": 1}, compute)
    assert len(calls) == 3


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"{}", b"\x93NUMPY", None], ids=["empty", "cut", "json", "npy", "half"]
)
def test_a_damaged_file_is_computed_again(tmp_path, content):
    restore_or_compute(tmp_path, "a", 1, lambda: {"x": np.ones(2)})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:40] if content is None else content)
    restored = restore_or_compute(tmp_path, "a", 1, lambda: {"x": np.zeros(2)})
    np.testing.assert_array_equal(restored["x"], np.zeros(2))
    np.testing.assert_array_equal(restore_or_compute(tmp_path, "a", 1, dict)["x"], np.zeros(2))


def test_arrays_of_another_identity_or_without_a_checksum_are_computed_again(tmp_path):
    for identity in (1, 2):
        restore_or_compute(tmp_path, "a", identity, lambda identity=identity: {"x": np.full(2, identity)})
    first, second = sorted(tmp_path.iterdir(), key=lambda path: np.load(path)["x"][0])
    first.write_bytes(second.read_bytes())
    np.testing.assert_array_equal(restore_or_compute(tmp_path, "a", 1, lambda: {"x": np.ones(2)})["x"], np.ones(2))
    np.savez(second, x=np.zeros(2))
    np.testing.assert_array_equal(restore_or_compute(tmp_path, "a", 2, lambda: {"x": np.ones(2)})["x"], np.ones(2))
