from .fit import ScalingFit as ScalingFit
from .fit import fit_scaling_law as fit_scaling_law

__all__ = ["ScalingFit", "fit_scaling_law"]
