"""Effective dimension from bottleneck accuracies, cross-checked by the intrinsic dimension of a point cloud.

NumPy arrays are computed by NumPy, which needs no compilation for small clouds; JAX arrays by JAX.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import scipy.special
from jaxtyping import Bool, Float, Num

from lcjax.kernels.compilation import jit, namespace
from lcjax.kernels.neighbors import nearest_neighbors
from lcjax.kernels.neighbors.distance import Neighbors
from lcjax.kernels.neighbors.host import host_neighbors
from lcjax.records import record
from lcjax.theory.estimators import point_clouds
from lcjax.typing import Array, Scalar

__all__ = [
    "DimensionEstimate",
    "EffectiveDimension",
    "effective_dimension",
    "intrinsic_dimensions",
    "inverse_local_dimension",
    "levina_bickel",
    "nearest_neighbor_accuracy",
    "spectral_dimension",
    "two_nn",
]


@record
class EffectiveDimension:
    """Width of the smallest bottleneck that costs no accuracy.

    Attributes:
        value: the width, `(*b,)`, in the dtype of the widths; if none is established, the smallest of best accuracy.
        established: True where a width is non-inferior, `(*b,)`.
        pvalue: of the hypothesis that a width loses `margin` or more, `(*b, w)`.
    """

    value: Num[Array, "*b"]
    established: Bool[Array, "*b"]
    pvalue: Float[Array, "*b w"]


@record
class DimensionEstimate:
    """Intrinsic dimension of a point cloud.

    Attributes:
        value: dimension, `(*b,)`.
        standard_error: of `value`, `(*b,)`.
    """

    value: Float[Array, "*b"]
    standard_error: Float[Array, "*b"]


def effective_dimension(
    width: Num[Array, "..."],
    accuracy: Float[Array, "..."],
    standard_error: Num[Array, "..."] | float,
    reference: Num[Array, "..."] | float,
    *,
    reference_error: Num[Array, "..."] | float = 0.0,
    margin: Scalar = 0.005,
    level: Scalar = 0.05,
) -> EffectiveDimension:
    """Find the smallest bottleneck width whose accuracy is not inferior to that of the network without a bottleneck.

    The effective dimension of Bisla et al. (2021), section 3.1, is the smallest width "for which the accuracy of the
    model with the bottleneck does not differ significantly". As a test of equality this would shrink with noise,
    because poor measurements differ from nothing. Here a width must pass a one-sided z-test of a loss below a margin,

        accuracy - reference + margin >= z(1 - level) sqrt(standard_error^2 + reference_error^2)

    so that more noise can only make the answer larger or leave it open. An open answer is the width of best accuracy,
    the limit as the errors of all widths grow together. Each width is tested separately: a wider bottleneck that fails
    (one bad fine-tuning) does not count against a narrower one that passes. A given width that does lose the margin
    passes with probability at most `level`; for the same guarantee over v widths use `level / v`.

    Args:
        width: bottleneck widths, `(w,)` or `(*b, w)`, in any order.
        accuracy: accuracy at each width, fractions, `(*b, w)`; nan marks a missing one.
        standard_error: of `accuracy`, `()`, `(w,)` or `(*b, w)`; or of the paired difference to the reference.
        reference: accuracy without a bottleneck, `(*b,)`.
        reference_error: standard error of `reference`, `(*b,)`; 0 where the differences are paired.
        margin: largest loss of accuracy that is accepted.
        level: of the one-sided test, in (0, 1).

    Returns:
        `EffectiveDimension`: value `(*b,)` and p-values `(*b, w)`, nan where an accuracy is missing.

    Raises:
        ValueError: there are no widths, or the numbers of `width`, `accuracy` and `standard_error` differ.

    Examples:
        >>> import jax.numpy as jnp
        >>> accuracy = jnp.array([0.62, 0.955, 0.981, 0.982])
        >>> print(effective_dimension(jnp.arange(1, 5), accuracy, 0.001, 0.98).value)
        3
        >>> print(effective_dimension(jnp.arange(1, 5), accuracy, 0.02, 0.98).established)
        False
    """
    arguments = width, accuracy, standard_error, reference, reference_error, margin, level
    return (_test_widths if namespace(*arguments) is np else _test_widths_compiled)(*arguments)


def _test_widths(
    width: Array,
    accuracy: Array,
    standard_error: Any,
    reference: Any,
    reference_error: Any,
    margin: Scalar,
    level: Scalar,
) -> EffectiveDimension:
    xp = namespace(width, accuracy, standard_error, reference, reference_error, margin, level)
    special = scipy.special if xp is np else jax.scipy.special
    width, accuracy = xp.asarray(width), xp.asarray(accuracy)
    standard_error = xp.asarray(standard_error, accuracy.dtype)
    counts = {array.shape[-1] for array in (width, accuracy, standard_error) if array.ndim}
    if len(counts) != 1 or counts == {0} or not width.ndim or not accuracy.ndim:
        raise ValueError(
            f"Widths, accuracies and their errors must have one entry per width, got shapes {width.shape}, "
            f"{accuracy.shape} and {standard_error.shape}."
        )
    reference, reference_error = xp.asarray(reference)[..., None], xp.asarray(reference_error)[..., None]
    gain = accuracy - reference + xp.asarray(margin)
    spread = xp.hypot(standard_error, reference_error.astype(accuracy.dtype))
    passed = gain >= -special.ndtri(xp.asarray(level, accuracy.dtype)) * spread
    pvalue = xp.where(spread > 0, special.ndtr(-gain / xp.where(spread > 0, spread, 1)), gain < 0)
    pvalue = xp.where(xp.isnan(gain) | xp.isnan(spread), xp.nan, pvalue)
    established = passed.any(axis=-1)
    best = accuracy == xp.nanmax(accuracy, axis=-1, keepdims=True)
    candidate = xp.where(established[..., None], passed, best)
    largest = xp.max(width, axis=-1, keepdims=True)
    return EffectiveDimension(xp.min(xp.where(candidate, width, largest), axis=-1), established, pvalue)


_test_widths_compiled = jit(_test_widths)


def nearest_neighbor_accuracy(
    train_features: Num[Array, "n d"],
    train_labels: Num[Array, " _"],
    test_features: Num[Array, "m d"],
    test_labels: Num[Array, " _"],
) -> Float[Array, ""]:
    """Return the fraction of test points whose nearest training point has the same label.

    The cross-check of Bisla et al. (2021), section 4.2.1: on features from a bottleneck of width d' it saturates at the
    same d' as the accuracy of the network.

    Args:
        train_features: `(n, d)`.
        train_labels: `(n,)`.
        test_features: `(m, d)`, in the same unit.
        test_labels: `(m,)`.

    Raises:
        ValueError: features and labels differ in length, or the features in dimension.

    Examples:
        >>> import jax.numpy as jnp
        >>> points = jnp.array([[0.0], [1.0], [5.0]])
        >>> print(f"{nearest_neighbor_accuracy(points, jnp.array([0, 0, 1]), points + 0.1, jnp.array([0, 1, 1])):.3f}")
        0.667
    """
    for name, features, labels in (("train", train_features, train_labels), ("test", test_features, test_labels)):
        if features.shape[0] != labels.shape[0]:
            raise ValueError(f"There are {features.shape[0]} {name} features and {labels.shape[0]} labels.")
    index = _neighbors(test_features, train_features, k=1).index[:, 0]
    xp = namespace(index)
    share: Array = xp.asarray(xp.mean((xp.asarray(train_labels)[index] == xp.asarray(test_labels)).astype(float)))
    return share


def two_nn(points: Float[Array, "n d"], *, fraction: float = 0.9) -> DimensionEstimate:
    """Estimate the intrinsic dimension from the ratio of the distances to the two nearest neighbors.

    Where the density is uniform up to the second neighbor, `mu = r_2 / r_1` has `P(mu > x) = x^(-dimension)`. The
    dimension is the slope through the origin of `-log(1 - F(mu))` against `log mu`, with F the empirical distribution,
    fitted to the smallest ratios only (Facco et al., 2017, Eq. (5) and the algorithm below it).

    The standard error is exact to first order for independent ratios: `log mu_(i)` are then exponential order
    statistics, `sum_{j <= i} E_j / (n - j + 1)` in units of the inverse dimension, and the slope is linear in them.
    Neighboring points share distances, each at most twice; a factor of sqrt(2) for this makes the error conservative.

    Args:
        points: n points in any unit; points that coincide with another are excluded.
        fraction: fraction of the ratios to fit, the smallest ones, in (0, 1).

    Returns:
        `DimensionEstimate`; nan with fewer than three points that do not coincide.

    Raises:
        ValueError: `fraction` is outside (0, 1), or there are fewer than three points.

    Examples:
        >>> import jax
        >>> plane = jax.random.normal(jax.random.key(0), (2000, 2))
        >>> print(f"{two_nn(plane).value:.0f}")
        2
    """
    n = points.shape[0]
    if not 0 < fraction < 1:
        raise ValueError(f"The fraction of ratios to fit must lie between 0 and 1, got {fraction}.")
    if n < 3:
        raise ValueError(f"Two neighbors need at least three points, got {n}.")
    distance = _neighbors(points, points, k=2, exclude_self=True).distance
    return _estimate(point_clouds.slope_of_ratios, distance, fraction)


def inverse_local_dimension(points: Float[Array, "n d"], *, k: int) -> Float[Array, " n"]:
    """Estimate the inverse intrinsic dimension at every point from its k nearest neighbors.

    Maximum likelihood for a locally uniform density, Levina and Bickel (2004), Eq. (8):

        1 / m(x) = 1 / (k - 1) * sum_{j=1}^{k-1} log(T_k(x) / T_j(x))

    with T_j(x) the distance to the j-th neighbor. The inverse is returned because it, not m(x), averages without bias
    over points (MacKay and Ghahramani, 2005).

    Args:
        points: n feature vectors of length d, in any unit: only distance ratios enter.
        k: neighbors per point, static, with 2 <= k < n.

    Returns:
        Inverse dimension at each point, dimensionless; inf or nan where points coincide.

    Raises:
        ValueError: `k` is outside its range.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(inverse_local_dimension(jnp.array([[0.0], [1.0], [3.0]]), k=2).round(4))
        [1.0986 0.6931 0.4055]
    """
    n = points.shape[0]
    if not 2 <= k < n:
        raise ValueError(f"k must satisfy 2 <= k < n, got k={k} with n={n} points.")
    with np.errstate(divide="ignore", invalid="ignore"):  # points that coincide
        return point_clouds.mean_log_ratio(_neighbors(points, points, k=k, exclude_self=True).distance)


def levina_bickel(points: Float[Array, "n d"], *, k: int = 10) -> DimensionEstimate:
    """Estimate the intrinsic dimension by maximum likelihood over the k nearest neighbors of every point.

    The estimate is the inverse of the mean of `inverse_local_dimension`, the correction of MacKay and Ghahramani (2005)
    to the average of Levina and Bickel (2004). The variance over points is doubled in the standard error, because
    nearly every distance between neighbors enters from both ends.

    Args:
        points: n points in any unit; points that coincide with another are excluded.
        k: neighbors per point, static, with 2 <= k < n.

    Raises:
        ValueError: `k` is outside its range.

    Examples:
        >>> import jax
        >>> plane = jax.random.normal(jax.random.key(0), (2000, 2))
        >>> print(f"{levina_bickel(plane).value:.0f}")
        2
    """
    return _estimate(point_clouds.invert_mean, inverse_local_dimension(points, k=k))


def spectral_dimension(points: Float[Array, "n d"], *, share: float = 0.99) -> DimensionEstimate:
    """Count the principal directions that explain a share of the variance.

    Bisla et al. (2021), section 3.1, cite it as the singular values of the centred features "enough to explain > 99 %
    of the variance". It is a linear measure: a curved surface needs more directions than it has dimensions.

    The standard error is that of the count interpolated linearly between directions, by the delta method. The influence
    function of an eigenvalue is `(v.x)^2 - eigenvalue` along its direction v, with points treated as independent.

    Args:
        points: n feature vectors.
        share: of the variance, static, in (0, 1).

    Returns:
        `DimensionEstimate`, `value` an integer; nan if all points coincide.

    Raises:
        ValueError: `share` is outside (0, 1).

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> points = jax.random.normal(jax.random.key(0), (500, 3)) * jnp.array([1.0, 1.0, 0.01])
        >>> print(spectral_dimension(points).value)
        2.0
    """
    if not 0 < share < 1:
        raise ValueError(f"The share of the variance must lie between 0 and 1, got {share}.")
    return _estimate(point_clouds.explain_variance, points, share)


def intrinsic_dimensions(points: Float[np.ndarray, "n d"], *, k: int = 10) -> dict[str, DimensionEstimate]:
    """Estimate the intrinsic dimension by every estimator, by name, with one search for neighbors.

    Args:
        points: n points in any unit.
        k: neighbors per point for `levina_bickel`, static, with 2 <= k < n.

    Examples:
        >>> points = np.random.default_rng(0).normal(size=(500, 2))
        >>> {name: round(float(estimate.value)) for name, estimate in intrinsic_dimensions(points).items()}
        {'two_nn': 2, 'levina_bickel': 2, 'spectral_dimension': 2}
    """
    distance = np.asarray(_neighbors(points, points, k=k, exclude_self=True).distance)
    with np.errstate(divide="ignore", invalid="ignore"):  # points that coincide
        inverse = point_clouds.mean_log_ratio(distance)
    return {
        "two_nn": _estimate(point_clouds.slope_of_ratios, distance[:, :2], 0.9),
        "levina_bickel": _estimate(point_clouds.invert_mean, inverse),
        "spectral_dimension": _estimate(point_clouds.explain_variance, points, 0.99),
    }


def _neighbors(
    queries: Num[Array, "m d"], points: Num[Array, "n _"], *, k: int, exclude_self: bool = False
) -> Neighbors:
    """Search NumPy arrays on the host, and others by JAX."""
    if isinstance(queries, np.ndarray) and isinstance(points, np.ndarray):
        return host_neighbors(queries, points, k, exclude_self=exclude_self)
    return nearest_neighbors(queries, points, k, exclude_self=exclude_self)


def _estimate(
    statistic: Callable[..., point_clouds.Estimate], values: Float[Array, "n *_"], *options: float
) -> DimensionEstimate:
    """Return a statistic of NumPy arrays by NumPy, and of others by JAX."""
    if not isinstance(values, np.ndarray):
        return _estimate_compiled(values, statistic=statistic, options=options)
    with np.errstate(divide="ignore", invalid="ignore"):  # points that coincide
        return DimensionEstimate(*(np.asarray(part, values.dtype) for part in statistic(values, *options)))


@jit(static_argnames=("statistic", "options"))
def _estimate_compiled(
    values: Float[Array, "n *_"], *, statistic: Callable[..., point_clouds.Estimate], options: tuple[float, ...]
) -> DimensionEstimate:
    return DimensionEstimate(*statistic(values, *options))
