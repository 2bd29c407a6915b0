from .fixed_point import downwards as downwards
from .fixed_point import half_up as half_up
from .fixed_point import nearest_even as nearest_even
from .fixed_point import saturate as saturate
from .fixed_point import stochastic as stochastic
from .fixed_point import towards_zero as towards_zero
from .fixed_point import wrap as wrap
from .pruning import Pruned as Pruned
from .pruning import PruningReport as PruningReport
from .pruning import mask_params as mask_params
from .pruning import prune as prune
from .pruning_curve import PruneCurve as PruneCurve
from .pruning_curve import prune_curve as prune_curve
from .quantization import QuantizationReport as QuantizationReport
from .quantization import Quantized as Quantized
from .quantization import margin as margin
from .quantization import quantize as quantize
from .quantization import straight_through as straight_through
from .quantization import widest_fraction_bits as widest_fraction_bits
from .quantization_curve import QuantizeCurve as QuantizeCurve
from .quantization_curve import quantize_curve as quantize_curve
from .selection import everything as everything
from .selection import under_head as under_head
from .storage import compression_ratio as compression_ratio
from .storage import live_neurons as live_neurons
from .storage import stored_bits as stored_bits

__all__ = [
    "PruneCurve",
    "Pruned",
    "PruningReport",
    "QuantizationReport",
    "QuantizeCurve",
    "Quantized",
    "compression_ratio",
    "downwards",
    "everything",
    "half_up",
    "live_neurons",
    "margin",
    "mask_params",
    "nearest_even",
    "prune",
    "prune_curve",
    "quantize",
    "quantize_curve",
    "saturate",
    "stochastic",
    "stored_bits",
    "straight_through",
    "towards_zero",
    "under_head",
    "widest_fraction_bits",
    "wrap",
]
