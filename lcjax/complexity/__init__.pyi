from .capacity import Rademacher as Rademacher
from .capacity import Stability as Stability
from .capacity import linear_class as linear_class
from .capacity import linear_class_bound as linear_class_bound
from .capacity import rademacher_complexity as rademacher_complexity
from .capacity import ridge_regression as ridge_regression
from .capacity import uniform_stability as uniform_stability
from .capacity import vc_bounds as vc_bounds
from .capacity import vc_dimension_of_network as vc_dimension_of_network
from .corruption import corrupt_labels as corrupt_labels
from .corruption import gaussian_pixels as gaussian_pixels
from .corruption import random_pixels as random_pixels
from .corruption import shuffle_pixels as shuffle_pixels
from .expressivity import MemorizingNetwork as MemorizingNetwork
from .expressivity import memorizing_network as memorizing_network
from .filters import Filters as Filters
from .filters import gabor_features as gabor_features
from .filters import random_filter_gram as random_filter_gram
from .filters import random_filters as random_filters
from .interpolation import KernelInterpolant as KernelInterpolant
from .interpolation import gaussian_kernel as gaussian_kernel
from .interpolation import gram_interpolation as gram_interpolation
from .interpolation import kernel_interpolation as kernel_interpolation
from .interpolation import linear_kernel as linear_kernel
from .interpolation import polynomial_kernel as polynomial_kernel
from .minimum_norm import Descent as Descent
from .minimum_norm import MinimumNorm as MinimumNorm
from .minimum_norm import gradient_descent as gradient_descent
from .report import ComplexityReport as ComplexityReport
from .report import complexity_report as complexity_report
from .vc_bound import bound_steps as bound_steps
from .vc_bound import geometric_margin as geometric_margin
from .vc_bound import larger_scores as larger_scores
from .vc_bound import surrogate as surrogate
from .vc_bound import theorem_one as theorem_one
from .vc_bound import vc_dimension_bound as vc_dimension_bound
from .weight_measures import Norms as Norms
from .weight_measures import margins as margins
from .weight_measures import path_norm as path_norm
from .weight_measures import sharpness as sharpness
from .weight_measures import weight_norms as weight_norms

__all__ = [
    "ComplexityReport",
    "Descent",
    "Filters",
    "KernelInterpolant",
    "MemorizingNetwork",
    "MinimumNorm",
    "Norms",
    "Rademacher",
    "Stability",
    "bound_steps",
    "complexity_report",
    "corrupt_labels",
    "gabor_features",
    "gaussian_kernel",
    "gaussian_pixels",
    "geometric_margin",
    "gradient_descent",
    "gram_interpolation",
    "kernel_interpolation",
    "larger_scores",
    "linear_class",
    "linear_class_bound",
    "linear_kernel",
    "margins",
    "memorizing_network",
    "path_norm",
    "polynomial_kernel",
    "rademacher_complexity",
    "random_filter_gram",
    "random_filters",
    "random_pixels",
    "ridge_regression",
    "sharpness",
    "shuffle_pixels",
    "surrogate",
    "theorem_one",
    "uniform_stability",
    "vc_bounds",
    "vc_dimension_bound",
    "vc_dimension_of_network",
    "weight_norms",
]
