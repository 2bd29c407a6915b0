from . import laws as laws
from .binomial_law import binomial as binomial
from .dimension import effective_dimension as effective_dimension
from .dimension import levina_bickel as levina_bickel
from .dimension import nearest_neighbor_accuracy as nearest_neighbor_accuracy
from .dimension import spectral_dimension as spectral_dimension
from .dimension import two_nn as two_nn
from .expected_error import saturation_size as saturation_size
from .from_distances import error_from_distances as error_from_distances
from .gaussian import Gaussian as Gaussian
from .gaussian import fit_gaussian as fit_gaussian
from .gaussian import fit_pca as fit_pca
from .laws import hypercube as hypercube
from .laws import poisson as poisson
from .monte_carlo import expected_error_from_density as expected_error_from_density
from .monte_carlo import expected_error_qmc as expected_error_qmc
from .radius_fit import RadiusFit as RadiusFit
from .radius_fit import fit_radius as fit_radius
from .radius_fit import size_for_error as size_for_error
from .simulation import simulate_error as simulate_error

__all__ = [
    "Gaussian",
    "RadiusFit",
    "binomial",
    "effective_dimension",
    "error_from_distances",
    "expected_error_from_density",
    "expected_error_qmc",
    "fit_gaussian",
    "fit_pca",
    "fit_radius",
    "hypercube",
    "laws",
    "levina_bickel",
    "nearest_neighbor_accuracy",
    "poisson",
    "saturation_size",
    "simulate_error",
    "size_for_error",
    "spectral_dimension",
    "two_nn",
]
