"""Kernel interpolation of images without regularization: norms and errors (Zhang et al., 2017, section 5)."""

import dataclasses
import time
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.complexity.filters import gabor_features, random_filter_gram, random_filters
from lcjax.complexity.interpolation import gaussian_kernel, gram_interpolation, kernel_interpolation
from lcjax.data.examples import Data
from lcjax.data.subsets import stratified_order
from lcjax.records import record
from lcjax.typing import Array, KeyArray, OnProgress, Progress, check_key

__all__ = ["Features", "Interpolations", "Row", "interpolate_images", "prepare_images"]

FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # bandwidths to try, over the inverse mean squared distance
CHOICE_ROWS = 5000  # most rows on which a bandwidth is chosen; at most a fifth of all rows
HELD_OUT = 2000  # most validation images on which a bandwidth is chosen


@dataclasses.dataclass(frozen=True)
class Features:
    """Features on which to interpolate.

    Attributes:
        name: "pixels" or "gabor", for a Gaussian kernel, or "filters", for products of random convolutional features.
        bandwidth: bandwidth of the Gaussian kernel; 0 to choose it on validation images.
        filters: number of random filters.

    Examples:
        >>> Features.parse("pixels:0.02"), Features.parse("filters:4000")
        (Features(name='pixels', bandwidth=0.02, filters=0), Features(name='filters', bandwidth=0.0, filters=4000))
    """

    name: str
    bandwidth: float = 0.0
    filters: int = 0

    @classmethod
    def parse(cls, text: str) -> "Features":
        """Parse "pixels", "pixels:BANDWIDTH", "gabor", "gabor:BANDWIDTH" or "filters:COUNT".

        Raises:
            ValueError: `text` has another form.
        """
        name, colon, number = text.partition(":")
        try:
            if not number.isascii() or "_" in number:
                raise ValueError
            if name in ("pixels", "gabor"):
                bandwidth = float(number) if colon else 0.0
                if colon and not 0 < bandwidth < np.inf:
                    raise ValueError
                return cls(name, bandwidth)
            if name == "filters" and int(number) > 0:
                return cls(name, filters=int(number))
        except ValueError:
            pass
        raise ValueError(
            f"Features {text!r} are not pixels, pixels:BANDWIDTH, gabor, gabor:BANDWIDTH or filters:COUNT, "
            "with a positive number."
        )


@record
class Row:
    """One interpolant.

    Attributes:
        features: the features, as on the command line.
        bandwidth: bandwidth of the Gaussian kernel; nan for random filters.
        ridge: number added to the diagonal.
        rows: number of interpolated images.
        norm: norm of the solution in the kernel's space.
        residual: largest `|K alpha + ridge alpha - y|`; nan for random filters.
        iterations: iterations of conjugate gradients; 0 for the exact solution.
        test_error: fraction of misclassified test images.
        solve_seconds: wall-clock time of the solution, its matrix included.
        test_seconds: wall-clock time of the predictions for the test images.
        validation_error: validation error by bandwidth, if the bandwidth was chosen.
    """

    features: str = jax.tree.static()
    bandwidth: float
    ridge: float
    rows: int
    norm: float
    residual: float
    iterations: int
    test_error: float
    solve_seconds: float
    test_seconds: float
    validation_error: dict[str, float]

    def __str__(self) -> str:
        """Describe the interpolant by its features, bandwidth and ridge."""
        bandwidth = "" if np.isnan(self.bandwidth) else f"bandwidth {self.bandwidth:.3g}, "
        return f"{self.features} ({bandwidth}ridge {self.ridge:g})"


@record
class Interpolations:
    """Interpolants of one set of images, `rows`."""

    rows: tuple[Row, ...]

    def caveat(self) -> str:
        """Compare the order of the norms with that of the errors: as the paper notes, they need not agree."""
        best, smallest = min(self.rows, key=lambda r: r.test_error), min(self.rows, key=lambda r: r.norm)
        if best is smallest:
            return "A norm does not determine the error: compare norms of one kernel only."
        factor = smallest.test_error / max(best.test_error, 1e-9)
        return (
            f"The norm does not determine the error: {smallest} has the smaller norm, {smallest.norm:.0f} against "
            f"{best.norm:.0f}, and {factor:.1f} times the error of {best}."
        )


def interpolate_images(
    key: KeyArray,
    data: Data,
    *,
    rows: int,
    features: Sequence[Features] = (Features("pixels"),),
    ridges: Sequence[float] = (0.0,),
    block: int = 1024,
    iterative: bool = False,
    on_progress: OnProgress | None = None,
) -> Interpolations:
    """Solve `K alpha = y` for the one-hot classes of images, for each combination of features and ridge.

    Pixels are divided by the largest one in the training set. The rows are a balanced part of the training set; if it
    is too small, validation images are added. A bandwidth is chosen on a fifth of the rows, at most 5,000, by the error
    on at most 2,000 validation images.

    Args:
        key: typed key that selects the images and the filters.
        data: images with classes and a test set.
        rows: number of images to interpolate.
        features: features to interpolate on.
        ridges: values to add to the diagonal.
        block: block size of the Cholesky factor, in rows.
        iterative: True for conjugate gradients over the rows of all devices instead of the exact solution.
        on_progress: progress callback.

    Raises:
        ValueError: the data are not images, have no classes or no test set, there are fewer images than `rows`, or a
            Gram matrix is singular.

    Examples:
        >>> import jax, lcjax as lc
        >>> interpolations = interpolate_images(jax.random.key(0), lc.load_data("digits"), rows=300)
        >>> print(interpolations.rows[0].test_error < 0.1, interpolations.rows[0].residual < 1e-2)
        True True
    """
    check_key(key)
    images, labels, tests, test_labels = prepare_images(key, data, rows)
    targets = np.eye(data.classes, dtype=np.float32)[labels]
    mesh = jax.make_mesh((jax.device_count(),), ("rows",)) if iterative else None
    interpolants: list[Row] = []
    for choice in features:
        if choice.name == "filters":
            interpolants += _on_filters(key, choice, images, targets, tests, test_labels, ridges)
            continue
        inputs, held_out, queries = images, _scale(data.validation.inputs[:HELD_OUT], data), tests
        if choice.name == "gabor":
            inputs, held_out, queries = (np.asarray(gabor_features(part)) for part in (inputs, held_out, queries))
        for ridge in ridges:
            bandwidth, errors = choice.bandwidth, dict[str, float]()
            if not bandwidth:
                validation = held_out, np.asarray(data.validation.targets)[:HELD_OUT]
                bandwidth, errors = _choose_bandwidth(inputs, targets, *validation, ridge)
            started = time.monotonic()
            interpolant = kernel_interpolation(
                inputs, targets, gaussian_kernel(bandwidth), ridge=ridge, block=block, iterative=iterative, mesh=mesh,
                rank=min(500, rows // 4) if iterative else 0,
                on_progress=None if on_progress is None else _cube(on_progress, f"{choice.name}, ridge {ridge:g}"),
            )  # fmt: skip
            norm, solved = float(interpolant.norm), time.monotonic()
            if iterative and not interpolant.converged:
                raise ValueError(
                    f"Conjugate gradients stopped at a residual of {float(interpolant.residual):.2g} after "
                    f"{int(interpolant.iterations)} iterations on {choice.name}; add a ridge."
                )
            error = _error(interpolant.predict(queries), test_labels)
            interpolants.append(
                Row(
                    features=choice.name,
                    bandwidth=bandwidth,
                    ridge=ridge,
                    rows=rows,
                    norm=norm,
                    residual=float(interpolant.residual),
                    iterations=int(interpolant.iterations),
                    test_error=error,
                    solve_seconds=solved - started,
                    test_seconds=time.monotonic() - solved,
                    validation_error=errors,
                )
            )
    return Interpolations(tuple(interpolants))


def prepare_images(
    key: KeyArray, data: Data, rows: int
) -> tuple[Float[np.ndarray, "n h w c"], Int[np.ndarray, " n"], Float[np.ndarray, "m h w c"], Int[np.ndarray, " m"]]:
    """Return the images to interpolate with their labels, and the test images with theirs."""
    shape = np.shape(data.train.inputs)
    if len(shape) != 4:
        raise ValueError(
            f"Interpolation needs images (n, height, width, channels), got inputs of shape {shape}; "
            "images[..., None] adds a channel axis to grey images."
        )
    if not data.classes or data.test is None:
        raise ValueError("Interpolation needs classes and a test set, which the data lack.")
    n, held_out = len(data.train.targets), len(data.validation.targets)
    if not 1 <= rows <= n + held_out:
        raise ValueError(f"rows must lie in [1, {n + held_out}], the training and validation images, got {rows}.")
    order = np.asarray(stratified_order(key, np.asarray(data.train.targets)))[:rows]
    images, labels = np.asarray(data.train.inputs)[order], np.asarray(data.train.targets)[order]
    if rows > n:
        more = np.asarray(stratified_order(key, np.asarray(data.validation.targets)))[: rows - n]
        images = np.concatenate([images, np.asarray(data.validation.inputs)[more]])
        labels = np.concatenate([labels, np.asarray(data.validation.targets)[more]])
    return _scale(images, data), labels, _scale(data.test.inputs, data), np.asarray(data.test.targets)


def _scale(images: Num[Array, "n h w c"], data: Data) -> Float[np.ndarray, "n h w c"]:
    return np.asarray(images, np.float32) / np.float32(np.max(data.train.inputs))


def _choose_bandwidth(
    inputs: Float[np.ndarray, "n *shape"],
    targets: Float[np.ndarray, "n c"],
    held_out: Float[np.ndarray, "v *shape"],
    labels: Int[np.ndarray, " v"],
    ridge: float,
) -> tuple[float, dict[str, float]]:
    """Return the bandwidth of lowest validation error, and the errors of all bandwidths."""
    few = min(max(len(inputs) // 5, 1), CHOICE_ROWS)
    scale = float(1 / (2 * inputs.reshape(len(inputs), -1).var(axis=0, dtype=float).sum()))
    errors: dict[float, float] = {}
    for factor in FACTORS:
        try:
            fit = kernel_interpolation(inputs[:few], targets[:few], gaussian_kernel(factor * scale), ridge=ridge)
        except ValueError:  # singular: the kernel is too wide for this precision
            continue
        errors[factor * scale] = _error(fit.predict(held_out), labels)
    if not errors:
        raise ValueError(f"Every Gram matrix of {few} images is singular in float32 with ridge={ridge}; increase it.")
    return min(errors, key=lambda value: errors[value]), {f"{value:.4g}": error for value, error in errors.items()}


def _on_filters(
    key: KeyArray,
    choice: Features,
    images: Float[np.ndarray, "n h w c"],
    targets: Float[np.ndarray, "n k"],
    tests: Float[np.ndarray, "m h w c"],
    test_labels: Int[np.ndarray, " m"],
    ridges: Sequence[float],
) -> Iterator[Row]:
    """Yield one interpolant per ridge on products of random filters; their Gram matrix is computed once."""
    started = time.monotonic()
    filters = random_filters(key, images, choice.filters)
    gram = random_filter_gram(filters, images).block_until_ready()
    across = random_filter_gram(filters, tests, images).block_until_ready()
    prepared = time.monotonic() - started
    for ridge in ridges:
        started = time.monotonic()
        alpha, norm = gram_interpolation(gram, targets, ridge=ridge)
        length, solved = float(norm), time.monotonic()
        error = _error(jnp.matmul(across, alpha, precision=jax.lax.Precision.HIGHEST), test_labels)
        yield Row(
            features=f"{choice.filters} random filters",
            bandwidth=np.nan,
            ridge=ridge,
            rows=len(images),
            norm=length,
            residual=np.nan,
            iterations=0,
            test_error=error,
            solve_seconds=prepared + solved - started,
            test_seconds=time.monotonic() - solved,
            validation_error={},
        )


def _error(outputs: Float[Array, "m c"], labels: Int[np.ndarray, " m"]) -> float:
    return float(np.mean(np.argmax(np.asarray(outputs), axis=1) != labels))


def _cube(on_progress: OnProgress, stage: str) -> OnProgress:
    """Return a callback for rows of blocks; the work up to a row is proportional to the cube of its number."""
    return lambda rows: on_progress(Progress(stage, rows.done**3, rows.total**3))
