"""Fit of a scaling law to a table of training runs, with bootstrap draws."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.kernels.compilation import is_tracing, jit_lean
from lcjax.records import record
from lcjax.scaling.identifiability import Identifiability, examine_design, flat_directions, flat_profiles
from lcjax.scaling.law import Law, evaluate, natural_values
from lcjax.scaling.laws import chinchilla
from lcjax.scaling.minimization import Problem, attach_derivative, descend, log_residual, search
from lcjax.scaling.profile import Profile, compute_profile
from lcjax.scaling.resampling import draw_residuals, draw_weights
from lcjax.scaling.residuals import Huber, ResidualLoss
from lcjax.scaling.runs import check_runs, group_budgets, training_compute
from lcjax.typing import Array, KeyArray, Scalar, check_key

__all__ = ["ScalingFit", "fit_scaling_law"]

OUTLIER = 4.0  # robust standard deviations from the law
_MAD = 1.4826

Groups = dict[str, np.ndarray]


@record
class ScalingFit:
    """Fit of a scaling law.

    Attributes:
        law: the law.
        loss: loss of the residuals.
        residual: "log" or "raw", how losses are compared.
        runs: the fitted table, `(n,)` each, with the column "loss".
        values: parameters in the order of the law, `(p,)`.
        objective: sum of the losses of the residuals, `()`.
        noise: robust standard deviation of the residuals, `()`.
        converged: True if the descent converged to a finite value, `()`.
        draws: parameters of the bootstrap fits, `(k, p)`, or None.
        identifiability: what the runs leave open; None for a traced fit.
    """

    law: Law = jax.tree.static()
    loss: ResidualLoss = jax.tree.static()
    residual: str = jax.tree.static()
    runs: Mapping[str, Num[Array, " n"]]
    values: Float[Array, " p"]
    objective: Float[Array, ""]
    noise: Float[Array, ""]
    converged: Bool[Array, ""]
    draws: Float[Array, "k p"] | None = None
    identifiability: Identifiability | None = jax.tree.static(default=None)

    @property
    def parameters(self) -> dict[str, Float[Array, ""]]:
        """Named parameters, `()` each."""
        return dict(zip(self.law.names, self.values, strict=True))

    @property
    def parameter_draws(self) -> dict[str, Float[Array, " k"]]:
        """Named parameters of the bootstrap fits, `(k,)` each.

        Raises:
            ValueError: the fit has no bootstrap draws.
        """
        if self.draws is None:
            raise ValueError("This fit has no bootstrap draws: call fit_scaling_law(..., draws=1000).")
        return dict(zip(self.law.names, self.draws.T, strict=True))

    @property
    def residuals(self) -> Float[jax.Array, " n"]:
        """Prediction minus observation of each run, of logarithms or raw, `(n,)`."""
        prediction = self.predict(**{name: self.runs[name] for name in self.law.variables})
        observed = jnp.asarray(self.runs["loss"])
        return log_residual(prediction, observed) if self.residual == "log" else prediction - observed

    @property
    def outliers(self) -> Bool[jax.Array, " n"]:
        """True for runs more than four robust standard deviations off the law, `(n,)`."""
        return jnp.abs(self.residuals) > OUTLIER * jnp.asarray(self.noise)

    def predict(self, **variables: Scalar) -> Float[jax.Array, "..."]:
        """Evaluate the fitted law; the variables broadcast."""
        return self.law({name: jnp.asarray(value) for name, value in self.parameters.items()}, **variables)

    def predict_draws(self, **variables: Scalar) -> Float[jax.Array, "k ..."]:
        """Evaluate every bootstrap fit; the axis of the draws comes first."""
        depth = max(np.ndim(value) for value in variables.values())
        draws = {name: jnp.asarray(value).reshape(-1, *(1,) * depth) for name, value in self.parameter_draws.items()}
        return self.law(draws, **variables)

    def json_fields(self) -> dict[str, object]:
        """Return the entries of the fit's JSON: parameters with 90 % intervals, objective, outliers and refusals."""
        told = self.identifiability or Identifiability()
        return {
            "law": self.law.name,
            "formula": self.law.formula,
            "parameters": self.parameters,
            "interval": None if self.draws is None else self.interval(),
            "objective": {
                "name": f"sum of {self.loss.describe()} of {self.residual} residuals",
                "value": self.objective,
            },
            "noise": self.noise,
            "converged": self.converged,
            "outliers": np.flatnonzero(np.asarray(self.outliers)),
            "refused": [dataclasses.asdict(reason) for reason in told.reasons],
        }

    def interval(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Return the limits of each parameter, from -inf to inf where the runs do not determine it.

        Raises:
            ValueError: the level is not in (0, 1), or the fit has no draws.
        """
        if not 0 < level < 1:
            raise ValueError(f"The level of an interval lies between 0 and 1, got {level}.")
        unknown = self.identifiability.undetermined if self.identifiability else ()
        limits = {}
        for name, draws in self.parameter_draws.items():
            low, high = np.quantile(np.asarray(draws, float), [0.5 - level / 2, 0.5 + level / 2])
            limits[name] = (-np.inf, np.inf) if name in unknown else (float(low), float(high))
        return limits


def fit_scaling_law(
    key: KeyArray,
    runs: Mapping[str, Num[Array, " n"]],
    *,
    law: Law = chinchilla,
    loss: ResidualLoss = Huber(),  # noqa: B008  # a frozen value
    residual: Literal["log", "raw"] | None = None,
    draws: int = 0,
    resample: str = "residuals",
) -> ScalingFit:
    """Fit a scaling law to a table of training runs by a robust loss of the log residuals.

    Levenberg-Marquardt steps descend from the best of 256 starts, at each of which the parameters in which the law is
    linear are solved for (Hoffmann et al., 2022, section 3.3, by variable projection in place of L-BFGS from a grid).
    All bootstrap fits are one compiled batch.

    Outside of a transformation the fit is in float64, whatever `jax_enable_x64` says, and comes back in the dtype of
    the losses. Under jit, vmap and grad it is in the dtype of its arguments.

    Args:
        key: a typed key, of the starts and of the bootstrap.
        runs: columns of the table, `(n,)` each: "loss" and the law's variables, such as "params" and "tokens"; other
            columns are ignored, but for those that `resample` names.
        law: the law, from `lcjax.scaling.laws` or your own.
        loss: loss of the residuals, from `lcjax.scaling.residuals`.
        residual: compare logarithms of losses ("log") or losses ("raw"); the law's choice if None.
        draws: number of bootstrap fits, static.
        resample: what the bootstrap draws. "residuals" keeps the places of the runs and draws residuals, with effects
            that are common to the runs of one budget and to those of one model; "runs" draws runs; another word is the
            column whose equal values make groups that are drawn as wholes, or "budget" for groups of equal compute.

    Returns:
        `ScalingFit`. Its `identifiability` says what the runs do not determine.

    Raises:
        ValueError: a column is missing or has another length, a value is not finite, or not positive where its
            logarithm is taken, `draws` is negative, or `resample` names no column. Values that are traced are not
            checked; where they are not finite, `converged` is False.

    Examples:
        >>> import jax, numpy as np
        >>> n, d = (a.ravel() for a in np.meshgrid(10.0 ** np.arange(4, 8), 10.0 ** np.arange(4, 8)))
        >>> table = {"params": n, "tokens": d, "loss": 0.5 + 20 * n**-0.4 + 30 * d**-0.3}
        >>> fit = fit_scaling_law(jax.random.key(0), table)
        >>> round(float(fit.parameters["data_exponent"]), 3), fit.identifiability.determined
        (-0.3, True)
    """
    check_key(key)
    missing = [name for name in ("loss", *law.variables) if name not in runs]
    if missing:
        raise ValueError(f"The law {law.name} needs the column {missing[0]}, the table has {', '.join(runs)}.")
    if draws < 0:
        raise ValueError(f"draws must be >= 0, got {draws}.")
    kind = residual or law.residual
    if kind not in ("log", "raw"):
        raise ValueError(f'residual is "log" or "raw", got {residual!r}.')
    columns = {name: runs[name] for name in ("loss", *law.variables)}
    traced = is_tracing([key, *columns.values()])
    if not traced:
        check_runs(columns, positive_loss=kind == "log")
    groups = _group_runs(runs, law, resample, traced) if draws else {}
    dtype = jnp.asarray(runs["loss"]).dtype
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
    with contextlib.nullcontext() if traced else jax.enable_x64(True):
        inside = dtype if traced else jnp.dtype(float)
        table = {name: jnp.asarray(column, inside) for name, column in columns.items()}
        result, jacobian, profile = _fit(
            key,
            table,
            {name: jnp.asarray(index) for name, index in groups.items()},
            law=law,
            loss=loss,
            is_log=kind == "log",
            draws=draws,
            residuals=resample == "residuals",
            profiled=not traced,
        )
        values, objective, noise, converged, drawn = result
        told = None if traced else _examine(law, columns, np.asarray(jacobian), profile)
    own = {name: jnp.asarray(column).astype(dtype) for name, column in columns.items()}
    values, objective, noise = (part.astype(dtype) for part in (values, objective, noise))
    return ScalingFit(
        law, loss, kind, own, values, objective, noise, converged, drawn.astype(dtype) if draws else None, told
    )


def _group_runs(runs: Mapping[str, Num[Array, " n"]], law: Law, resample: str, traced: bool) -> Groups:
    """Return the groups of the bootstrap by name, each an index of the runs."""
    if resample == "runs":
        return {"runs": np.arange(len(runs["loss"]))}
    if traced:
        if resample != "residuals":
            raise ValueError(f'Under a transformation resample is "residuals" or "runs", got {resample!r}.')
        return {}
    labels: dict[str, np.ndarray] = {}
    both = {"params", "tokens"} <= set(runs)
    if both or "compute" in runs:
        compute = runs["compute"] if "compute" in runs else training_compute(runs["params"], runs["tokens"])
        labels["budget"] = group_budgets(compute).index
    if resample == "residuals":
        if "params" in law.variables:
            labels["params"] = np.unique(np.round(np.log(np.asarray(runs["params"], float)), 2), return_inverse=True)[1]
        return {name: index for name, index in labels.items() if 1 < len(np.unique(index)) < 0.75 * len(index)}
    if resample not in labels:
        if resample not in runs:
            raise ValueError(f'resample is "residuals", "runs", "budget" or a column, got {resample!r}.')
        labels[resample] = np.unique(np.asarray(runs[resample]), return_inverse=True)[1]
    return {resample: labels[resample]}


Result = tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]


@jit_lean(static_argnames=("law", "loss", "is_log", "draws", "residuals", "profiled"))
def _fit(
    key: KeyArray,
    table: Mapping[str, Float[jax.Array, " n"]],
    groups: Mapping[str, Int[Array, " n"]],
    *,
    law: Law,
    loss: ResidualLoss,
    is_log: bool,
    draws: int,
    residuals: bool,
    profiled: bool,
) -> tuple[Result, jax.Array, Profile | None]:
    """Return values, objective, noise, convergence and draws; the Jacobian of the residuals; and the profiles."""
    variables = {name: table[name][:, None] for name in law.variables}
    y = table["loss"][:, None]
    unit = jnp.exp(jnp.mean(jnp.log(y))) if is_log else jnp.mean(jnp.abs(y))
    problem = Problem(variables, y, jnp.ones_like(y), unit)
    starts, drawing = jax.random.split(key)
    minima = search(law, loss, is_log, problem, starts)
    value = jnp.asarray(minima.value)
    first = jnp.argmin(jnp.where(jnp.isfinite(value), value, jnp.inf))
    best = jnp.asarray(minima.parameters)[:, first]
    if not profiled:
        best = attach_derivative(law, loss, is_log, best, problem)
    fitted = evaluate(law, tuple(best[:, None]), variables, unit)
    error = (log_residual(fitted, y) if is_log else fitted - y)[:, 0]
    n, p = len(error), len(best)
    noise = _MAD * jnp.median(jnp.abs(error)) * jnp.sqrt(n / max(1, n - p))

    def residual_at(u: jax.Array) -> jax.Array:
        prediction = evaluate(law, tuple(u[:, None]), variables, unit)
        return (log_residual(prediction, y) if is_log else prediction - y)[:, 0]

    jacobian = jax.jacfwd(residual_at)(best)
    values = natural_values(law, best[:, None], variables, unit)[:, 0]
    drawn = jnp.zeros((0, p), y.dtype)
    if draws:
        if residuals:
            change = draw_residuals(drawing, error, p, groups, draws)
            # A residual is prediction minus observation.
            tables = fitted * jnp.exp(-change) if is_log else fitted - change
            again = Problem(variables, tables, problem.weight, unit)
        else:
            (index,) = groups.values()
            again = Problem(variables, y, draw_weights(drawing, jnp.asarray(index), draws).astype(y.dtype), unit)
        # Single precision: rounding is negligible beside the noise of a draw.
        begin = jnp.broadcast_to(best[:, None], (p, draws)).astype(jnp.float32)
        refits = descend(law, loss, is_log, begin, jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), again))
        drawn = natural_values(law, jnp.asarray(refits.parameters, y.dtype), variables, unit).T
    profile = compute_profile(law, is_log, best, problem, jnp.maximum(noise, 1e-9)) if profiled else None
    converged = minima.converged[first] & jnp.isfinite(value[first])
    return (values, value[first], noise, converged, drawn), jacobian, profile


def _examine(
    law: Law, columns: Mapping[str, Num[Array, " n"]], jacobian: Float[np.ndarray, "n p"], profile: Profile | None
) -> Identifiability:
    """Return what the runs leave open, by their places first, then by their losses."""
    told = examine_design(law, columns)
    if not told.determined:
        return told
    flat = flat_directions(law, jacobian)
    if flat or profile is None:
        return Identifiability(flat)
    return Identifiability(flat_profiles(law, profile))
