"""Forecasting problems: the early part of a learning curve, and the later measurements held out from it."""

import dataclasses
import hashlib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.curves.learning_curve import LearningCurve

__all__ = ["FACTORS", "Cases", "factor_bins", "make_cases"]

FACTORS = ("(1, 2]", "(2, 4]", "(4, 8]", "(8, 16]", "> 16")
"""Bins of the extrapolation factor `size / cut`."""


@dataclasses.dataclass(frozen=True)
class Cases:
    """A batch of (curve, cut) pairs, padded with nan to common shapes, so that a method compiles once for all of them.

    Attributes:
        size: fitted sizes in ascending order, at most the cut, `(b, n)`.
        error: fitted errors, `(b, n)`.
        cut: size at which the curve is cut, `(b,)`.
        held_size: held-out sizes, above the cut, `(b, m)`.
        held_error: positive errors measured there, `(b, m)`.
        cluster: name of the data set, the unit of the bootstrap, `(b,)`.
        family: name of a group of learners, or a domain, `(b,)`.
        name: name of the curve, `(b,)`.
        replicates: errors of repeats behind `error`, `(b, r, n)`, or None.
        step: step in which errors are stored; 0 if they are exact.
        zeros: number of held-out errors that were dropped because they are 0.
    """

    size: Float[np.ndarray, "b n"]
    error: Float[np.ndarray, "b n"]
    cut: Float[np.ndarray, " b"]
    held_size: Float[np.ndarray, "b m"]
    held_error: Float[np.ndarray, "b m"]
    cluster: np.ndarray
    family: np.ndarray
    name: np.ndarray
    replicates: Float[np.ndarray, "b r n"] | None = None
    step: float = 0.0
    zeros: int = 0

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.cut)

    @property
    def present(self) -> Bool[np.ndarray, "b m"]:
        """Return True where there is a held-out measurement."""
        return ~np.isnan(self.held_error)

    @property
    def factor(self) -> Int[np.ndarray, "b m"]:
        """Return the index in `FACTORS` of every held-out size; -1 where there is none."""
        return factor_bins(self.held_size, self.cut[:, None])

    def take(self, rows: Int[np.ndarray, " c"] | Bool[np.ndarray, " b"]) -> "Cases":
        """Select pairs, without a change of the padded shapes."""
        parts = {
            field.name: value[rows]
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        return dataclasses.replace(self, **parts)

    def curves(self) -> LearningCurve:
        """Return the fitted parts as a batch of learning curves in JAX's default precision."""
        dtype = jnp.result_type(float)
        replicates = None if self.replicates is None else jnp.asarray(self.replicates, dtype)
        return LearningCurve(
            jnp.asarray(self.size, dtype), jnp.asarray(self.error, dtype), None, replicates, None, None
        )

    def padded_sizes(self) -> Float[np.ndarray, "b m"]:
        """Return the held-out sizes, with the cut in place of absent ones."""
        return np.where(self.present, self.held_size, self.cut[:, None])

    def digest(self) -> str:
        """Return a hash of all sizes, errors and names, by which stored scores are recognized."""
        digest = hashlib.sha256(repr((self.step, self.name.tolist(), self.cut.tolist())).encode())
        for values in (self.size, self.error, self.held_size, self.held_error, self.replicates):
            digest.update(b"" if values is None else np.ascontiguousarray(values, float).tobytes())
        return digest.hexdigest()[:16]


def factor_bins(size: Float[np.ndarray, "..."], cut: Float[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """Return the index in `FACTORS` of the extrapolation factor `size / cut`; -1 where a size is nan."""
    edges = np.array([2.0, 4.0, 8.0, 16.0])
    factor = np.asarray(size, float) / cut
    return np.where(np.isnan(factor), -1, np.searchsorted(edges, factor * (1 - 1e-9), side="left"))


def make_cases(
    size: Float[np.ndarray, "..."],
    error: Float[np.ndarray, "b s"],
    cut: Float[np.ndarray, " b"],
    *,
    cluster: Sequence[str] | np.ndarray | None = None,
    family: Sequence[str] | np.ndarray | None = None,
    name: Sequence[str] | np.ndarray | None = None,
    replicates: Float[np.ndarray, "b r s"] | None = None,
    step: float = 0.0,
) -> Cases:
    """Divide curves into the sizes up to a cut, which are fitted, and the later ones, which are held out.

    Held-out errors of 0 have no logarithm: they are dropped and counted. With repeats, the held-out error of a size is
    its first repeat, so that a forecast of one measurement is compared with one measurement. Pairs without a fitted or
    without a held-out measurement are omitted.

    Args:
        size: sizes, `(s,)` or `(b, s)`; nan marks an absent one.
        error: errors, nan where absent.
        cut: largest size to fit.
        cluster: name of the data set of every curve; by default each curve has its own.
        family: name of the group of every curve; "all" by default.
        name: name of every curve; its number by default.
        replicates: errors of repeats, whose means are `error`.
        step: step in which errors are stored.
    """
    error, cut = np.asarray(error, float), np.asarray(cut, float)
    size = np.broadcast_to(np.asarray(size, float), error.shape)
    names = np.array([f"curve {i}" for i in range(len(cut))]) if name is None else np.asarray(name, str)
    known = ~np.isnan(error) & ~np.isnan(size)
    single = error
    if replicates is not None:
        replicates = np.asarray(replicates, float)
        first = np.argmax(~np.isnan(replicates), axis=1)[:, None]
        single = np.take_along_axis(replicates, first, axis=1)[:, 0]
    fitted, later = known & (size <= cut[:, None]), known & (size > cut[:, None])
    zeros = later & (single <= 0)
    held = later & ~zeros
    rows = np.flatnonzero(fitted.any(axis=1) & held.any(axis=1))
    if not len(rows):
        raise ValueError(f"None of {len(cut)} curves has both a size to fit and a held-out size above its cut.")
    left, right = _compact(fitted[rows], size[rows]), _compact(held[rows], size[rows])
    return Cases(
        _pick(size[rows], *left),
        _pick(error[rows], *left),
        cut[rows],
        _pick(size[rows], *right),
        _pick(single[rows], *right),
        (names if cluster is None else np.asarray(cluster, str))[rows],
        (np.full(len(cut), "all") if family is None else np.asarray(family, str))[rows],
        names[rows],
        None if replicates is None else np.stack([_pick(r[rows], *left) for r in replicates.swapaxes(0, 1)], axis=1),
        step,
        int(zeros[rows].sum()),
    )


def _compact(mask: Bool[np.ndarray, "b s"], size: Float[np.ndarray, "b s"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the selected entries in the order of their sizes, and True where there is one."""
    count = mask.sum(axis=1)
    order = np.argsort(np.where(mask, size, np.inf), axis=1, kind="stable")[:, : count.max()]
    return order, np.arange(count.max()) < count[:, None]


def _pick(values: Float[np.ndarray, "b s"], order: np.ndarray, there: np.ndarray) -> Float[np.ndarray, "b n"]:
    return np.where(there, np.take_along_axis(values, order, axis=1), np.nan)
