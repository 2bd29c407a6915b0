from .compression.compress import Compression as Compression
from .compression.compress import compress as compress
from .compression.losses import Grid as Grid
from .compression.recipes import ConvolutionalRecipe as ConvolutionalRecipe
from .compression.recipes import FullyConnectedRecipe as FullyConnectedRecipe
from .descent import Solutions as Solutions
from .descent import descend_on_pixels as descend_on_pixels
from .dimension import DimensionTable as DimensionTable
from .dimension import measure_dimensions as measure_dimensions
from .fitting import FittedCurves as FittedCurves
from .fitting import fit_learning_curves as fit_learning_curves
from .interpolation import Features as Features
from .interpolation import Interpolations as Interpolations
from .interpolation import interpolate_images as interpolate_images
from .measurement import Measurement as Measurement
from .measurement import measure_learning_curve as measure_learning_curve
from .prediction.caveats import caveats as caveats
from .prediction.caveats import held_out_factor as held_out_factor
from .prediction.predict import predict_learning_curve as predict_learning_curve
from .prediction.record import Method as Method
from .prediction.record import Prediction as Prediction
from .randomization.cases import condition_cases as condition_cases
from .randomization.cases import regularizer_cases as regularizer_cases
from .randomization.cases import width_cases as width_cases
from .randomization.nets import NETS as NETS
from .randomization.randomize import RandomizationTests as RandomizationTests
from .randomization.randomize import randomization_tests as randomization_tests
from .randomization.recipe import RandomizationRecipe as RandomizationRecipe
from .ranking.rank import Hierarchy as Hierarchy
from .ranking.rank import rank as rank
from .ranking.task import RankedTask as RankedTask
from .recipes import RECIPES as RECIPES
from .recipes import Recipe as Recipe
from .recipes import driving_recipe as driving_recipe
from .recipes import image_recipe as image_recipe
from .recipes import lenet_recipe as lenet_recipe
from .recipes import mlp_recipe as mlp_recipe
from .recipes import quicknet_recipe as quicknet_recipe
from .simulation import Simulation as Simulation
from .simulation import simulate_learning_curve as simulate_learning_curve

__all__ = [
    "NETS",
    "RECIPES",
    "Compression",
    "ConvolutionalRecipe",
    "DimensionTable",
    "Features",
    "FittedCurves",
    "FullyConnectedRecipe",
    "Grid",
    "Hierarchy",
    "Interpolations",
    "Measurement",
    "Method",
    "Prediction",
    "RandomizationRecipe",
    "RandomizationTests",
    "RankedTask",
    "Recipe",
    "Simulation",
    "Solutions",
    "caveats",
    "compress",
    "condition_cases",
    "descend_on_pixels",
    "driving_recipe",
    "fit_learning_curves",
    "held_out_factor",
    "image_recipe",
    "interpolate_images",
    "lenet_recipe",
    "measure_dimensions",
    "measure_learning_curve",
    "mlp_recipe",
    "predict_learning_curve",
    "quicknet_recipe",
    "randomization_tests",
    "rank",
    "regularizer_cases",
    "simulate_learning_curve",
    "width_cases",
]
