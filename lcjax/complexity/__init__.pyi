from .capacity import linear_class as linear_class
from .capacity import rademacher_complexity as rademacher_complexity
from .capacity import ridge_regression as ridge_regression
from .capacity import uniform_stability as uniform_stability
from .corruption import corrupt_labels as corrupt_labels
from .corruption import gaussian_pixels as gaussian_pixels
from .corruption import random_pixels as random_pixels
from .corruption import shuffle_pixels as shuffle_pixels
from .expressivity import MemorizingNetwork as MemorizingNetwork
from .expressivity import memorizing_network as memorizing_network
from .filters import gabor_features as gabor_features
from .filters import random_filter_gram as random_filter_gram
from .filters import random_filters as random_filters
from .interpolation import gaussian_kernel as gaussian_kernel
from .interpolation import gram_interpolation as gram_interpolation
from .interpolation import kernel_interpolation as kernel_interpolation
from .interpolation import linear_kernel as linear_kernel
from .interpolation import polynomial_kernel as polynomial_kernel
from .minimum_norm import gradient_descent as gradient_descent
from .report import ComplexityReport as ComplexityReport
from .report import complexity_report as complexity_report
from .vc_bound import bound_steps as bound_steps
from .vc_bound import enclosing_sphere as enclosing_sphere
from .vc_bound import theorem_one as theorem_one
from .vc_bound import vc_dimension_bound as vc_dimension_bound
from .weight_measures import margins as margins
from .weight_measures import path_norm as path_norm
from .weight_measures import sharpness as sharpness
from .weight_measures import weight_norms as weight_norms

__all__ = [
    "ComplexityReport",
    "MemorizingNetwork",
    "bound_steps",
    "complexity_report",
    "corrupt_labels",
    "enclosing_sphere",
    "gabor_features",
    "gaussian_kernel",
    "gaussian_pixels",
    "gradient_descent",
    "gram_interpolation",
    "kernel_interpolation",
    "linear_class",
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
    "theorem_one",
    "uniform_stability",
    "vc_dimension_bound",
    "weight_norms",
]
