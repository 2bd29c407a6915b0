import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.compression.selection import concrete_value, everything, layer_of, leaves_by_layer, select_leaves, under_head

TREE = {"head": {"bias": np.ones(2), "kernel": np.ones((3, 2))}, "blocks": [{"head": np.ones((1, 1))}, np.float32(1)]}


def test_paths_and_selections():
    assert list(select_leaves(TREE, everything)) == ["blocks/0/head", "blocks/1", "head/bias", "head/kernel"]
    assert [path for path, selected in select_leaves(TREE, under_head).items() if selected] == ["head/kernel"]
    assert [layer_of(path) for path in select_leaves(TREE, everything)] == ["blocks/0", "blocks", "head", "head"]
    assert list(select_leaves(np.ones(2), everything)) == [""]


def test_what_cannot_be_compressed_is_refused():
    with pytest.raises(ValueError, match="none of the leaves 'head/bias', 'head/kernel'"):
        select_leaves({"head": TREE["head"]}, lambda path, leaf: False)
    with pytest.raises(ValueError, match="there are none"):
        select_leaves({}, everything)
    with pytest.raises(ValueError, match="'n' holds int"):
        select_leaves({"n": np.ones(2, int)}, everything)


def test_layers_of_weights_skip_counters():
    assert [(layer, leaf.shape) for layer, leaf in leaves_by_layer({**TREE["head"], "step": np.int32(1)})] == [
        ("", (2,)),
        ("", (3, 2)),
    ]


def test_a_traced_value_is_not_concrete():
    assert concrete_value(3) == 3
    jax.jit(lambda value: jnp.float32(concrete_value(value) is None or pytest.fail("not traced")))(1.0)
