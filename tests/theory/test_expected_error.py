"""The expected error against quadrature in the feature space (d <= 3) and over the distance's own density (d > 3).

A program is compiled for every dimension, law, power and number of sizes: by default the tests share a few of them.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import lcjax as lc
from lcjax.theory.expected_error import log_size_scale, saturation_size

HYPERCUBE, POISSON = lc.laws.hypercube, lc.laws.poisson
# Dimension, law and power of the programs shared by the default tests, all with six sizes, and of the slow ones.
DEFAULT = [(1, HYPERCUBE, 1), (2, POISSON, 1), (3, HYPERCUBE, 1), (3, HYPERCUBE, 2), (8, HYPERCUBE, 1)]
SLOW = [
    (d, law, power)
    for d in (1, 2, 3, 5, 8)
    for law in (HYPERCUBE, POISSON)
    for power in ((1, 2) if d in (1, 3) else (1,))
    if (d, law, power) not in DEFAULT
]
PROGRAMS = DEFAULT + [pytest.param(*program, marks=pytest.mark.slow) for program in SLOW]

KAPPA = {1: 0.5, 2: 0.765195716464213 / 2, 3: 0.960591956455053 / 2, 5: 1.262406635036252 / 2, 8: 1.611273556101529 / 2}
SECOND_MOMENT = {1: 1 / 3, 2: 2 / 12, 3: 3 / 12, 5: 5 / 12, 8: 8 / 12}

# Table 3 of Bisla et al. (2021): train mean and variances, test mean and variances, radius.
TABLE_3 = {
    "MNIST LeNet": ([0.020, 0.012], [377.855, 264.029], [-0.061, -0.036], [384.357, 270.399], 17.375),
    "CIFAR-10 VGG-16": ([-0.004, 0.024], [98.192, 80.676], [0.009, -0.060], [87.691, 76.163], 0.890),
    "CIFAR-10 ResNet-18": ([-0.003, -0.001], [3.717, 2.789], [0.007, 0.003], [3.726, 2.662], 0.262),
    "CIFAR-100 VGG-16": ([0.023, 0.0464], [123.572, 121.108], [-0.0584, -0.116], [102.838, 97.932], 0.265),
    "CIFAR-100 ResNet-18": ([-0.001, -0.010], [3.648, 3.449], [0.003, 0.0260], [2.914, 2.811], 0.056),
    "ImageNet ResNet-50": (
        [-0.002, -0.007, -0.020],
        [19.940, 14.308, 12.331],
        [-0.002, -0.007, -0.020],
        [19.940, 14.308, 12.331],
        0.340,
    ),
    "Udacity ConvNet": ([-0.0111], [4.3415], [0.0265], [6.1000], 0.003),
}


def gaussians(d, case, dtype=None):
    """Return a pair of densities: both standard, equal, or different in mean, scale and direction."""
    rng = np.random.default_rng(d)

    def covariance():
        turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
        return turn * np.exp(rng.uniform(-0.7, 0.7, d)) @ turn.T

    train, mean = (np.eye(d), np.zeros(d)) if case == "standard" else (covariance(), rng.normal(size=d))
    test, shift = (covariance(), 0.7 * rng.normal(size=d)) if case == "unequal" else (train, np.zeros(d))
    arrays = [jnp.asarray(v, dtype or float) for v in (mean, train, mean + shift, test)]
    return lc.Gaussian(arrays[0], arrays[1]), lc.Gaussian(arrays[2], arrays[3])


def table_3(row):
    mean, variance, test_mean, test_variance, _ = TABLE_3[row]
    train = lc.Gaussian(jnp.array(mean), jnp.diag(jnp.array(variance)))
    return train, lc.Gaussian(jnp.array(test_mean), jnp.diag(jnp.array(test_variance)))


def law_at(intensity, d, law, power):
    """Return the law as a function of N f delta^d, with SciPy's functions."""
    if law is HYPERCUBE:
        moment = KAPPA[d] if power == 1 else SECOND_MOMENT[d]
        return np.minimum(1, moment * np.exp(-power / d * np.log(intensity)))
    a, count = power / d, intensity * np.pi ** (d / 2) / scipy.special.gamma(d / 2 + 1)
    small = np.minimum(count, 1.0)
    series = sum((-small) ** k / scipy.special.factorial(k) * a / (k + a) for k in range(22))
    many = np.maximum(count, 1.0)
    return np.where(count < 1, series, scipy.special.gamma(1 + a) * scipy.special.gammainc(a, many) * many**-a)


def panels(edges, nodes=40):
    x, w = np.polynomial.legendre.leggauss(nodes)
    edges = np.asarray(edges)
    length = np.diff(edges)[:, None]
    return (edges[:-1, None] + length * (x + 1) / 2).ravel(), (length * w / 2).ravel()


def sphere(d):
    """Return directions and weights that average over the unit sphere, d <= 3."""
    if d == 1:
        return np.array([[1.0], [-1.0]]), np.full(2, 0.5)
    angle = 2 * np.pi * np.arange(96) / 96
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    if d == 2:
        return circle, np.full(96, 1 / 96)
    height, weight = np.polynomial.legendre.leggauss(48)
    across = np.sqrt(1 - height**2)[:, None, None] * circle
    points = np.concatenate([across, np.broadcast_to(height[:, None, None], (48, 96, 1))], -1)
    return points.reshape(-1, 3), np.repeat(weight / 2, 96) / 96


def distance_density(train, test, d):
    """Return the density of q = |x - train mean|^2 in train standard deviations, for a test point x.

    For d <= 3 by averaging the test density over spheres about the train mean; beyond by the series of Ruben (1962),
    "Probability content of regions under spherical normal distributions, IV": a mixture of central chi-squares.
    """
    mean, cov, test_mean, test_cov = (np.asarray(v, np.float64) for v in jax.tree.leaves((train, test)))
    root = np.linalg.cholesky(cov)
    inverse = np.linalg.inv(root)
    covariance, shift = inverse @ test_cov @ inverse.T, inverse @ (test_mean - mean)
    if d <= 3:
        directions, weights = sphere(d)
        precision = np.linalg.inv(covariance)
        norm = np.sqrt(np.linalg.det(2 * np.pi * covariance))
        area = 2 * np.pi ** (d / 2) / scipy.special.gamma(d / 2)

        def density(q):
            result = np.empty_like(q)
            for i, r in enumerate(np.sqrt(q)):
                z = r * directions - shift
                result[i] = weights @ np.exp(-0.5 * np.einsum("ni,ij,nj->n", z, precision, z)) / norm
            return result * area * np.sqrt(q) ** (d - 2) / 2

        return density
    scale, axes = np.linalg.eigh(covariance)
    squares = (axes.T @ shift) ** 2 / scale
    terms, unit = 900, scale.min() * 0.99
    ratio = 1 - unit / scale
    k = np.arange(1, terms)[:, None]
    g = 0.5 * np.sum(ratio**k + k * squares * (unit / scale) * ratio ** (k - 1), axis=1)
    share = np.zeros(terms)
    share[0] = np.exp(-squares.sum() / 2) * np.prod(np.sqrt(unit / scale))
    for j in range(1, terms):
        share[j] = g[:j][::-1] @ share[:j] / j
    assert abs(share.sum() - 1) < 1e-13
    shape = d / 2 + np.arange(terms)

    def density(q):
        y = q[:, None] / (2 * unit)
        return np.exp((shape - 1) * np.log(y) - y - scipy.special.gammaln(shape)) @ share / (2 * unit)

    return density


def reference(size, train, test, radius, laws):
    """Return E[law] for each (law, power), by Gauss-Legendre in sqrt(q) with panels split at kinks: `(laws, sizes)`."""
    d = len(train.mean)
    log_peak = -0.5 * np.linalg.slogdet(2 * np.pi * np.asarray(train.covariance, np.float64))[1]
    log_intensity = np.log(np.asarray(size, np.float64)) + log_peak + d * np.log(float(radius))
    edges = [np.linspace(0, 12, 25), np.linspace(12, 60 if d > 3 else 24, 25)]
    for moment in (KAPPA[d], SECOND_MOMENT[d] ** 0.5):
        edges.append(np.sqrt(np.clip(2 * (log_intensity - d * np.log(moment)), 0, 24**2)))
    r, w = panels(np.unique(np.concatenate(edges)), 12)
    mass = distance_density(train, test, d)(r**2) * 2 * r * w
    assert abs(mass.sum() - 1) < 1e-12
    intensity = np.exp(np.maximum(log_intensity[:, None] - r**2 / 2, -690.0))
    return np.array([law_at(intensity, d, law, power) @ mass for law, power in laws])


def capped_hypercube(log_intensity, *, d, power=1):
    """The hypercube law under another name, so that the polar rule is used."""
    return lc.laws.hypercube(log_intensity, d=d, power=power)


def tolerance(x64):
    return 1e-10 if x64 else 1e-5


@pytest.mark.parametrize("case", ["standard", "equal", "unequal"])
@pytest.mark.parametrize(("d", "law", "power"), PROGRAMS)
def test_laws_match_quadrature(d, law, power, case, x64):
    train, test = gaussians(d, case)
    radius = 0.4
    scale = float(saturation_size(train, radius))
    size = jnp.asarray(scale * np.array([0.3, 1.001, 1.5, 10.0, 300.0, 1e5]))
    actual = lc.expected_error(size, train, test, radius, law, power=power)
    assert actual.dtype == size.dtype == (jnp.float64 if x64 else jnp.float32)
    expected = reference(size, train, test, radius, [(law, power)])[0]
    np.testing.assert_allclose(actual, expected, rtol=tolerance(x64), atol=0)


def of_tables(law):
    """Yield rows of Table 3; those whose dimension has no default program of the law are marked slow."""
    dimensions = [d for d, other, power in DEFAULT if other is law and power == 1]
    return [
        pytest.param(row, law, marks=() if len(mean) in dimensions else pytest.mark.slow)
        for row, (mean, *_) in TABLE_3.items()
    ]


@pytest.mark.parametrize(("row", "law"), of_tables(HYPERCUBE) + of_tables(POISSON))
def test_table_3_matches_quadrature(row, law, x64):
    train, test = table_3(row)
    radius = TABLE_3[row][-1]
    size = jnp.array([100.0, 1.5e3, 1e4, 5e4, 1e6, 1e8])
    actual = lc.expected_error(size, train, test, radius, law)
    expected = reference(size, train, test, radius, [(law, 1)])[0]
    np.testing.assert_allclose(actual, expected, rtol=tolerance(x64), atol=0)


@pytest.mark.parametrize("law", [HYPERCUBE, pytest.param(POISSON, marks=pytest.mark.slow)])
def test_extreme_densities_match_quadrature(law, x64):
    """Compare means eight deviations apart and spreads of 1/50 and 50 deviations with a one-dimensional integral."""
    train = lc.Gaussian(jnp.zeros(1), jnp.eye(1))
    for shift, spread in ((8.0, 1.0), (0.5, 0.02), (0.0, 50.0), (3.0, 0.2)):
        test = lc.Gaussian(jnp.asarray([shift]), jnp.asarray([[spread**2]]))
        size = jnp.array([10.0, 100.0, 1e3, 1e4, 1e5, 1e6])
        expected = []
        for n in np.asarray(size):
            # Split at the kinks, where the test point is sqrt(2 ln(2 N f(0) delta)) from the train mean.
            kink = np.sqrt(2 * np.log(max(2 * n * 0.05 / np.sqrt(2 * np.pi), 1.0)))
            deviation = np.sqrt(float(test.covariance[0, 0]))
            at = np.clip((np.array([-kink, kink]) - float(test.mean[0])) / deviation, -12, 12)
            z, w = panels(np.unique(np.concatenate([np.linspace(-12, 12, 200), at])), 20)
            x = float(test.mean[0]) + deviation * z
            f = np.exp(-np.minimum(x**2 / 2, 600)) / np.sqrt(2 * np.pi)
            weight = w * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
            expected.append(weight @ law_at(n * f * 0.05, 1, law, 1))
        actual = lc.expected_error(size, train, test, 0.05, law)
        np.testing.assert_allclose(actual, expected, rtol=1e-9 if x64 else 2e-5)


@pytest.mark.parametrize("d", [*(pytest.param(d, marks=pytest.mark.slow) for d in (1, 2)), 3])
def test_polar_rule_agrees_with_the_contour_integral(d, x64):
    row = {1: "Udacity ConvNet", 2: "MNIST LeNet", 3: "ImageNet ResNet-50"}[d]
    for train, test in (gaussians(d, "equal"), table_3(row)):
        size = jnp.asarray(float(saturation_size(train, 0.3)) * np.array([0.3, 1.01, 1.5, 10.0, 300.0, 1e5]))
        polar = lc.expected_error(size, train, test, 0.3, capped_hypercube)
        np.testing.assert_allclose(polar, lc.expected_error(size, train, test, 0.3), rtol=tolerance(x64))


@pytest.mark.parametrize("d", [1, 3])
def test_error_is_exactly_one_up_to_saturation(d, x64):
    for case in ("standard", "unequal"):
        train, test = gaussians(d, case)
        for power in (1,) if d == 1 else (1, 2):
            scale = saturation_size(train, 0.2, power=power)
            # One part in 1e4 below, because exp and log round.
            error = lc.expected_error(
                scale * jnp.array([1e-6, 0.1, 0.9, 0.9999, 1.2, 2.0]), train, test, 0.2, power=power
            )
            assert (error[:4] == 1).all()
            assert (error[4:] < 1).all()


def test_saturation_size_is_the_formula():
    train, _ = gaussians(3, "equal")
    determinant = np.linalg.det(np.asarray(train.covariance, np.float64))
    expected = (KAPPA[3] / 0.3) ** 3 * (2 * np.pi) ** 1.5 * np.sqrt(determinant)
    np.testing.assert_allclose(saturation_size(train, 0.3), expected, rtol=1e-5)
    np.testing.assert_allclose(jnp.log(saturation_size(train, 0.3)), log_size_scale(train, 0.3), rtol=1e-6)


def reverse_derivatives(size, train, test, radius, law):
    """Return raveled derivatives of the first two errors by all arguments, and the function itself."""
    flat, restore = ravel_pytree((size, train, test, jnp.asarray(radius)))

    def value(parameters):
        size, train, test, radius = restore(parameters)
        return lc.expected_error(size, train, test, radius, law)

    return np.asarray(flat), lambda flat: np.asarray(value(jnp.asarray(flat))), jax.jit(jax.jacrev(value))


@pytest.mark.parametrize(
    ("d", "case", "law"),
    [
        (3, "standard", HYPERCUBE),
        pytest.param(2, "unequal", POISSON, marks=pytest.mark.slow),
        pytest.param(1, "unequal", POISSON, marks=pytest.mark.slow),
        pytest.param(8, "unequal", HYPERCUBE, marks=pytest.mark.slow),
    ],
)
def test_derivatives_match_central_differences(d, case, law, x64):
    if not x64:
        pytest.skip("differences need double precision")
    train, test = gaussians(d, case)
    scale = float(saturation_size(train, 0.3))
    size = jnp.array([3.0, 300.0, 10.0, 1e5, 0.3, 1.2]) * scale
    flat, value, jacobian = reverse_derivatives(size, train, test, 0.3, law)
    directions = np.random.default_rng(0).normal(size=(6, len(flat))) * np.abs(flat).clip(0.3)
    slope, h = np.asarray(jacobian(jnp.asarray(flat))), 3e-6
    for direction in directions:
        difference = (value(flat + h * direction) - value(flat - h * direction)) / (2 * h)
        np.testing.assert_allclose(slope @ direction, difference, rtol=1e-6, atol=1e-8)
    if law is HYPERCUBE:
        assert (slope[4] == 0).all()  # below saturation


@pytest.mark.slow
@pytest.mark.parametrize(("d", "law"), [(2, HYPERCUBE), (3, POISSON)])
def test_forward_and_reverse_derivatives_agree(d, law, x64):
    train, test = gaussians(d, "unequal")
    size = jnp.array([3.0, 300.0]) * float(saturation_size(train, 0.3))
    flat, restore = ravel_pytree((size, train, test, jnp.asarray(0.3)))

    def value(parameters):
        size, train, test, radius = restore(parameters)
        return lc.expected_error(size, train, test, radius, law)

    forward, reverse = jax.jit(lambda v: (jax.jacfwd(value)(v), jax.jacrev(value)(v)))(flat)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9 if x64 else 1e-3, atol=1e-12 if x64 else 1e-6)


@pytest.mark.slow
def test_split_of_the_error_gives_its_derivatives(x64):
    """d error / d ln delta = -B and d error / d ln N = -B / d, with B the unsaturated part, for equal Gaussians."""
    d, ratio = 3, jnp.array([1.2, 1.5, 5.0, 20.0, 1e3, 1e5])
    train, test = gaussians(d, "standard")
    size = ratio * saturation_size(train, 0.5)
    total = lc.expected_error(size, train, test, 0.5)
    outside = scipy.special.gammaincc(d / 2, np.log(np.asarray(ratio, np.float64)))
    by_radius = jax.jit(jax.jacfwd(lambda s: lc.expected_error(size, train, test, 0.5 * jnp.exp(s))))(0.0)
    by_size = jax.jit(lambda n: jax.jvp(lambda n: lc.expected_error(n, train, test, 0.5), (n,), (n,))[1])(size)
    np.testing.assert_allclose(by_radius, outside - total, rtol=1e-9 if x64 else 1e-4)
    np.testing.assert_allclose(by_size, (outside - total) / d, rtol=1e-9 if x64 else 1e-4)


def test_vmap_over_densities_and_radius_matches_a_loop(x64):
    pairs = [gaussians(2, case) for case in ("standard", "equal", "unequal")]
    train, test = (jax.tree.map(lambda *v: np.stack(v), *side) for side in zip(*pairs, strict=True))
    radius, size = np.array([0.1, 0.2, 0.4]), jnp.array([10.0, 1e2, 1e3, 1e4, 1e5, 1e6])
    mapped = jax.vmap(lambda f, g, r: lc.expected_error(size, f, g, r, POISSON))
    batched = jax.jit(mapped)(train, test, jnp.asarray(radius))
    single = [lc.expected_error(size, *pair, float(r), POISSON) for pair, r in zip(pairs, radius, strict=True)]
    np.testing.assert_allclose(batched, single, rtol=1e-12 if x64 else 1e-6)


def test_float32_stays_float32_under_x64():
    train, test = gaussians(2, "unequal", jnp.float32)
    for size in (jnp.array([10, 20]), np.array([10, 20], np.float32)):
        shape = jax.eval_shape(lambda *v: lc.expected_error(*v, jnp.float32(0.3)), size, train, test)
        assert shape.dtype == jnp.float32


@given(program=st.sampled_from(DEFAULT), log_radius=st.floats(-6, 3), start=st.floats(-3, 12))
def test_error_falls_with_size_and_radius(program, log_radius, start):
    d, law, power = program
    train, test = gaussians(d, "unequal")
    size, radius = (
        np.exp(start + np.array([0.0, 0.01, 0.5, 2.0, 4.0, 9.0])).astype(train.mean.dtype),
        float(np.exp(log_radius)),
    )
    errors, wider = (
        np.asarray(lc.expected_error(size, train, test, factor * radius, law, power=power)) for factor in (1.0, 1.1)
    )
    slack = 8 * np.finfo(errors.dtype).eps
    assert ((errors >= 0) & (errors <= 1)).all()
    assert (errors[1:] <= errors[:-1] * (1 + slack)).all()
    assert (wider <= errors * (1 + slack)).all()


def test_units_and_rotations_do_not_matter(x64):
    train, test = gaussians(3, "unequal")
    turn = jnp.asarray(np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]) * 7.0
    moved = [lc.Gaussian(turn @ g.mean + 2.0, turn @ g.covariance @ turn.T) for g in (train, test)]
    size = jnp.array([10.0, 100.0, 1e3, 1e4, 1e5, 1e6])
    expected = lc.expected_error(size, train, test, 0.3)
    np.testing.assert_allclose(lc.expected_error(size, *moved, 2.1), expected, rtol=1e-11 if x64 else 2e-5)


def test_singular_covariances():
    """A singular training density has no error; a test density of zero spread has the law's value at its point."""
    standard, singular = lc.Gaussian(jnp.zeros(3), jnp.eye(3)), lc.Gaussian(jnp.zeros(3), jnp.ones((3, 3)))
    size = jnp.array([1.0, 100.0, 1e3, 1e3, 1e4, 1e5])
    assert jnp.isnan(lc.expected_error(size, singular, standard, 0.3)).all()
    indefinite = lc.Gaussian(jnp.zeros(3), jnp.diag(jnp.array([1.0, 1.0, -0.1])))
    assert jnp.isnan(lc.expected_error(size, standard, indefinite, 0.3)[3:]).all()
    point = lc.Gaussian(jnp.zeros(3), jnp.zeros((3, 3)))
    expected = min(1, KAPPA[3] * (1e4 / (2 * np.pi) ** 1.5 * 0.3**3) ** (-1 / 3))
    np.testing.assert_allclose(lc.expected_error(size, standard, point, 0.3)[4], expected, rtol=1e-5)


def test_wrong_arguments_are_named():
    one, two = gaussians(1, "standard")[0], gaussians(2, "standard")[0]
    with pytest.raises(ValueError, match=r"\(1,\).*\(2,\)"):
        lc.expected_error(jnp.ones(1), one, two, 0.3)
    with pytest.raises(ValueError, match="power must be 1 or 2, got 3"):
        lc.expected_error(jnp.ones(1), one, one, 0.3, power=3)
    with pytest.raises((ValueError, TypeError), match="radius"):  # the run-time type check may be first
        lc.expected_error(jnp.ones(2), one, one, jnp.array([0.1, 0.2]))
    eight = gaussians(8, "standard")[0]
    with pytest.raises(ValueError, match="d <= 3, got d=8"):
        lc.expected_error(jnp.ones(1), eight, eight, 0.3, law=capped_hypercube)
