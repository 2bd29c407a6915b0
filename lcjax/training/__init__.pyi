from .concurrency import Execution as Execution
from .evaluation import evaluate as evaluate
from .evaluation import features as features
from .optimizers import InverseDecay as InverseDecay
from .optimizers import StepDecay as StepDecay
from .optimizers import constant as constant
from .optimizers import cosine as cosine
from .optimizers import momentum as momentum
from .optimizers import nesterov as nesterov
from .program import Budget as Budget
from .program import Program as Program
from .program import steps_of as steps_of
from .result import SweepResult as SweepResult
from .runs import Runs as Runs
from .sampling import consecutive as consecutive
from .sampling import epochs as epochs
from .sampling import with_replacement as with_replacement
from .scoring import Scoring as Scoring
from .scoring import ScoringByError as ScoringByError

__all__ = [
    "Budget",
    "Execution",
    "InverseDecay",
    "Program",
    "Runs",
    "Scoring",
    "ScoringByError",
    "StepDecay",
    "SweepResult",
    "consecutive",
    "constant",
    "cosine",
    "epochs",
    "evaluate",
    "features",
    "momentum",
    "nesterov",
    "steps_of",
    "with_replacement",
]
