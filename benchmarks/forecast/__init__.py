"""Comparison of forecasts of learning curves by held-out measurements; run `python -m benchmarks.forecast`."""

from benchmarks.forecast.cases import Cases, make_cases
from benchmarks.forecast.comparison import clustered_mean, compare, coverage, groups, paired, summarize
from benchmarks.forecast.methods import METHODS, FormFit, LastValue, Mixture, PosteriorForecast, find_method
from benchmarks.forecast.predictive import Method, Predictive, StudentMixture
from benchmarks.forecast.scoring import Scores, score
from benchmarks.forecast.sources import read_cases

__all__ = [
    "METHODS",
    "Cases",
    "FormFit",
    "LastValue",
    "Method",
    "Mixture",
    "PosteriorForecast",
    "Predictive",
    "Scores",
    "StudentMixture",
    "clustered_mean",
    "compare",
    "coverage",
    "find_method",
    "groups",
    "make_cases",
    "paired",
    "read_cases",
    "score",
    "summarize",
]
