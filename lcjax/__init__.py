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
    "lcjax.complexity.randomization": ("corrupt_labels", "gaussian_pixels", "random_pixels", "shuffle_pixels"),
    "lcjax.complexity.report": ("ComplexityReport", "complexity_report"),
    "lcjax.complexity.weight_measures": ("margins", "path_norm", "sharpness", "weight_norms"),
    "lcjax.complexity.vc_bound": ("bound_steps", "enclosing_sphere", "theorem_one", "vc_dimension_bound"),
    "lcjax.compression.pruning": ("PruneCurve", "Pruned", "prune", "prune_curve"),
    "lcjax.compression.quantization": ("QuantizeCurve", "Quantized", "quantize", "quantize_curve", "straight_through"),
    "lcjax.curves.curve_fit": ("CurveFit",),
    "lcjax.curves.exponent_prior": ("ExponentPrior",),
    "lcjax.curves.fitting": ("fit_curve",),
    "lcjax.curves.forecast": ("Forecast", "forecast"),
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
    "lcjax.curves.two_way": ("fit_two_way",),
    "lcjax.data.curves_csv": ("CurveTable", "read_curves"),
    "lcjax.data.arrays": ("data_from_arrays",),
    "lcjax.data.examples": ("Data", "Examples"),
    "lcjax.data.sequence_sources": ("load_sequences",),
    "lcjax.data.sequences": ("SequenceTask", "examples_for"),
    "lcjax.data.shards": ("independent_orders", "independent_shards", "nested_shards"),
    "lcjax.data.sources": ("load_data",),
    "lcjax.data.subsets": ("stratified_order",),
    "lcjax.data.vocabulary": ("Vocabulary",),
    "lcjax.kernels.integration": ("capped_mean", "expectation"),
    "lcjax.kernels.neighbors": ("Neighbors", "nearest_neighbors", "sharded_neighbors"),
    "lcjax.kernels.point_sets": ("sobol",),
    "lcjax.models.objectives": (
        "cross_entropy",
        "largest_hinge",
        "mean_squared_error",
        "multiclass_hinge",
        "vc_penalty",
    ),
    "lcjax.models.preactivations": ("apply_with_preactivations",),
    "lcjax.models.layers": ("Bottleneck", "Bottlenecked"),
    "lcjax.models.vision": ("LeNet", "MLP"),
    "lcjax.models.alexnet": ("AlexNet", "SmallAlexNet"),
    "lcjax.models.densenet": ("DenseNet",),
    "lcjax.models.driving": ("DrivingNet",),
    "lcjax.models.inception": ("InceptionV3", "SmallInception"),
    "lcjax.models.language": ("CharacterLanguageModel", "LanguageModel", "WordLanguageModel"),
    "lcjax.models.quicknet": ("QuickNet",),
    "lcjax.models.recurrent": ("Bidirectional", "GRU", "LSTM", "RHN"),
    "lcjax.models.resnet": ("ResNet", "resnet"),
    "lcjax.models.sequence_objectives": (
        "character_mistakes",
        "ctc",
        "ctc_feasible",
        "edit_distance",
        "token_cross_entropy",
        "token_mistakes",
        "tokens_of",
    ),
    "lcjax.models.speech": ("AttentionSpeech", "DeepSpeech"),
    "lcjax.models.translation": ("Translation",),
    "lcjax.models.vgg": ("VGG", "VGG11", "VGG16", "VGG19"),
    "lcjax.studies.measure": ("Measurement", "measure_learning_curve"),
    "lcjax.studies.fit": ("FittedCurves", "fit_learning_curves"),
    "lcjax.studies.prediction": ("Prediction",),
    "lcjax.studies.compress": ("Compression", "compress_nets"),
    "lcjax.studies.predict": ("predict_learning_curve",),
    "lcjax.studies.randomize": ("RandomizationTests", "randomization_tests"),
    "lcjax.studies.simulate": ("Simulation", "simulate_learning_curve"),
    "lcjax.theory.densities": ("Gaussian", "fit_gaussian", "fit_pca"),
    "lcjax.theory.dimension": (
        "effective_dimension",
        "levina_bickel",
        "nearest_neighbor_accuracy",
        "spectral_dimension",
        "two_nn",
    ),
    "lcjax.theory.expected_error": ("expected_error", "saturation_size"),
    "lcjax.theory.samples": ("expected_error_from_density", "expected_error_qmc"),
    "lcjax.theory.finite_size": ("binomial",),
    "lcjax.theory.neighbor_laws": ("hypercube", "poisson"),
    "lcjax.theory.radius": ("RadiusFit", "fit_radius", "size_for_error"),
    "lcjax.theory.simulation": ("simulate_error",),
    "lcjax.theory.subsampling": ("error_from_distances",),
    "lcjax.training.engine": ("sweep",),
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
