from . import laws as laws
from .binomial_law import binomial as binomial
from .closed_forms import equal_gaussians_error as equal_gaussians_error
from .closed_forms import scaled_gaussian_error as scaled_gaussian_error
from .dimension import DimensionEstimate as DimensionEstimate
from .dimension import EffectiveDimension as EffectiveDimension
from .dimension import effective_dimension as effective_dimension
from .dimension import levina_bickel as levina_bickel
from .dimension import nearest_neighbor_accuracy as nearest_neighbor_accuracy
from .dimension import spectral_dimension as spectral_dimension
from .dimension import two_nn as two_nn
from .expected_error import saturation_size as saturation_size
from .from_distances import error_from_distances as error_from_distances
from .gaussian import Gaussian as Gaussian
from .gaussian import fit_gaussian as fit_gaussian
from .gaussian import is_full_rank as is_full_rank
from .laws import hypercube as hypercube
from .laws import poisson as poisson
from .monte_carlo import expected_error_from_density as expected_error_from_density
from .monte_carlo import expected_error_qmc as expected_error_qmc
from .pca import PrincipalComponents as PrincipalComponents
from .pca import fit_pca as fit_pca
from .radius_fit import RadiusFit as RadiusFit
from .radius_fit import fit_radius as fit_radius
from .simulation import simulate_error as simulate_error
from .spacings import expected_gap as expected_gap
from .spacings import gap_statistics as gap_statistics

__all__ = [
    "DimensionEstimate",
    "EffectiveDimension",
    "Gaussian",
    "PrincipalComponents",
    "RadiusFit",
    "binomial",
    "effective_dimension",
    "equal_gaussians_error",
    "error_from_distances",
    "expected_error_from_density",
    "expected_error_qmc",
    "expected_gap",
    "fit_gaussian",
    "fit_pca",
    "fit_radius",
    "gap_statistics",
    "hypercube",
    "is_full_rank",
    "laws",
    "levina_bickel",
    "nearest_neighbor_accuracy",
    "poisson",
    "saturation_size",
    "scaled_gaussian_error",
    "simulate_error",
    "spectral_dimension",
    "two_nn",
]
