from . import forms as forms
from .fit.curve_fit import CurveFit as CurveFit
from .fit.exponent_prior import ExponentPrior as ExponentPrior
from .fit.fit_curve import fit_curve as fit_curve
from .forecast.forecast import Forecast as Forecast
from .forecast.size_for_error import SizeForError as SizeForError
from .forms import FORMS as FORMS
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
from .learning_curve import envelope_draws as envelope_draws
from .learning_curve import lower_envelope as lower_envelope
from .ranking import fit_model_size as fit_model_size
from .ranking import rank_tasks as rank_tasks
from .readers.csv import CurveTable as CurveTable
from .readers.csv import read_curves as read_curves
from .regions import Regions as Regions
from .regions import find_regions as find_regions

__all__ = [
    "FORMS",
    "CurveFit",
    "CurveTable",
    "ExponentPrior",
    "Forecast",
    "LearningCurve",
    "Regions",
    "SizeForError",
    "broken_power_law",
    "curve_from_replicates",
    "envelope_draws",
    "exponential",
    "find_regions",
    "fit_curve",
    "fit_model_size",
    "forms",
    "inverse_logarithm",
    "janoschek",
    "last_value",
    "linear",
    "logarithm",
    "lower_envelope",
    "m3",
    "m4",
    "mmf",
    "power_law",
    "power_law_offset",
    "rank_tasks",
    "read_curves",
    "shifted_power_law",
    "twice_broken_power_law",
    "vapor_pressure",
    "weibull",
]
