"""Sums of squares of our fits and SciPy's best of ten random starts, on a thousand random curves of each form.

SciPy's sums are stored in the output folder, with one file for each form, seed and block of curves, from which an
interrupted run resumes. Curves on which SciPy's sum is larger are counted separately; they are not failures of our fit.

    python -m benchmarks.parity OUTPUT_FOLDER [--curves 1000] [--seed 2026] [FORM ...]
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forms import Form, broken_power_law, mmf, power_law_offset, shifted_power_law
from lcjax.curves.learning_curve import LearningCurve
from lcjax.files import write_json
from lcjax.provenance import environment

SIZE = np.geomspace(20, 20_000, 30)
NOISE, STARTS, BLOCK, MOST = 0.03, 10, 100, 1000
COMPARED = {form.__name__: form for form in (power_law_offset, shifted_power_law, mmf, broken_power_law)}
# Bounds of our forms: logarithms of exponents and of the width of a bend.
STEEP, SHARP = np.log([1e-4, 20.0]), np.log([0.02, 5.0])


def random_curves(form: Form, count: int, seed: int) -> np.ndarray:
    """Draw curves of the form itself, at sizes 20 to 20,000, with 3 % noise, `(count, 30)`."""
    rng = np.random.default_rng(seed)
    offset, scale = rng.uniform(0.0, 0.2, count), rng.uniform(0.5, 3, count)
    exponent, third, fourth = -rng.uniform(0.15, 1.0, count), rng.uniform(size=count), rng.uniform(size=count)
    parameters = {
        "power_law_offset": (offset, scale, exponent),
        "shifted_power_law": (offset, scale, exponent, 1 + 199 * third),
        "mmf": (offset, offset + 0.2 + 0.6 * fourth, exponent, np.exp(3 + 5 * third)),
        "broken_power_law": (offset, scale, exponent / 3, exponent, np.exp(4 + 4 * third), 0.1 + 0.9 * fourth),
    }[form.__name__]
    with jax.enable_x64(True):
        errors = np.asarray(form(jnp.asarray(SIZE), *(jnp.asarray(values)[:, None] for values in parameters)))
    return errors * np.exp(NOISE * rng.normal(size=errors.shape))


def by_scipy(form: Form, error: np.ndarray, seed: int, starts: int = STARTS) -> float:
    """Return SciPy's smallest sum of squared logarithmic residuals over random starts, within the bounds of our form.

    Written in NumPy, with sizes relative to the geometric middle and logarithms of positive parameters.
    """
    y, z = np.log(error), np.log(SIZE) - 0.5 * np.log(SIZE[0] * SIZE[-1])
    half = z[-1]

    def basis(v: np.ndarray) -> np.ndarray:
        """Return the logarithm of the falling part, 0 in the middle; `v` are the shape parameters."""
        slope = np.exp(v[0])
        if form is power_law_offset:
            return -slope * z
        if form is shifted_power_law:
            return -slope * (np.logaddexp(z, v[1]) - np.logaddexp(0, v[1]))
        if form is mmf:
            return np.logaddexp(0, -slope * v[1]) - np.logaddexp(0, slope * (z - v[1]))
        width = np.exp(v[3])
        bend = width * (np.logaddexp(0, (z - v[2]) / width) - np.logaddexp(0, -v[2] / width))
        return -slope * z - (np.exp(v[1]) - slope) * bend

    def residuals(v: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(v[0] + np.exp(v[1] + basis(v[2:])), 1e-300)) - y

    # Lower and upper bounds from the third coordinate on, and the box from which starts are drawn.
    boxes: dict[str, tuple[list[Any], list[Any]]] = {
        "power_law_offset": ([], []),
        "shifted_power_law": ([(-half - 30, half + 4)], [(-half, half)]),
        "mmf": ([(-half - 10, half + 10)], [(-half, half)]),
        "broken_power_law": ([STEEP, (-half, half), SHARP], [np.log([0.05, 3.0]), (-half, half), (-2, SHARP[1])]),
    }
    limits, drawn = boxes[form.__name__]
    smallest, largest = error.min(), error.max()
    low, high = np.array([(0.0, smallest), (np.log(smallest) - 10, np.log(largest) + 10), STEEP, *limits]).T
    first, last = np.array([(0.0, 0.9 * smallest), (y.min() - 1, y.max()), np.log([0.05, 3.0]), *drawn]).T
    rng = np.random.default_rng(seed)
    best = np.inf
    for _ in range(starts):
        start = np.clip(rng.uniform(first, last), low + 1e-9, high - 1e-9)
        found = scipy.optimize.least_squares(residuals, start, bounds=(low, high), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        best = min(best, 2 * float(found.cost))
    return best


def by_us(form: Form, errors: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(fit_curve(LearningCurve(jnp.asarray(SIZE), jnp.asarray(errors)), form).residual_sum)


def compare(form: Form, count: int, seed: int, folder: Path) -> dict[str, Any]:
    # The first `count` of `MOST` curves, so that stored sums of SciPy belong to the same curves for every count.
    errors = random_curves(form, MOST, seed)[:count]
    ours = by_us(form, errors)
    reference = []
    for first in range(0, count, BLOCK):
        kept = folder / "scipy" / f"{form.__name__}-{seed}-{first}.npy"
        if not kept.exists():
            part = [by_scipy(form, error, seed + first + i) for i, error in enumerate(errors[first : first + BLOCK])]
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept, np.array(part))
            print(f"{form.__name__}: SciPy has fitted {min(first + BLOCK, count)} of {count}", flush=True)
        reference.append(np.load(kept))
    excess = ours / np.concatenate(reference)[:count] - 1
    return {
        "curves": count,
        "seed": seed,
        "within_1e-8_or_below": int(np.sum(excess <= 1e-8)),
        "above_scipy": {"count": int(np.sum(excess > 1e-8)), "largest": float(excess.max())},
        "below_scipy": {"count": int(np.sum(excess < -1e-8)), "largest": float(-excess.min())},
        "curves_above": np.flatnonzero(excess > 1e-8),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("form", nargs="*", help=f"One or more of {', '.join(COMPARED)} [default: all].")
    parser.add_argument("--curves", type=int, default=MOST, choices=range(1, MOST + 1), metavar=f"1..{MOST}")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    result: dict[str, Any] = {"environment": environment(), "noise": NOISE, "scipy_starts": STARTS, "forms": {}}
    for name in options.form or COMPARED:
        found = compare(COMPARED[name], options.curves, options.seed, options.output)
        result["forms"][name] = found
        print(
            f"{name}: {found['within_1e-8_or_below']} of {found['curves']} within 1e-8 of SciPy's best of {STARTS} or "
            f"below; largest excess {found['above_scipy']['largest']:.1e}; {found['below_scipy']['count']} below by "
            "more than 1e-8",
            flush=True,
        )
    write_json(options.output / "parity.json", result)


if __name__ == "__main__":
    main()
