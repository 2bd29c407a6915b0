import jax.numpy as jnp
import numpy as np
import scipy.sparse

from lcjax.compression.storage import compression_ratio, live_neurons, nonzero_counts, stored_bits
from tests.compression.problems import network

PARAMS = {
    "a": {"kernel": np.array([[0.0, 2.0, 0.0], [0.0, 3.0, 1.0]], "f4"), "bias": np.array([4.0, 0.0, 0.0], "f4")},
    "b": {"bias": np.array([1.0], "f4")},
    "step": np.int32(3),
}


def test_counts_by_hand():
    assert {name: int(n) for name, n in nonzero_counts(PARAMS).items()} == {"a": 4, "b": 1}
    assert {name: int(n) for name, n in live_neurons(PARAMS).items()} == {"a": 2}
    assert {name: int(n) for name, n in nonzero_counts(network(0, zeros=1.0)).items()} == {"head": 0, "hidden_0": 0}


def test_bits_by_hand():
    """Kernel of a: 3 rows of 2 (column in 1 bit, 7 as the largest start in 3); its bias: a row of 3; b: a row of 1."""
    for bits, options in ((32, {}), (8, {"value_bits": 8})):
        stored = {name: int(value) for name, value in stored_bits(PARAMS, **options).items()}
        sparse = 3 * (bits + 1) + 4 * 3 + (bits + 2) + 2 * 2 + (bits + 1) + 2 * 1
        assert stored == {"dense": 10 * bits, "bit mask": 10 + 5 * bits, "CSR": sparse}


def test_ratio():
    assert compression_ratio(jnp.array(10), jnp.array(4)) == 2.5
    assert compression_ratio(jnp.array([3, 0]), jnp.array([0, 0])).tolist() == [np.inf, 1]


def test_stored_bits_of_csr_against_scipy():
    rng = np.random.default_rng(0)
    kernel = (rng.normal(size=(60, 40)) * (rng.random((60, 40)) < 0.1)).astype(np.float32)
    matrix = scipy.sparse.csr_array(kernel.T)
    expected = matrix.nnz * 32 + matrix.indices.size * 6 + matrix.indptr.size * 12  # 59 in 6 bits, 2400 in 12
    assert int(stored_bits({"kernel": kernel})["CSR"]) == expected
