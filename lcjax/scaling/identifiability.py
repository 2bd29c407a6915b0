"""Identifiability of a law: designs that leave parameters open, and exponents that the losses leave open."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Num

from lcjax.scaling.law import Law
from lcjax.scaling.profile import THRESHOLD, Profile
from lcjax.scaling.runs import FLOPS, group_budgets
from lcjax.typing import Array

__all__ = ["Identifiability", "Reason", "examine_design", "flat_directions", "flat_profiles", "format_size"]

FEWEST = 3  # sizes of a variable: two also fit any offset
SPARE = 2  # runs at different places beyond the number of parameters
COLLINEAR = 0.999  # correlation of the logarithms of two variables
SAME = 0.01  # relative difference of sizes that count as one
WIDE = 10.0  # ratio of the ends of an interval from which an exponent counts as undetermined
_FLAT = 1e-7  # smallest singular value of a determined design, relative to the largest


@dataclasses.dataclass(frozen=True)
class Reason:
    """A reason why parameters are not determined.

    Attributes:
        code: "few_runs", "one_params", "one_tokens" (and so on for other variables), "one_budget", "collinear",
            "flat_design" or "flat_loss".
        text: the reason in words, with numbers, without a full stop.
        parameters: names of these parameters.
    """

    code: str
    text: str
    parameters: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Identifiability:
    """Parameters that a table of runs does not determine, and the reasons.

    Attributes:
        reasons: the reasons; empty if all parameters are determined.

    Examples:
        >>> told = Identifiability(())
        >>> told.determined, told.undetermined
        (True, ())
    """

    reasons: tuple[Reason, ...] = ()

    @property
    def determined(self) -> bool:
        """True if the runs determine all parameters."""
        return not self.reasons

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Names of the parameters that the runs do not determine."""
        return tuple(dict.fromkeys(name for reason in self.reasons for name in reason.parameters))

    def describe(self) -> str:
        """Return the reasons as sentences; an empty text if there are none."""
        return " ".join(f"{reason.text[:1].upper()}{reason.text[1:]}." for reason in self.reasons)


def examine_design(law: Law, columns: Mapping[str, Num[Array, " n"]]) -> Identifiability:
    """Return what runs at these places leave open, whatever their losses are.

    Args:
        law: the law to be fitted.
        columns: its variables, positive, `(n,)` each.

    Examples:
        >>> from lcjax.scaling.laws import chinchilla
        >>> table = {"params": np.full(9, 1e8), "tokens": np.geomspace(1e8, 1e10, 9)}
        >>> examine_design(chinchilla, table).reasons[0].text
        'all runs have 1e+08 params: model_scale and model_exponent need at least three values of params'
    """
    values = {name: np.asarray(columns[name], float) for name in law.variables}
    reasons: list[Reason] = []
    for name, column in values.items():
        sizes = _distinct(column)
        own = _parameters_of(law, name)
        if len(sizes) < FEWEST and own:
            got = " or ".join(f"{format_size(size)}" for size in sizes)
            need = f"{' and '.join(own)} need at least three values of {name}"
            reasons.append(Reason(f"one_{name}", f"all runs have {got} {name}: {need}", own))
    if reasons:
        return Identifiability(tuple(reasons))
    places = len(np.unique(np.round(np.log(np.stack([*values.values()])) / SAME), axis=1).T)
    wanted = len(law.parameters) + SPARE
    if places < wanted:
        text = f"{places} different runs are too few for {len(law.parameters)} parameters, which need {wanted}"
        return Identifiability((Reason("few_runs", text, law.names),))
    if {"params", "tokens"} <= set(values):
        budgets = group_budgets(FLOPS * values["params"] * values["tokens"])
        own = tuple(dict.fromkeys([*_parameters_of(law, "params"), *_parameters_of(law, "tokens")]))
        if len(budgets.compute) == 1:
            text = f"all runs have one budget, params * tokens = {budgets.compute[0] / FLOPS:.3g}"
            reasons.append(Reason("one_budget", f"{text}: more of one is always less of the other", own))
        elif abs(np.corrcoef(*(np.log(values[name]) for name in ("params", "tokens")))[0, 1]) > COLLINEAR:
            text = "tokens are a power of params in all runs: vary one of the two while the other is fixed"
            reasons.append(Reason("collinear", text, own))
    return Identifiability(tuple(reasons))


def flat_directions(law: Law, jacobian: Float[np.ndarray, "n p"]) -> tuple[Reason, ...]:
    """Return the parameters that can change together without a change of any fitted loss.

    Args:
        law: the law.
        jacobian: derivatives of the residuals in the coordinates, at the fit.
    """
    scale = np.sqrt((jacobian**2).sum(axis=0))
    if not np.isfinite(scale).all():
        return ()
    unmoved = tuple(name for name, one in zip(law.names, scale, strict=True) if one <= 1e-12 * scale.max())
    reasons = [Reason("flat_design", f"no run depends on {' and '.join(unmoved)}", unmoved)] if unmoved else []
    moved = scale > 1e-12 * scale.max()
    _, singular, right = np.linalg.svd(jacobian[:, moved] / scale[moved], full_matrices=False)
    names = np.array(law.names)[moved]
    flat = right[singular < _FLAT * singular[0]]
    for direction in flat:
        own = tuple(str(name) for name in names[np.abs(direction) > 0.1])
        reasons.append(Reason("flat_design", f"{' and '.join(own)} can change together without a trace", own))
    return tuple(reasons)


def flat_profiles(law: Law, profile: Profile) -> tuple[Reason, ...]:
    """Return the parameters whose profile likelihood is too flat to determine them.

    A parameter is undetermined if its 90 % interval extends beyond both bounds, or if its sign is known and the
    interval spans a factor of ten.

    Args:
        law: the law.
        profile: profiles of its parameters.
    """
    reasons = []
    for parameter, place, deviance in zip(law.parameters, *map(np.asarray, profile), strict=True):
        inside = np.flatnonzero(deviance <= THRESHOLD)
        if parameter.linear or not inside.size:
            continue
        ends = (max(inside[0] - 1, 0), min(inside[-1] + 1, len(place) - 1))
        low, high = (abs(float(parameter.value(place[end]))) for end in ends)
        is_open = inside[0] == 0 and inside[-1] == len(place) - 1
        if is_open or (parameter.sign and high > WIDE * low):
            values = [float(parameter.value(place[end])) for end in ends]
            text = f"the losses agree with {parameter.name} from {min(values):.3g} to {max(values):.3g}"
            reasons.append(Reason("flat_loss", text, (parameter.name,)))
    return tuple(reasons)


def format_size(size: float) -> str:
    """Return a number of params or tokens as text.

    Examples:
        >>> format_size(40_000.0), format_size(1e9)
        ('40,000', '1e+09')
    """
    return f"{size:,.0f}" if size < 1e6 and size == round(size) else f"{size:.4g}"


def _distinct(column: Float[np.ndarray, " n"]) -> list[float]:
    """Return the sizes that differ by more than one per cent, ascending."""
    sizes: list[float] = []
    for value in np.unique(column):
        if not sizes or value > sizes[-1] * (1 + SAME):
            sizes.append(float(value))
    return sizes


def _parameters_of(law: Law, variable: str) -> tuple[str, ...]:
    """Return the parameters that matter only through a variable: those whose effect vanishes where it is infinite."""
    start = {p.name: 1.0 if p.linear else float(np.mean(p.start or (0, 1))) for p in law.parameters}
    base = dict.fromkeys(law.variables, 2.0)
    far = {**base, variable: 1e12}

    def change(place: Mapping[str, float], name: str) -> float:
        moved = {**start, name: start[name] * 1.01}
        return abs(float(law(moved, **place)) - float(law(start, **place)))

    return tuple(name for name in law.names if change(base, name) > 0 and change(far, name) < 1e-3 * change(base, name))
