from .fit import ScalingFit as ScalingFit
from .fit import fit_scaling_law as fit_scaling_law
from .model_floor import model_floor as model_floor
