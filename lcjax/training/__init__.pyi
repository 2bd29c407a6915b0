from .adapters import from_equinox as from_equinox
from .adapters import from_functions as from_functions
from .adapters import from_nnx as from_nnx
from .evaluation import evaluate as evaluate
from .evaluation import features as features
from .optimizers import InverseDecay as InverseDecay
from .optimizers import StepDecay as StepDecay
from .optimizers import constant as constant
from .optimizers import cosine as cosine
from .optimizers import momentum as momentum
from .optimizers import nesterov as nesterov
from .runs import Budget as Budget
from .runs import Program as Program
from .runs import Progress as Progress
from .runs import Runs as Runs
from .runs import SweepResult as SweepResult
from .runs import steps_of as steps_of
from .sampling import consecutive as consecutive
from .sampling import epochs as epochs
from .sampling import with_replacement as with_replacement
from .scoring import Scoring as Scoring
from .scoring import ScoringByError as ScoringByError

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
    "consecutive",
    "constant",
    "cosine",
    "epochs",
    "evaluate",
    "features",
    "from_equinox",
    "from_functions",
    "from_nnx",
    "momentum",
    "nesterov",
    "steps_of",
    "with_replacement",
]
