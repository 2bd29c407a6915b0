"""Learning curves in JAX: how test error falls with training data, why, and how many examples reach a target.

The public names are resolved on first use, so that importing one kernel pulls in JAX and nothing else.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "lcjax.complexity.capacity": (
        "linear_class",
        "rademacher_complexity",
        "ridge_regression",
        "uniform_stability",
        "vc_bound",
    ),
    "lcjax.complexity.expressivity": ("MemorizingNetwork", "memorizing_network"),
    "lcjax.complexity.filters": ("gabor_features", "random_filter_gram", "random_filters"),
    "lcjax.complexity.interpolation": (
        "gaussian_kernel",
        "gram_interpolation",
        "kernel_interpolation",
        "linear_kernel",
        "polynomial_kernel",
    ),
    "lcjax.complexity.minimum_norm": ("gradient_descent", "minimum_norm"),
    "lcjax.complexity.corruption": ("corrupt_labels", "gaussian_pixels", "random_pixels", "shuffle_pixels"),
    "lcjax.complexity.report": ("ComplexityReport", "complexity_report"),
    "lcjax.complexity.weight_measures": ("margins", "path_norm", "sharpness", "weight_norms"),
    "lcjax.complexity.vc_bound": ("bound_steps", "enclosing_sphere", "theorem_one", "vc_dimension_bound"),
    "lcjax.compression.pruning": ("PruneCurve", "Pruned", "prune", "prune_curve"),
    "lcjax.compression.quantization": ("QuantizeCurve", "Quantized", "quantize", "quantize_curve", "straight_through"),
    "lcjax.curves.fit.curve_fit": ("CurveFit",),
    "lcjax.curves.fit.exponent_prior": ("ExponentPrior",),
    "lcjax.curves.fit.fit_curve": ("fit_curve",),
    "lcjax.curves.forecast.forecast": ("Forecast", "forecast"),
    "lcjax.curves.forms": (
        "FORMS",
        "broken_power_law",
        "exponential",
        "inverse_logarithm",
        "janoschek",
        "last_value",
        "linear",
        "logarithm",
        "m3",
        "m4",
        "mmf",
        "power_law",
        "power_law_offset",
        "shifted_power_law",
        "twice_broken_power_law",
        "vapor_pressure",
        "weibull",
    ),
    "lcjax.curves.learning_curve": ("LearningCurve", "curve_from_replicates", "envelope_draws", "lower_envelope"),
    "lcjax.curves.ranking": ("fit_model_size", "rank_tasks"),
    "lcjax.curves.regions": ("Regions", "find_regions"),
    "lcjax.scaling.fit": ("fit_two_way",),
    "lcjax.curves.readers.csv": ("CurveTable", "read_curves"),
    "lcjax.data.arrays": ("data_from_arrays",),
    "lcjax.data.examples": ("Data", "Examples"),
    "lcjax.data.sequences.sources": ("load_sequences",),
    "lcjax.data.sequences.task": ("SequenceTask", "examples_for"),
    "lcjax.data.shards": ("independent_orders", "independent_shards", "nested_shards"),
    "lcjax.data.sources": ("load_data",),
    "lcjax.data.subsets": ("stratified_order",),
    "lcjax.data.sequences.vocabulary": ("Vocabulary",),
    "lcjax.kernels.integration": ("capped_mean", "expectation"),
    "lcjax.kernels.neighbors": ("Neighbors", "nearest_neighbors", "sharded_neighbors"),
    "lcjax.kernels.sobol": ("sobol",),
    "lcjax.models.losses": (
        "cross_entropy",
        "largest_hinge",
        "mean_squared_error",
        "multiclass_hinge",
        "vc_penalty",
    ),
    "lcjax.models.preactivations": ("apply_with_preactivations",),
    "lcjax.models.layers.convolution": ("Bottleneck", "Bottlenecked"),
    "lcjax.models.vision.mlp": ("LeNet", "MLP"),
    "lcjax.models.vision.alexnet": ("AlexNet", "SmallAlexNet"),
    "lcjax.models.vision.densenet": ("DenseNet",),
    "lcjax.models.vision.driving": ("DrivingNet",),
    "lcjax.models.vision.inception": ("InceptionV3", "SmallInception"),
    "lcjax.models.sequence.language": ("CharacterLanguageModel", "LanguageModel", "WordLanguageModel"),
    "lcjax.models.vision.quicknet": ("QuickNet",),
    "lcjax.models.layers.recurrent": ("Bidirectional", "GRU", "LSTM", "RHN"),
    "lcjax.models.vision.resnet": ("ResNet", "resnet"),
    "lcjax.models.sequence_losses": (
        "character_mistakes",
        "ctc",
        "ctc_feasible",
        "edit_distance",
        "token_cross_entropy",
        "token_mistakes",
        "tokens_of",
    ),
    "lcjax.models.sequence.speech": ("AttentionSpeech", "DeepSpeech"),
    "lcjax.models.sequence.translation": ("Translation",),
    "lcjax.models.vision.vgg": ("VGG", "VGG11", "VGG16", "VGG19"),
    "lcjax.studies.measurement": ("Measurement", "measure_learning_curve"),
    "lcjax.studies.fitting": ("FittedCurves", "fit_learning_curves"),
    "lcjax.studies.prediction.record": ("Prediction",),
    "lcjax.studies.compression.compress": ("Compression", "compress_nets"),
    "lcjax.studies.prediction.predict": ("predict_learning_curve",),
    "lcjax.studies.randomization.randomize": ("RandomizationTests", "randomization_tests"),
    "lcjax.studies.simulation": ("Simulation", "simulate_learning_curve"),
    "lcjax.theory.gaussian": ("Gaussian", "fit_gaussian", "fit_pca"),
    "lcjax.theory.dimension": (
        "effective_dimension",
        "levina_bickel",
        "nearest_neighbor_accuracy",
        "spectral_dimension",
        "two_nn",
    ),
    "lcjax.theory.expected_error": ("expected_error", "saturation_size"),
    "lcjax.theory.monte_carlo": ("expected_error_from_density", "expected_error_qmc"),
    "lcjax.theory.binomial_law": ("binomial",),
    "lcjax.theory.laws": ("hypercube", "poisson"),
    "lcjax.theory.radius_fit": ("RadiusFit", "fit_radius", "size_for_error"),
    "lcjax.theory.simulation": ("simulate_error",),
    "lcjax.theory.from_distances": ("error_from_distances",),
    "lcjax.training.sweep": ("sweep",),
    "lcjax.training.runs": ("Program", "Runs", "SweepResult"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lcjax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
