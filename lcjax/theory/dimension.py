"""Effective dimension from bottleneck accuracies, cross-checked by the intrinsic dimension of a point cloud."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Num

from lcjax.kernels.compilation import jit
from lcjax.kernels.integer_sort import ascending
from lcjax.kernels.neighbors import nearest_neighbors
from lcjax.records import record
from lcjax.typing import Array, Scalar

__all__ = [
    "DimensionEstimate",
    "EffectiveDimension",
    "effective_dimension",
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


@jit
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
    width, accuracy = jnp.asarray(width), jnp.asarray(accuracy)
    standard_error = jnp.asarray(standard_error, accuracy.dtype)
    counts = {array.shape[-1] for array in (width, accuracy, standard_error) if array.ndim}
    if len(counts) != 1 or counts == {0} or not width.ndim or not accuracy.ndim:
        raise ValueError(
            f"Widths, accuracies and their errors must have one entry per width, got shapes {width.shape}, "
            f"{accuracy.shape} and {standard_error.shape}."
        )
    reference, reference_error = jnp.asarray(reference)[..., None], jnp.asarray(reference_error)[..., None]
    gain = accuracy - reference + jnp.asarray(margin)
    spread = jnp.hypot(standard_error, reference_error.astype(accuracy.dtype))
    passed = gain >= -jax.scipy.special.ndtri(jnp.asarray(level, accuracy.dtype)) * spread
    pvalue = jnp.where(spread > 0, jax.scipy.special.ndtr(-gain / jnp.where(spread > 0, spread, 1)), gain < 0)
    pvalue = jnp.where(jnp.isnan(gain) | jnp.isnan(spread), jnp.nan, pvalue)
    established = passed.any(axis=-1)
    best = accuracy == jnp.nanmax(accuracy, axis=-1, keepdims=True)
    candidate = jnp.where(established[..., None], passed, best)
    largest = jnp.max(width, axis=-1, keepdims=True)
    return EffectiveDimension(jnp.min(jnp.where(candidate, width, largest), axis=-1), established, pvalue)


def nearest_neighbor_accuracy(
    train_features: Num[Array, "n d"],
    train_labels: Num[Array, " _"],
    test_features: Num[Array, "m d"],
    test_labels: Num[Array, " _"],
) -> Float[jax.Array, ""]:
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
    index = nearest_neighbors(test_features, train_features).index[:, 0]
    return jnp.mean((jnp.asarray(train_labels)[index] == jnp.asarray(test_labels)).astype(float))


def two_nn(points: Float[Array, "n d"], *, fraction: float = 0.9) -> DimensionEstimate:
    """Estimate the intrinsic dimension from the ratio of the distances to the two nearest neighbours.

    Where the density is uniform up to the second neighbour, `mu = r_2 / r_1` has `P(mu > x) = x^(-dimension)`. The
    dimension is the slope through the origin of `-log(1 - F(mu))` against `log mu`, with F the empirical distribution,
    fitted to the smallest ratios only (Facco et al., 2017, Eq. (5) and the algorithm below it).

    The standard error is exact to first order for independent ratios: `log mu_(i)` are then exponential order
    statistics, `sum_{j <= i} E_j / (n - j + 1)` in units of the inverse dimension, and the slope is linear in them.
    Neighbouring points share distances, each at most twice; a factor of sqrt(2) for this makes the error conservative.

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
        raise ValueError(f"Two neighbours need at least three points, got {n}.")
    return _slope_of_ratios(nearest_neighbors(points, points, k=2, exclude_self=True).distance, fraction)


@jit(static_argnames="fraction")
def _slope_of_ratios(distance: Float[Array, "n 2"], fraction: float) -> DimensionEstimate:
    distinct = distance[:, 0] > 0
    n = distinct.sum().astype(distance.dtype)
    ratio = ascending(jnp.where(distinct, jnp.log(distance[:, 1] / jnp.where(distinct, distance[:, 0], 1)), jnp.inf))
    rank = jnp.arange(1, ratio.size + 1, dtype=distance.dtype)
    used = rank <= jnp.floor(fraction * n)
    x = jnp.where(used, ratio, 0)
    y = jnp.where(used, -jnp.log1p(-jnp.where(used, rank / n, 0)), 0)
    influence = jnp.cumsum(y[::-1])[::-1] / jnp.sum(y**2) / jnp.where(used, n - rank + 1, jnp.inf)
    value = jnp.sum(x * y) / jnp.sum(x**2)
    return DimensionEstimate(value, value * jnp.sqrt(2 * jnp.sum(influence**2)))


def inverse_local_dimension(points: Float[Array, "n d"], *, k: int) -> Float[jax.Array, " n"]:
    """Estimate the inverse intrinsic dimension at every point from its k nearest neighbours.

    Maximum likelihood for a locally uniform density, Levina and Bickel (2004), Eq. (8):

        1 / m(x) = 1 / (k - 1) * sum_{j=1}^{k-1} log(T_k(x) / T_j(x))

    with T_j(x) the distance to the j-th neighbour. The inverse is returned because it, not m(x), averages without bias
    over points (MacKay and Ghahramani, 2005).

    Args:
        points: n feature vectors of length d, in any unit: only distance ratios enter.
        k: neighbours per point, static, with 2 <= k < n.

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
    distance = nearest_neighbors(points, points, k=k, exclude_self=True).distance
    return jnp.mean(jnp.log(distance[:, -1:] / distance[:, :-1]), axis=-1)


def levina_bickel(points: Float[Array, "n d"], *, k: int = 10) -> DimensionEstimate:
    """Estimate the intrinsic dimension by maximum likelihood over the k nearest neighbours of every point.

    The estimate is the inverse of the mean of `inverse_local_dimension`, the correction of MacKay and Ghahramani (2005)
    to the average of Levina and Bickel (2004). The variance over points is doubled in the standard error, because
    nearly every distance between neighbours enters from both ends.

    Args:
        points: n points in any unit; points that coincide with another are excluded.
        k: neighbours per point, static, with 2 <= k < n.

    Raises:
        ValueError: `k` is outside its range.

    Examples:
        >>> import jax
        >>> plane = jax.random.normal(jax.random.key(0), (2000, 2))
        >>> print(f"{levina_bickel(plane).value:.0f}")
        2
    """
    return _inverse_of_mean(inverse_local_dimension(points, k=k))


@jit
def _inverse_of_mean(inverse: Float[Array, " n"]) -> DimensionEstimate:
    distinct = jnp.isfinite(inverse)
    n = distinct.sum()
    mean = jnp.sum(jnp.where(distinct, inverse, 0)) / n
    variance = jnp.sum(jnp.where(distinct, inverse - mean, 0) ** 2) / (n - 1)
    return DimensionEstimate(1 / mean, jnp.sqrt(2 * variance / n) / mean**2)


@jit(static_argnames="share")
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
    n = points.shape[0]
    centred = jnp.asarray(points) - jnp.mean(points, axis=0)
    covariance = jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST) / n
    variance, directions = jnp.linalg.eigh(covariance)
    variance, directions = jnp.maximum(variance[::-1], 0), directions[:, ::-1]
    count, slope = jax.value_and_grad(_interpolated_count)(variance, share)
    coordinates = jnp.matmul(centred, directions, precision=jax.lax.Precision.HIGHEST)
    influence = (coordinates**2 - variance) @ slope
    value = jnp.where(variance[0] > 0, jnp.ceil(count), jnp.nan)
    return DimensionEstimate(value, jnp.sqrt(jnp.mean(influence**2) / n))


def _interpolated_count(variance: Float[Array, " d"], share: float) -> Float[jax.Array, ""]:
    """Return the count at which the linearly interpolated variance of the leading directions reaches `share`."""
    explained = jnp.cumsum(variance) / jnp.sum(variance)
    whole = jnp.argmax(explained >= share)
    before = jnp.where(whole > 0, explained[whole - 1], 0)
    return whole + (share - before) / (explained[whole] - before)
