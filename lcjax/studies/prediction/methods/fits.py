"""All methods fitted to several selections of the same points."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.studies.prediction.methods.bayesian import fit_forecasts
from lcjax.studies.prediction.methods.distances import Distances, tabulate_distances
from lcjax.studies.prediction.methods.laws import Law, tabulate_law
from lcjax.studies.prediction.methods.points import Fit, Points, Used
from lcjax.studies.prediction.methods.power_laws import fit_power_law
from lcjax.studies.prediction.methods.tabulated import Table, fit_table
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import hypercube
from lcjax.threads import ThreadPool
from lcjax.typing import KeyArray

__all__ = ["Ingredients", "fit_methods"]


class Ingredients(NamedTuple):
    """Everything but the points from which methods predict.

    Attributes:
        train_density: Gaussian of each seed's training features.
        test_density: Gaussian of each seed's held-out features.
        distances: nearest-neighbor distances of each seed's features.
        laws: laws of the nearest-neighbor distance between the densities.
        prior: prior of the exponent of the method "nearest_neighbor".
        chance_error: error of the best constant answer.
    """

    train_density: Gaussian
    test_density: Gaussian
    distances: list[Distances]
    laws: Sequence[Law]
    prior: ExponentPrior
    chance_error: float


def fit_methods(
    key: KeyArray,
    points: Points,
    uses: Sequence[Used],
    grid: Float[np.ndarray, " t"],
    ingredients: Ingredients,
    *,
    forecasts: int | None = None,
    tables: dict[str, Table] | None = None,
) -> tuple[list[dict[str, Fit]], dict[str, Table]]:
    """Fit every method to every selection of sizes.

    The methods are the laws by their names, "hypercube_squared" if the paper's law is among them, "distances",
    "nearest_neighbor", "power_law" and "forecast".

    Args:
        key: a typed key of the forecast.
        points: measured errors.
        uses: selections of at least two sizes.
        grid: sizes to predict, ascending; the sizes of `points` are among them.
        ingredients: densities, distances and priors.
        forecasts: number of selections, the first ones, to forecast; all if None.
        tables: tables of an earlier call with the same grid and ingredients, or None.

    Returns:
        Fits by method, one dictionary for each selection, and the tables of curves of the theory.
    """
    columns = np.searchsorted(grid, points.size)
    # The laws factorize batches of matrices, and XLA can deadlock if several threads do so on a CPU (see `in_threads`);
    # the forecast does not.
    with ThreadPool(1) as pool:
        ahead = pool.submit(fit_forecasts, key, points, uses[:forecasts], grid, ingredients.chance_error)
        tables = _tabulate(ingredients, grid) if tables is None else tables
        fits = {name: [fit_table(table, columns, points, used) for used in uses] for name, table in tables.items()}
        for name, prior in (("nearest_neighbor", ingredients.prior), ("power_law", None)):
            fits[name] = [fit_power_law(points, used, grid, prior=prior) for used in uses]
        fits["forecast"] = ahead.result()
    return [{name: own[i] for name, own in fits.items() if i < len(own)} for i in range(len(uses))], tables


def _tabulate(ingredients: Ingredients, grid: Float[np.ndarray, " t"]) -> dict[str, Table]:
    """Tabulate the theory's methods with one free parameter, the radius."""
    densities = ingredients.train_density, ingredients.test_density
    tables = {law.__name__: tabulate_law(*densities, grid, law) for law in ingredients.laws}
    if hypercube in ingredients.laws:
        tables["hypercube_squared"] = tabulate_law(*densities, grid, hypercube, power=2)
    return {**tables, "distances": tabulate_distances(ingredients.distances, grid)}
