from .compression.compress import Compression as Compression
from .compression.compress import compress_nets as compress_nets
from .fitting import FittedCurves as FittedCurves
from .fitting import fit_learning_curves as fit_learning_curves
from .measurement import Measurement as Measurement
from .measurement import measure_learning_curve as measure_learning_curve
from .prediction.caveats import caveats as caveats
from .prediction.predict import predict_learning_curve as predict_learning_curve
from .prediction.record import Prediction as Prediction
from .randomization.randomize import RandomizationTests as RandomizationTests
from .randomization.randomize import randomization_tests as randomization_tests
from .ranking.rank import rank as rank
from .recipes import Recipe as Recipe
from .simulation import Simulation as Simulation
from .simulation import simulate_learning_curve as simulate_learning_curve

__all__ = [
    "Compression",
    "FittedCurves",
    "Measurement",
    "Prediction",
    "RandomizationTests",
    "Recipe",
    "Simulation",
    "caveats",
    "compress_nets",
    "fit_learning_curves",
    "measure_learning_curve",
    "predict_learning_curve",
    "randomization_tests",
    "rank",
    "simulate_learning_curve",
]
