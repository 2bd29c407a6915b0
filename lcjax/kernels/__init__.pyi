from . import neighbors as neighbors
from .enclosing_ball import approximate_sphere as approximate_sphere
from .enclosing_ball import enclosing_sphere as enclosing_sphere
from .integer_sort import ascending as ascending
from .integration import Expectation as Expectation
from .integration import capped_mean as capped_mean
from .integration import cube as cube
from .integration import expectation as expectation
from .integration import gaussian as gaussian
from .integration import replicate_means as replicate_means
from .integration import wide_gaussian as wide_gaussian
from .least_squares import LeastSquares as LeastSquares
from .levenberg_marquardt import Expansion as Expansion
from .levenberg_marquardt import solve_positive_definite as solve_positive_definite
from .neighbors import Neighbors as Neighbors
from .neighbors import nearest_neighbors as nearest_neighbors
from .neighbors import sharded_neighbors as sharded_neighbors
from .resampling import resample_rows as resample_rows
from .resampling import student_noise as student_noise
from .sobol import chi_quantile as chi_quantile
from .sobol import sobol_gaussian as sobol_gaussian

__all__ = [
    "Expansion",
    "Expectation",
    "LeastSquares",
    "Neighbors",
    "approximate_sphere",
    "ascending",
    "capped_mean",
    "chi_quantile",
    "cube",
    "enclosing_sphere",
    "expectation",
    "gaussian",
    "nearest_neighbors",
    "neighbors",
    "replicate_means",
    "resample_rows",
    "sharded_neighbors",
    "sobol_gaussian",
    "solve_positive_definite",
    "student_noise",
    "wide_gaussian",
]
