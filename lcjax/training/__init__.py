"""The one training loop: tables of runs, trained side by side."""

from lcjax.training.optimizers import InverseDecay, StepDecay, adam, constant, cosine, momentum, nesterov, sgd
from lcjax.training.runs import Budget, Program, Progress, Runs, SweepResult, steps_of
from lcjax.training.sampling import consecutive, epochs, with_replacement
from lcjax.training.scoring import Scoring, ScoringByError

__all__ = [
    "Budget",
    "InverseDecay",
    "Program",
    "Progress",
    "Runs",
    "Scoring",
    "ScoringByError",
    "StepDecay",
    "SweepResult",
    "adam",
    "consecutive",
    "constant",
    "cosine",
    "epochs",
    "momentum",
    "nesterov",
    "sgd",
    "steps_of",
    "with_replacement",
]
