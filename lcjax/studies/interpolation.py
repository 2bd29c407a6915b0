"""Kernel interpolation of images without regularization, its norms and errors (Zhang et al. 2017, section 5)."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from lcjax.complexity.filters import gabor_features, random_filter_gram, random_filters
from lcjax.complexity.interpolation import gaussian_kernel, gram_interpolation, kernel_interpolation
from lcjax.complexity.minimum_norm import Descent, gradient_descent
from lcjax.data.examples import Data
from lcjax.data.subsets import stratified_order
from lcjax.records import record
from lcjax.studies.prediction.stages import Report
from lcjax.typing import OnProgress

__all__ = ["Features", "Interpolations", "Row", "Solutions", "descend_on_pixels", "interpolate_images"]

FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # bandwidths tried, over one over the mean squared distance
CHOICE_ROWS = 5000  # on which a bandwidth is chosen, at most, and a fifth of all rows
HELD_OUT = 2000


@dataclasses.dataclass(frozen=True)
class Features:
    """What is interpolated on.

    Attributes:
        name: "pixels" or "gabor" before a Gaussian kernel, or "filters": products of random convolutional features.
        bandwidth: of the Gaussian kernel; 0 chooses it on validation images.
        filters: how many random ones.

    Examples:
        >>> Features.parse("pixels:0.02"), Features.parse("filters:4000")
        (Features(name='pixels', bandwidth=0.02, filters=0), Features(name='filters', bandwidth=0.0, filters=4000))
    """

    name: str
    bandwidth: float = 0.0
    filters: int = 0

    @classmethod
    def parse(cls, text: str) -> "Features":
        """The features that are written "pixels", "pixels:BANDWIDTH", "gabor", "gabor:BANDWIDTH" or "filters:COUNT".

        Raises:
            ValueError: nothing is written so.
        """
        name, colon, number = text.partition(":")
        try:
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
        features: as written on the command line.
        bandwidth: of the Gaussian kernel; nan for random filters.
        ridge: added to the diagonal.
        rows: interpolated images.
        norm: of the solution, in the kernel's space.
        residual: largest `|K alpha + ridge alpha - y|`; nan for random filters.
        iterations: of conjugate gradients; 0 for the exact solution.
        test_error: share of wrong test images.
        solve_seconds: for the solution, its matrix included.
        test_seconds: for the test images.
        validation_error: by bandwidth, where it was chosen.
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


@record
class Solutions:
    """Distance to the minimum-norm solution of an under-determined system against steps of descent.

    Attributes:
        unknowns: of the system, the pixels.
        equations: of the system, the images.
        full: gradient descent.
        stochastic: descent by minibatches.
        batch: their size.
    """

    unknowns: int
    equations: int
    full: Descent
    stochastic: Descent
    batch: int


@record
class Interpolations:
    """What `interpolate_images` gives.

    Attributes:
        rows: one an interpolant.
    """

    rows: tuple[Row, ...]

    def caveat(self) -> str:
        """Whether the order of norms is that of errors, in words: the paper's point is that it need not be."""
        best, smallest = min(self.rows, key=lambda r: r.test_error), min(self.rows, key=lambda r: r.norm)
        if best is smallest:
            return "A norm does not tell the error: compare norms of one kernel only."
        return (
            f"The norm does not tell the error: {_told(smallest)} has the smaller norm, {smallest.norm:.0f} against "
            f"{best.norm:.0f}, and {smallest.test_error / max(best.test_error, 1e-9):.1f} times the error of "
            f"{_told(best)}."
        )


def _told(row: Row) -> str:
    bandwidth = "" if np.isnan(row.bandwidth) else f"bandwidth {row.bandwidth:.3g}, "
    return f"{row.features} ({bandwidth}ridge {row.ridge:g})"


def interpolate_images(
    key: Key[jax.Array, ""],
    data: Data,
    *,
    rows: int,
    features: Sequence[Features] = (Features("pixels"),),
    ridges: Sequence[float] = (0.0,),
    block: int = 1024,
    iterative: bool = False,
    on_progress: Report | None = None,
) -> Interpolations:
    """Solve `K alpha = y` for one-hot classes of images, on pixels, Gabor features or random filters.

    Pixels are divided by the largest one of the training set. Up to the training set's size rows are a balanced part of
    it; beyond, validation images are added. A bandwidth is chosen on a fifth of the rows, at most 5,000, by at most
    2,000 validation images.

    Args:
        key: typed key of the part taken and of the filters.
        data: images with classes, and a test set.
        rows: images to interpolate.
        features: what stands before the kernel.
        ridges: each is tried with each of the features.
        block: of the Cholesky factor, in rows.
        iterative: conjugate gradients over the rows of all devices instead of the exact solution.
        on_progress: called with a stage's name, what is done and what there is in all.

    Returns:
        One row for each of the features and ridges.

    Raises:
        ValueError: the data are no images, have no classes or no test set, there are fewer images than `rows`, or a
            Gram matrix is singular.

    Examples:
        >>> import jax, lcjax as lc
        >>> found = interpolate_images(jax.random.key(0), lc.load_data("digits"), rows=300)
        >>> print(found.rows[0].test_error < 0.1, found.rows[0].residual < 1e-2)
        True True
    """
    images, labels, tests, test_labels = _prepared(key, data, rows)
    targets = np.eye(data.classes, dtype=np.float32)[labels]
    found = []
    for one in features:
        if one.name == "filters":
            found += _on_filters(key, one, images, targets, tests, test_labels, ridges)
            continue
        inputs, held_out, queries = images, _scaled(data.validation.inputs[:HELD_OUT], data), tests
        if one.name == "gabor":
            inputs, held_out, queries = (np.asarray(gabor_features(part)) for part in (inputs, held_out, queries))
        for ridge in ridges:
            bandwidth = one.bandwidth
            tried: dict[str, float] = {}
            if not bandwidth:
                wanted = np.asarray(data.validation.targets)[:HELD_OUT]
                bandwidth, tried = _choose_bandwidth(inputs, targets, held_out, wanted, ridge)
            started = time.monotonic()
            interpolant = kernel_interpolation(
                inputs,
                targets,
                gaussian_kernel(bandwidth),
                ridge=ridge,
                block=block,
                iterative=iterative,
                mesh=jax.make_mesh((jax.device_count(),), ("rows",)) if iterative else None,
                rank=min(500, rows // 4) if iterative else 0,
                on_progress=None if on_progress is None else _cubic(on_progress, f"{one.name}, ridge {ridge:g}"),
            )
            norm, solved = float(interpolant.norm), time.monotonic()
            if not interpolant.converged:
                raise ValueError(
                    f"Conjugate gradients stopped at a residual of {float(interpolant.residual):.2g} after "
                    f"{int(interpolant.iterations)} iterations on {one.name}: add a ridge."
                )
            error = _error(interpolant.predict(queries), test_labels)
            found.append(
                Row(
                    features=one.name,
                    bandwidth=bandwidth,
                    ridge=ridge,
                    rows=rows,
                    norm=norm,
                    residual=float(interpolant.residual),
                    iterations=int(interpolant.iterations),
                    test_error=error,
                    solve_seconds=solved - started,
                    test_seconds=time.monotonic() - solved,
                    validation_error=tried,
                )
            )
    return Interpolations(tuple(found))


def descend_on_pixels(
    key: Key[jax.Array, ""], data: Data, *, equations: int = 100, steps: int = 20_000, batch: int = 10
) -> Solutions:
    """Descend from zero on `X w = y`, X the pixels of a few images and y plus or minus one, one class against the rest.

    Fewer images than pixels: the system is under-determined, and the minimum-norm solution is the only one in the span
    of the images. Zhang et al. (2017), section 5.

    Args:
        key: typed key of the images and of the minibatches.
        data: images with classes.
        equations: images; at most a quarter of the pixels.
        steps: of descent.
        batch: images a step of the stochastic form.

    Returns:
        Both paths.

    Examples:
        >>> import jax, lcjax as lc
        >>> found = descend_on_pixels(jax.random.key(0), lc.load_data("digits"), steps=3000)
        >>> print(found.equations, found.full.distance[-1] < found.full.distance[0])
        16 True
    """
    unknowns = int(np.prod(np.shape(data.train.inputs)[1:]))
    equations = min(equations, unknowns // 4, len(data.train.targets))
    images, labels, _, _ = _prepared(key, data, equations)
    system, wanted = images.reshape(equations, -1), np.where(labels == 0, 1, -1).astype(np.float32)
    batch = min(batch, equations)
    full, stochastic = (gradient_descent(key, system, wanted, steps=steps, batch=b) for b in (None, batch))
    return Solutions(unknowns, equations, full, stochastic, batch)


def _prepared(key: Any, data: Data, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    shape = np.shape(data.train.inputs)
    if len(shape) != 4:
        raise ValueError(
            f"Interpolation here is of images (n, height, width, channels), got inputs of shape {shape}; "
            "images[..., None] adds a channel axis to grey images."
        )
    if not data.classes or data.test is None:
        raise ValueError("Interpolation here needs classes and a test set, and the data lack them.")
    n, held_out = len(data.train.targets), len(data.validation.targets)
    if not 1 <= rows <= n + held_out:
        raise ValueError(f"rows must lie in [1, {n + held_out}], the images that there are, got {rows}.")
    order = np.asarray(stratified_order(key, np.asarray(data.train.targets)))[:rows]
    images, labels = np.asarray(data.train.inputs)[order], np.asarray(data.train.targets)[order]
    if rows > n:
        more = np.asarray(stratified_order(key, np.asarray(data.validation.targets)))[: rows - n]
        images = np.concatenate([images, np.asarray(data.validation.inputs)[more]])
        labels = np.concatenate([labels, np.asarray(data.validation.targets)[more]])
    return _scaled(images, data), labels, _scaled(data.test.inputs, data), np.asarray(data.test.targets)


def _scaled(images: Any, data: Data) -> Float[np.ndarray, "n h w c"]:
    return np.asarray(images, np.float32) / np.float32(np.max(data.train.inputs))


def _choose_bandwidth(
    inputs: Any, targets: Any, held_out: Any, wanted: Int[np.ndarray, " v"], ridge: float
) -> tuple[float, dict[str, float]]:
    few = min(max(len(inputs) // 5, 1), CHOICE_ROWS)
    scale = float(1 / (2 * np.asarray(inputs).reshape(len(inputs), -1).var(axis=0, dtype=float).sum()))
    tried: dict[float, float] = {}
    for factor in FACTORS:
        try:
            found = kernel_interpolation(inputs[:few], targets[:few], gaussian_kernel(factor * scale), ridge=ridge)
        except ValueError:  # singular: too wide for this precision
            continue
        tried[factor * scale] = _error(found.predict(held_out), wanted)
    if not tried:
        raise ValueError(f"Every Gram matrix of {few} images is singular in float32 with ridge={ridge}: raise it.")
    return min(tried, key=lambda value: tried[value]), {f"{value:.4g}": error for value, error in tried.items()}


def _on_filters(
    key: Any, one: Features, images: Any, targets: Any, tests: Any, test_labels: Any, ridges: Sequence[float]
) -> list[Row]:
    started = time.monotonic()
    filters = random_filters(key, images, one.filters)
    gram = random_filter_gram(filters, images).block_until_ready()
    across = random_filter_gram(filters, tests, images).block_until_ready()
    prepared = time.monotonic() - started
    rows = []
    for ridge in ridges:
        started = time.monotonic()
        alpha, norm = gram_interpolation(gram, targets, ridge=ridge)
        length, solved = float(norm), time.monotonic()
        error = _error(jnp.matmul(across, alpha, precision=jax.lax.Precision.HIGHEST), test_labels)
        rows.append(
            Row(
                features=f"{one.filters} random filters",
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
        )
    return rows


def _error(outputs: Any, wanted: Any) -> float:
    return float(np.mean(np.argmax(np.asarray(outputs), axis=1) != wanted))


def _cubic(report: Report, stage: str) -> OnProgress:
    """Report the share of the work done: a row of blocks costs in proportion to its number squared."""
    return lambda progress: report(stage, progress.done**3, progress.total**3)
