"""Kernels given lists, NumPy's scalars, other dtypes, nan, extreme units: the right value, or an error by name."""

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from lcjax.complexity.capacity import linear_class_bound, rademacher_complexity, ridge_regression, vc_bounds
from lcjax.complexity.corruption import corrupt_labels
from lcjax.complexity.expressivity import memorizing_network
from lcjax.complexity.interpolation import gaussian_kernel, gram_interpolation, kernel_interpolation, polynomial_kernel
from lcjax.complexity.minimum_norm import gradient_descent, minimum_norm
from lcjax.complexity.vc_bound import geometric_margin
from lcjax.complexity.weight_measures import margins, weight_norms
from lcjax.compression.fixed_point import half_up, saturate
from lcjax.compression.pruning import prune
from lcjax.compression.quantization import margin, quantize
from lcjax.compression.quantization_curve import quantize_curve
from lcjax.kernels.arguments import as_array, as_count, check_precision
from lcjax.kernels.enclosing_ball import approximate_sphere
from lcjax.kernels.integer_sort import ascending
from lcjax.kernels.integration import capped_mean, expectation
from lcjax.kernels.sampling.resampling import resample_rows, student_noise
from lcjax.kernels.sobol import chi_quantile, sobol

KEY = jax.random.key(0)
ROWS = np.array([[3.0, 4.0]], np.float32)
GAUSSIAN = gaussian_kernel(1.0)
LINE = jnp.array([[0.0], [1.0], [2.0]])


@pytest.mark.parametrize(
    ("sample", "scale", "power", "want"),
    [
        ([1.0, 1e20], 0.5, 2, 0.625),
        ([1e-3, 1.0, 1e10], 0.5, 4, 0.3541667),
        ([1e-25, 1e25], 1e24, 1, 0.55),
        ([1, 2, 3], 0.25, 1, 0.5),
        ([0.0, np.inf], 0.5, 1, 0.5),
        ([1.0, -2.0], 0.5, 1, np.nan),
    ],
    ids=["20 decades", "13 decades", "50 decades", "integers", "infinite", "negative"],
)
def test_capped_means_neither_overflow_nor_vanish(sample, scale, power, want):
    np.testing.assert_allclose(capped_mean(sample, scale, power=power), want, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
def test_sobol_points_are_never_on_the_boundary(dtype):
    with pytest.raises(ValueError, match=dtype):
        sobol(KEY, 4096, 2, dtype=dtype)


def test_sobol_takes_numpys_integers():
    assert sobol(KEY, np.int64(8), 2).shape == (8, 2)


def first(x):
    return x[:, 0]


def test_a_function_is_compiled_once_for_all_keys():
    count = [0]

    def listen(name, _, **__):
        count[0] += name == "/jax/core/compile/backend_compile_duration"

    keys = list(jax.random.split(KEY, 4))
    expectation(keys[0], first, d=2).value.block_until_ready()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for key in keys:
            expectation(key, first, d=2).value.block_until_ready()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert count[0] <= 1


@pytest.mark.parametrize("factor", [1e-25, 1e25])
@pytest.mark.parametrize("gram", [False, True])
def test_minimum_norm_in_any_unit(factor, gram):
    solution = minimum_norm(ROWS * np.float32(factor), [10.0], gram=gram)
    np.testing.assert_allclose(solution.norm, 2 / factor, rtol=1e-5)
    np.testing.assert_allclose(solution.weights, np.array([1.2, 1.6]) / factor, rtol=1e-5)


def test_descent_towards_zero_has_distance_zero():
    np.testing.assert_array_equal(gradient_descent(KEY, ROWS, [0.0], steps=10, records=2).distance, 0)


@pytest.mark.parametrize(("n", "width"), [(12, 10.0), (15, 20.0), (25, 80.0), (30, 100.0), (40, 200.0)])
def test_a_near_singular_gram_matrix_is_refused_or_interpolates(n, width):
    points = np.linspace(0, 1, n)
    gram = np.exp(-width * (points[:, None] - points) ** 2).astype("f4")
    y = np.random.default_rng(1).normal(size=n).astype("f4")
    try:
        alpha, _ = gram_interpolation(gram, y)
    except ValueError as error:
        assert "singular" in str(error)  # noqa: PT017  # either outcome is right
    else:
        assert np.abs(gram.astype(float) @ np.asarray(alpha, float) - y).max() <= 0.05


@pytest.mark.slow
def test_interpolants_tell_a_large_residual():
    y = jnp.asarray(np.random.default_rng(1).normal(size=20), "float32")
    fit = kernel_interpolation(jnp.linspace(0, 1, 20)[:, None], y, gaussian_kernel(40.0))
    assert bool(fit.converged) == bool(fit.residual <= 0.01 * jnp.abs(y).max())


def test_queries_may_be_absent():
    fit = kernel_interpolation(LINE, [0.0, 1.0, 0.0], GAUSSIAN)
    assert fit.predict(LINE[:0]).shape == (0,)


def test_indices_beyond_32_bits_are_independent():
    labels = np.zeros(4, int)
    far = corrupt_labels(KEY, labels, 1000, 1.0, index=np.array([0, 2**32, 1, 2**32 + 1]))
    near = corrupt_labels(KEY, labels, 1000, 1.0, index=[0, 5, 1, 6])
    assert len(set(far.tolist())) == 4
    np.testing.assert_array_equal(far[::2], near[::2])


@pytest.mark.slow
def test_an_nnx_state_is_pruned_like_a_dictionary():
    state = nnx.state(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), nnx.Param)
    boxed, plain = ({"head": params} for params in (state, nnx.to_pure_dict(state)))
    layers = [prune(params, sparsity=0.5).report.layers for params in (boxed, plain)]
    assert layers[0] == layers[1]
    assert list(layers[0]) == ["head"]


@pytest.mark.slow
def test_networks_of_vectors_are_compressed():
    params = {"a": np.ones(3, ">f4"), "b": np.array([0.5, 1, 2, 3], "f4")}
    np.testing.assert_allclose(margin(params), 2 / 17.25, rtol=1e-6)
    curve = quantize_curve(params, lambda params: jnp.mean(params["a"]), bits=(8, 4))
    assert curve.accuracy.tolist() == [1, 0.875]  # the largest number of 4 bits with 3 after the point


@pytest.mark.slow
def test_explicit_meshes():
    rows = NamedSharding(jax.make_mesh((1,), ("rows",)), PartitionSpec("rows"))
    x = jax.device_put(np.random.default_rng(0).normal(size=(8, 3)).astype("f4"), rows)
    assert capped_mean(x[:, 0] ** 2, np.float32(0.5)) > 0
    assert minimum_norm(x[:2], np.ones(2, "f4")).norm > 0
    assert prune({"k": x}, sparsity=0.5).report.surviving == 12


VALUES = {
    "as_array, big-endian": (lambda: as_array(np.ones(2, ">i8"), "x"), [1, 1]),
    "ascending": (lambda: ascending([2, 1]), [1, 2]),
    "approximate_sphere": (lambda: approximate_sphere(ROWS * np.float32(1e-25), steps=3).radius, 0),
    "chi_quantile": (lambda: chi_quantile([0.5, 1.5], 2), [1.1774, np.nan]),
    "corrupt_labels": (lambda: corrupt_labels(KEY, [0, 1], 2, 0), [0, 1]),
    "geometric_margin": (lambda: geometric_margin([2e-25], -1e-25, [[0.0], [2.0]], [-1, 1]), 0.5),
    "gram_interpolation": (lambda: gram_interpolation([[2, 0], [0, 4]], [2, 4])[0], [1, 1]),
    "half_up": (lambda: half_up([0.5, 1.4]), [1, 1]),
    "kernel_interpolation": (lambda: kernel_interpolation([[0.0], [1.0]], [0.0, 1.0], GAUSSIAN).norm, 1.0754),
    "linear_class_bound": (lambda: linear_class_bound([[3e-25, 4e-25]], 1.0), 5e-25),
    "margins": (lambda: margins([[1.0, 3.0, 2.0], [1.0, 2.0, 3.0]], [1, 5]), [1, np.nan]),
    "minimum_norm": (lambda: minimum_norm([[3, 4]], [10]).norm, 2),
    "resample_rows": (lambda: resample_rows(KEY, np.ones((2, 2), ">f4"), draws=np.int64(1)), [[1, 1]]),
    "saturate": (lambda: saturate([200], 8), [127]),
    "student_noise": (lambda: student_noise(KEY, 9, draws=1, size=1, most=4), [[np.nan]]),
    "vc_bounds": (lambda: vc_bounds([97.0], [10_000])["without root"], [0.01]),
    "weight_norms": (lambda: weight_norms({"a": np.full((2, 2), 1e25, ">f4")}).frobenius, 2e25),
}


@pytest.mark.parametrize("name", VALUES)
def test_other_kinds_of_numbers(name):
    call, want = VALUES[name]
    np.testing.assert_allclose(call(), want, rtol=2e-3, atol=0 if want == 5e-25 else 1e-30)


WEIGHTS = {"head": {"kernel": np.ones((3, 2), "f4"), "bias": np.ones(2, "f4")}}
ERRORS = {
    "as_count": (lambda: as_count(2.5, "n"), "n must be a whole number at least 1, got 2.5"),
    "as_count, truth value": (lambda: as_count(True, "n"), "n=True"),
    "check_precision": (
        lambda: check_precision("points", 1.7e9 + np.arange(9.0)[:, None], jnp.dtype("float32")),
        r"points lose their differences in float32: column 0 holds numbers from 1700000000.0 to 1700000008.0",
    ),
    "corrupt_labels, index": (lambda: corrupt_labels(KEY, [0, 1], 2, 1.0, index=[-1, 0]), "negative, got -1"),
    "corrupt_labels, labels": (lambda: corrupt_labels(KEY, np.array([0, 2**40]), 2, 1.0), "1099511627776"),
    "corrupt_labels, bytes": (lambda: corrupt_labels(KEY, np.zeros(2, "u1"), 300, 1.0), "holds 300 classes"),
    "gaussian_kernel": (lambda: gaussian_kernel(np.nan), "got nan"),
    "gradient_descent": (lambda: gradient_descent(KEY, ROWS, [1.0], steps=9, learning_rate=0.0), "records=50"),
    "gram_interpolation": (lambda: gram_interpolation([[np.nan, 0], [0, 1]], [1, 2]), r"gram must be finite, got nan"),
    "kernel_interpolation, point": (
        lambda: kernel_interpolation(LINE.at[0].set(jnp.nan), [0, 1, 0], GAUSSIAN), "points must be finite, got nan"
    ),
    "kernel_interpolation, target": (
        lambda: kernel_interpolation(LINE, [np.nan, 1, 0], GAUSSIAN), r"targets must be finite, got nan at index \(0\)"
    ),
    "memorizing_network": (
        lambda: memorizing_network(KEY, np.array([[2**40], [2**40 + 1]]), [0, 1]), "inputs lose their differences"
    ),
    "minimum_norm": (lambda: minimum_norm([[np.nan, 4.0]], [10.0]), r"features must be finite, got nan"),
    "polynomial_kernel": (lambda: polynomial_kernel(True), "degree=True"),
    "prune": (lambda: prune(WEIGHTS, sparsity=np.nan), "sparsity must be a fraction"),
    "quantize": (lambda: quantize(WEIGHTS, None, 3), "bits must be a whole number from 2 to 64, got None"),
    "rademacher_complexity": (
        lambda: rademacher_complexity(KEY, ridge_regression(1.0), np.zeros((0, 2))), "at least one input"
    ),
    "ridge_regression": (lambda: ridge_regression(np.nan), "got nan"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_wrong_arguments_are_named(name):
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        call()
