from . import forms as forms
from .envelope import LowerEnvelope as LowerEnvelope
from .envelope import envelope_draws as envelope_draws
from .envelope import lower_envelope as lower_envelope
from .fit.curve_fit import CurveFit as CurveFit
from .fit.curve_fit import FitFlags as FitFlags
from .fit.exponent_prior import ExponentPrior as ExponentPrior
from .fit.fit_curve import fit_curve as fit_curve
from .fit.residual_losses import absolute as absolute
from .fit.residual_losses import huber as huber
from .fit.residual_losses import relative as relative
from .forecast.forecast import Forecast as Forecast
from .forecast.next_size import NextSize as NextSize
from .forms import FORMS as FORMS
from .forms import Form as Form
from .forms import broken_power_law as broken_power_law
from .forms import exponential as exponential
from .forms import inverse_logarithm as inverse_logarithm
from .forms import janoschek as janoschek
from .forms import last_value as last_value
from .forms import linear as linear
from .forms import logarithm as logarithm
from .forms import m3 as m3
from .forms import m4 as m4
from .forms import mmf as mmf
from .forms import power_law as power_law
from .forms import power_law_offset as power_law_offset
from .forms import shifted_power_law as shifted_power_law
from .forms import twice_broken_power_law as twice_broken_power_law
from .forms import vapor_pressure as vapor_pressure
from .forms import weibull as weibull
from .learning_curve import LearningCurve as LearningCurve
from .learning_curve import curve_from_replicates as curve_from_replicates
from .model_size import ModelSizeLaw as ModelSizeLaw
from .model_size import fit_model_size as fit_model_size
from .ranking import Ranking as Ranking
from .ranking import rank_by_exponent as rank_by_exponent
from .readers.csv import CurveTable as CurveTable
from .readers.csv import read_curves as read_curves
from .regions import Regions as Regions
from .regions import find_regions as find_regions
from .size_for_error import SizeForError as SizeForError
from .standard_errors import bootstrap_error as bootstrap_error
from .standard_errors import curve_from_mistakes as curve_from_mistakes
from .standard_errors import mean_and_standard_error as mean_and_standard_error

__all__ = [
    "FORMS",
    "CurveFit",
    "CurveTable",
    "ExponentPrior",
    "FitFlags",
    "Forecast",
    "Form",
    "LearningCurve",
    "LowerEnvelope",
    "ModelSizeLaw",
    "NextSize",
    "Ranking",
    "Regions",
    "SizeForError",
    "absolute",
    "bootstrap_error",
    "broken_power_law",
    "curve_from_mistakes",
    "curve_from_replicates",
    "envelope_draws",
    "exponential",
    "find_regions",
    "fit_curve",
    "fit_model_size",
    "forms",
    "huber",
    "inverse_logarithm",
    "janoschek",
    "last_value",
    "linear",
    "logarithm",
    "lower_envelope",
    "m3",
    "m4",
    "mean_and_standard_error",
    "mmf",
    "power_law",
    "power_law_offset",
    "rank_by_exponent",
    "read_curves",
    "relative",
    "shifted_power_law",
    "twice_broken_power_law",
    "vapor_pressure",
    "weibull",
]
