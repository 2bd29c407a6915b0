from .fit import ScalingFit as ScalingFit
from .fit import fit_scaling_law as fit_scaling_law
