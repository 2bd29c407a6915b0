from . import complexity as complexity
from . import compression as compression
from . import curves as curves
from . import data as data
from . import kernels as kernels
from . import models as models
from . import papers as papers
from . import scaling as scaling
from . import studies as studies
from . import theory as theory
from . import training as training
from .complexity.expressivity import memorizing_network as memorizing_network
from .complexity.interpolation import kernel_interpolation as kernel_interpolation
from .complexity.minimum_norm import minimum_norm as minimum_norm
from .complexity.report import complexity_report as complexity_report
from .compression.pruning import prune as prune
from .compression.pruning_curve import prune_curve as prune_curve
from .compression.quantization import quantize as quantize
from .compression.quantization_curve import quantize_curve as quantize_curve
from .curves import forms as forms
from .curves.envelope import lower_envelope as lower_envelope
from .curves.fit.curve_fit import CurveFit as CurveFit
from .curves.fit.fit_curve import fit_curve as fit_curve
from .curves.forecast.forecast import Forecast as Forecast
from .curves.forecast.forecast import forecast as forecast
from .curves.learning_curve import LearningCurve as LearningCurve
from .curves.ranking import rank_by_exponent as rank_by_exponent
from .curves.readers.csv import read_curves as read_curves
from .curves.regions import find_regions as find_regions
from .curves.size_for_error import SizeForError as SizeForError
from .data.arrays import data_from_arrays as data_from_arrays
from .data.examples import Data as Data
from .data.examples import Examples as Examples
from .data.sources import load_data as load_data
from .kernels.integration import expectation as expectation
from .kernels.least_squares import least_squares as least_squares
from .kernels.neighbors import nearest_neighbors as nearest_neighbors
from .kernels.sobol import sobol as sobol
from .models.losses import cross_entropy as cross_entropy
from .models.losses import vc_penalty as vc_penalty
from .models.preactivations import apply_with_preactivations as apply_with_preactivations
from .records import from_dict as from_dict
from .records import record as record
from .records import to_dict as to_dict
from .scaling.fit import ScalingFit as ScalingFit
from .scaling.fit import fit_scaling_law as fit_scaling_law
from .studies.compression.compress import compress as compress
from .studies.measurement import measure_learning_curve as measure_learning_curve
from .studies.prediction.caveats import caveats as caveats
from .studies.prediction.predict import predict_learning_curve as predict_learning_curve
from .studies.prediction.record import Prediction as Prediction
from .studies.randomization.randomize import randomization_tests as randomization_tests
from .studies.ranking.rank import rank as rank
from .studies.recipes import Recipe as Recipe
from .studies.simulation import simulate_learning_curve as simulate_learning_curve
from .theory import laws as laws
from .theory.dimension import effective_dimension as effective_dimension
from .theory.expected_error import expected_error as expected_error
from .theory.from_distances import error_from_distances as error_from_distances
from .theory.gaussian import Gaussian as Gaussian
from .theory.gaussian import fit_gaussian as fit_gaussian
from .theory.radius_fit import fit_radius as fit_radius
from .theory.simulation import simulate_error as simulate_error
from .training.evaluation import evaluate as evaluate
from .training.evaluation import features as features
from .training.program import Budget as Budget
from .training.program import Program as Program
from .training.result import SweepResult as SweepResult
from .training.runs import Runs as Runs
from .training.sweep import sweep as sweep

__version__: str
__all__ = [
    "Budget",
    "CurveFit",
    "Data",
    "Examples",
    "Forecast",
    "Gaussian",
    "LearningCurve",
    "Prediction",
    "Program",
    "Recipe",
    "Runs",
    "ScalingFit",
    "SizeForError",
    "SweepResult",
    "apply_with_preactivations",
    "caveats",
    "complexity",
    "complexity_report",
    "compress",
    "compression",
    "cross_entropy",
    "curves",
    "data",
    "data_from_arrays",
    "effective_dimension",
    "error_from_distances",
    "evaluate",
    "expectation",
    "expected_error",
    "features",
    "find_regions",
    "fit_curve",
    "fit_gaussian",
    "fit_radius",
    "fit_scaling_law",
    "forecast",
    "forms",
    "from_dict",
    "kernel_interpolation",
    "kernels",
    "laws",
    "least_squares",
    "load_data",
    "lower_envelope",
    "measure_learning_curve",
    "memorizing_network",
    "minimum_norm",
    "models",
    "nearest_neighbors",
    "papers",
    "predict_learning_curve",
    "prune",
    "prune_curve",
    "quantize",
    "quantize_curve",
    "randomization_tests",
    "rank",
    "rank_by_exponent",
    "read_curves",
    "record",
    "scaling",
    "simulate_error",
    "simulate_learning_curve",
    "sobol",
    "studies",
    "sweep",
    "theory",
    "to_dict",
    "training",
    "vc_penalty",
]
