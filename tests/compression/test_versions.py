import jax
import numpy as np
import pytest

from lcjax.compression import versions
from lcjax.compression.versions import as_partial, batch_options, chunk_size, first_model


def test_chunks_hold_as_many_weights_as_a_cache(monkeypatch):
    monkeypatch.setattr(versions, "CACHE_NUMBERS", 100)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    params = {"a": np.ones((4, 2)), "b": np.ones(2)}
    assert [chunk_size(params, n, None) for n in (3, 10, 50)] == [3, 10, 10]
    assert chunk_size({"a": np.ones(101)}, 5, None) == 1
    assert chunk_size({"a": np.ones(0)}, 200, None) == 100
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert chunk_size(params, 50, None) == 50
    assert chunk_size(params, 3, 7) == 7
    with pytest.raises(ValueError, match="at least 1, got chunk=0"):
        chunk_size(params, 3, 0)


def test_one_at_a_time_has_no_batch_axis():
    assert [batch_options(n) for n in (1, 2)] == [{}, {"batch_size": 2}]


def test_shapes_of_one_model():
    assert first_model([np.ones((5, 2, 3)), np.ones(5)])[0].shape == (2, 3)
    for tree in ([np.ones((5, 2)), np.ones(4)], [np.ones(())]):
        with pytest.raises(ValueError, match="models as leading axis"):
            first_model(tree)


def test_a_partial_stays_itself():
    partial = jax.tree_util.Partial(np.multiply, 2)
    assert as_partial(partial) is partial
    assert jax.tree.leaves(as_partial(np.sum)) == []
