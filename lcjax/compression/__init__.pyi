from .pruning import PruneCurve as PruneCurve
from .pruning import Pruned as Pruned
from .pruning import prune as prune
from .pruning import prune_curve as prune_curve
from .quantization import QuantizeCurve as QuantizeCurve
from .quantization import Quantized as Quantized
from .quantization import quantize as quantize
from .quantization import quantize_curve as quantize_curve
from .quantization import straight_through as straight_through

__all__ = [
    "PruneCurve",
    "Pruned",
    "QuantizeCurve",
    "Quantized",
    "prune",
    "prune_curve",
    "quantize",
    "quantize_curve",
    "straight_through",
]
