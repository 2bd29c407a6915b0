"""Lasting names of functions and classes: their names in hashes and JSON, wherever they live.

A part of lcjax is `lcjax:NAME`, from the table below. A function of a library has its public name, such as `optax:adam`
or `jax.nn:relu`. Anything else is the user's: `user:QUALNAME@SHA256`, with the hash of its code. Moving or renaming a
part of lcjax changes the module or attribute in the table, never a name.
"""

import importlib
import inspect
import reprlib
import sys
from collections.abc import Callable
from typing import TypeAlias

from lcjax.user_code import hash_user_code

__all__ = ["Named", "find", "lasting_name", "name_of"]

Named: TypeAlias = Callable[..., object]  # a function or class

_NAMES_AT = {  # module: its public names, as NAME, or as NAME=ATTRIBUTE where the two differ
    "lcjax.studies.ranking.rank": "rank",
    "lcjax.kernels.least_squares": "least_squares",
    "lcjax.records": "from_dict record to_dict",
    "lcjax.training.evaluation": "evaluate features",
    "lcjax.studies.prediction.caveats": "caveats",
    "lcjax.curves.answer.size_for_error": "SizeForError",
    "lcjax.complexity.capacity": "linear_class rademacher_complexity ridge_regression uniform_stability "
    "vc_bound=vc_bounds",
    "lcjax.complexity.expressivity": "MemorizingNetwork memorizing_network",
    "lcjax.complexity.filters": "gabor_features random_filter_gram random_filters",
    "lcjax.complexity.interpolation": "gaussian_kernel gram_interpolation kernel_interpolation linear_kernel "
    "polynomial_kernel",
    "lcjax.complexity.minimum_norm": "gradient_descent minimum_norm",
    "lcjax.complexity.corruption": "corrupt_labels gaussian_pixels random_pixels shuffle_pixels",
    "lcjax.complexity.report": "ComplexityReport complexity_report",
    "lcjax.complexity.vc_bound": "bound_steps theorem_one vc_dimension_bound",
    "lcjax.complexity.weight_measures": "margins path_norm sharpness weight_norms",
    "lcjax.compression.fixed_point": "downwards half_up nearest_even saturate stochastic towards_zero wrap",
    "lcjax.compression.pruning": "Pruned prune",
    "lcjax.compression.pruning_curve": "PruneCurve prune_curve",
    "lcjax.compression.quantization": "Quantized quantize straight_through",
    "lcjax.compression.quantization_curve": "QuantizeCurve quantize_curve",
    "lcjax.compression.selection": "everything under_head",
    "lcjax.curves.comparison.compare": "compare_curves",
    "lcjax.curves.fit.curve_fit": "CurveFit",
    "lcjax.curves.fit.exponent_prior": "ExponentPrior",
    "lcjax.curves.fit.fit_curve": "fit_curve",
    "lcjax.curves.forecast.diagnosis": "diagnose",
    "lcjax.curves.forecast.families": "double_descent flat_curve one_break power_law_with_floor "
    "power_law_with_pretraining sigmoid stretched_exponential two_falls",
    "lcjax.curves.forecast.forecast": "Forecast forecast",
    "lcjax.curves.forecast.runs": "RunForecast forecast_runs turn",
    "lcjax.curves.forms": "broken_power_law exponential inverse_logarithm janoschek last_value linear logarithm m3 m4 "
    "mmf power_law power_law_offset shifted_power_law twice_broken_power_law vapor_pressure weibull",
    "lcjax.curves.envelope": "envelope_draws lower_envelope",
    "lcjax.curves.learning_curve": "LearningCurve curve_from_replicates",
    "lcjax.curves.model_size": "fit_model_size",
    "lcjax.curves.fit.residual_losses": "absolute huber relative",
    "lcjax.curves.ranking": "rank_by_exponent",
    "lcjax.curves.regions": "Regions find_regions",
    "lcjax.planning.collection_plan": "CollectionPlan",
    "lcjax.planning.plan_collection": "plan_collection",
    "lcjax.planning.sources": "SourceChoice choose_source",
    "lcjax.scaling.fit": "fit_two_way=fit_scaling_law ScalingFit",
    "lcjax.scaling.allocation.allocation": "Allocation",
    "lcjax.scaling.allocation.approaches": "Approaches compare_approaches",
    "lcjax.scaling.allocation.bias": "ParabolaBias parabola_bias",
    "lcjax.scaling.allocation.envelope": "Envelope fit_envelope",
    "lcjax.scaling.allocation.frontier": "Frontier",
    "lcjax.scaling.allocation.isoflop": "IsoFlops fit_isoflops",
    "lcjax.scaling.allocation.minimum": "optimal_params",
    "lcjax.scaling.allocation.optimum": "allocate",
    "lcjax.scaling.identifiability": "Identifiability Reason",
    "lcjax.scaling.law": "ScalingLaw=Law ScalingParameter=Parameter",
    "lcjax.scaling.readers": "RunTable read_runs",
    "lcjax.scaling.residuals": "AsymmetricLoss=Asymmetric GaussianLoss=Gaussian HuberLoss=Huber StudentLoss=Student",
    "lcjax.data.arrays": "data_from_arrays",
    "lcjax.curves.readers.csv": "CurveTable read_curves",
    "lcjax.data.examples": "Data Examples",
    "lcjax.data.sequences.sources": "load_sequences",
    "lcjax.data.sequences.task": "SequenceTask examples_for",
    "lcjax.data.shards": "independent_orders independent_shards nested_shards",
    "lcjax.data.sources": "load_data",
    "lcjax.data.streamed": "Streamed",
    "lcjax.data.subsets": "random_order rotated_order stratified_order",
    "lcjax.data.sequences.vocabulary": "Vocabulary",
    "lcjax.kernels.enclosing_ball": "enclosing_sphere",
    "lcjax.kernels.integration": "capped_mean cube expectation gaussian wide_gaussian",
    "lcjax.kernels.neighbors.dispatch": "nearest_neighbors",
    "lcjax.kernels.neighbors.distance": "Neighbors",
    "lcjax.kernels.neighbors.sharded": "sharded_neighbors",
    "lcjax.kernels.sobol": "sobol",
    "lcjax.models.classifier": "Classifier",
    "lcjax.models.vision.alexnet": "AlexNet SmallAlexNet",
    "lcjax.models.vision.densenet": "DenseNet",
    "lcjax.models.vision.driving": "DrivingNet",
    "lcjax.models.vision.inception": "InceptionV3 SmallInception",
    "lcjax.models.sequence.language": "CharacterLanguageModel Head LanguageModel WordLanguageModel",
    "lcjax.models.layers.bottleneck": "Bottleneck Bottlenecked",
    "lcjax.models.layers.convolution": "Conv",
    "lcjax.models.losses": "cross_entropy largest_hinge mean_squared_error multiclass_hinge vc_penalty",
    "lcjax.models.layers.pooling": "max_pool mean_pool",
    "lcjax.models.preactivations": "apply_with_preactivations",
    "lcjax.models.vision.quicknet": "QuickNet",
    "lcjax.models.layers.recurrent": "Bidirectional GRU LSTM RHN Recurrent",
    "lcjax.models.vision.resnet": "ResNet resnet",
    "lcjax.models.sequence_losses": "character_mistakes ctc ctc_feasible edit_distance token_cross_entropy "
    "token_mistakes tokens_of",
    "lcjax.models.sequence.speech": "AttentionSpeech DeepSpeech",
    "lcjax.models.sequence.translation": "Decoder Translation",
    "lcjax.models.vision.vgg": "VGG",
    "lcjax.models.vision.lenet": "LeNet",
    "lcjax.models.vision.mlp": "MLP",
    "lcjax.studies.compression.compress": "Compression compress",
    "lcjax.studies.collection.collect": "collect",
    "lcjax.studies.collection.measurements": "Measurements",
    "lcjax.studies.fitting.fitted_curves": "FittedCurves fit_learning_curves",
    "lcjax.studies.fitting.parts": "PartRanking rank_parts",
    "lcjax.curves.pooling": "Pooling pool_forecasts",
    "lcjax.studies.ranking.scales": "Extent Scale",
    "lcjax.studies.interpolation": "Features",
    "lcjax.studies.measurement": "Measurement measure_learning_curve",
    "lcjax.studies.randomization.complexity": "Replacing=_Replacing",
    "lcjax.studies.prediction.predict": "predict_learning_curve",
    "lcjax.studies.prediction.record": "Prediction",
    "lcjax.studies.randomization.randomize": "RandomizationTests randomization_tests",
    "lcjax.studies.randomization.cases": "Case Randomization",
    "lcjax.studies.recipes": "Recipe driving_recipe image_recipe lenet_recipe mlp_recipe quicknet_recipe",
    "lcjax.studies.compression.losses": "Grid",
    "lcjax.studies.compression.recipes": "Convolutional=ConvolutionalRecipe FullyConnected=FullyConnectedRecipe",
    "lcjax.studies.simulation": "Simulation simulate_learning_curve",
    "lcjax.studies.ranking.task": "Task=RankedTask",
    "lcjax.studies.randomization.nets": "Net WithDropout",
    "lcjax.studies.randomization.recipe": "Protocol=RandomizationRecipe",
    "lcjax.theory.gaussian": "Gaussian fit_gaussian",
    "lcjax.theory.pca": "fit_pca",
    "lcjax.theory.dimension": "effective_dimension levina_bickel nearest_neighbor_accuracy spectral_dimension two_nn",
    "lcjax.theory.expected_error": "expected_error saturation_size",
    "lcjax.theory.binomial_law": "binomial",
    "lcjax.theory.laws": "hypercube poisson",
    "lcjax.theory.radius_fit": "RadiusFit fit_radius",
    "lcjax.theory.monte_carlo": "expected_error_from_density expected_error_qmc",
    "lcjax.theory.simulation": "simulate_error",
    "lcjax.theory.from_distances": "error_from_distances",
    "lcjax.typing": "Progress",
    "lcjax.models.adapters": "EquinoxModel FunctionModel NnxModel",
    "lcjax.training.augmentation": "Brightness Composed Contrast Crop Lighting Saturation flip",
    "lcjax.training.sweep": "sweep",
    "lcjax.training.optimizers": "InverseDecay StepDecay constant cosine momentum nesterov",
    "lcjax.training.concurrency": "Execution",
    "lcjax.training.program": "Budget Program",
    "lcjax.training.result": "SweepResult",
    "lcjax.training.runs": "Runs",
    "lcjax.training.sampling": "consecutive epochs with_replacement",
    "lcjax.training.scoring": "Scoring ScoringByError",
}
_ENTRIES = [(module, *entry.partition("=")[::2]) for module, entries in _NAMES_AT.items() for entry in entries.split()]
_HOME_OF = {name: (module, attribute or name) for module, name, attribute in _ENTRIES}
_NAME_AT = {home: name for name, home in _HOME_OF.items()}
_LIBRARIES = (
    "optax", "optax.contrib", "jax.numpy", "jax.nn", "jax.nn.initializers", "jax.lax", "jax", "numpy", "flax.linen"
)  # fmt: skip
_REDUCTIONS = ["all", "any", "clip", "max", "mean", "median", "min", "prod", "quantile", "std", "sum", "var", "where"]
_shorten = reprlib.repr


def name_of(value: Named) -> str:
    """Return the name of a function or class for JSON.

    Raises:
        ValueError: `value` is a part of lcjax that the table lacks.

    Examples:
        >>> import lcjax, optax
        >>> name_of(lcjax.models.MLP), name_of(optax.adam)
        ('lcjax:MLP', 'optax:adam')
    """
    try:
        return lasting_name(value)
    except ValueError:
        if _is_at(value, value.__module__, value.__qualname__) and value.__module__.startswith("lcjax."):
            raise
        return f"user:{value.__qualname__}"


def lasting_name(value: Named) -> str:
    """Return the name of a function or class that is the same in every process, for hashes.

    For a user's own function or class, its source enters, and that of what it refers to (`lcjax.user_code`).

    Raises:
        ValueError: `value` is a lambda, local or a bound method, has no source, or is part of lcjax but not listed.

    Examples:
        >>> import jax
        >>> lasting_name(jax.nn.relu)
        'jax.nn:relu'
    """
    module, qualname = value.__module__ or "", value.__qualname__
    if _is_at(value, *_HOME_OF.get(_NAME_AT.get((module, qualname), ""), ("", ""))):
        return f"lcjax:{_NAME_AT[module, qualname]}"
    for library in _LIBRARIES:
        if _is_at(value, library, value.__name__):
            return f"{library}:{value.__name__}"
    if "<" in qualname or inspect.ismethod(value):
        raise ValueError(f"{module}:{qualname} is no lasting name: define it at module level, as a function or class.")
    if module.startswith("lcjax.") and _is_at(value, module, qualname):
        raise ValueError(f"{module}:{qualname} has no lasting name: enter it in lcjax/identities.py.")
    try:
        code = hash_user_code(value)
    except (OSError, TypeError):
        raise ValueError(
            f"{module}:{qualname} is no lasting name: its source is not available; define it in a file."
        ) from None
    return f"user:{qualname}@{code}"


def find(name: str) -> Named:
    """Return the function or class with a permanent name, importing only the module that the table gives for it.

    Raises:
        ValueError: the name is unknown, or that of a user's function or class, which is never looked up.

    Examples:
        >>> find("lcjax:hypercube").__module__
        'lcjax.theory.laws'
    """
    library, _, public = name.partition(":")
    if library == "user":
        raise ValueError(
            f"{_shorten(name)} is code of a user, which cannot be restored from its name. Pass the function or class "
            "itself."
        )
    if library == "lcjax" and public in _HOME_OF:
        module, attribute = _HOME_OF[public]
        home: Named = getattr(importlib.import_module(module), attribute)
        return home
    if library in _LIBRARIES and public.isidentifier() and not public.startswith("_"):
        value: Named | None = getattr(importlib.import_module(library), public, None)
        if callable(value) and _is_pure(library, public, value):
            return value
    raise ValueError(
        f"There is no function or class {_shorten(name)}: names are lcjax:NAME, or an optimizer, activation, "
        "initializer, layer or array function of a library, as in optax:adam."
    )


def _is_pure(library: str, public: str, value: Named) -> bool:
    """Return True for what models and optimizers are made of, False for what touches files or global settings."""
    if library in ("numpy", "jax.numpy"):
        import numpy

        return isinstance(getattr(numpy, public, None), numpy.ufunc) or public in _REDUCTIONS
    if library == "flax.linen":
        import flax.linen

        return isinstance(value, type) and issubclass(value, flax.linen.Module)
    home = str(getattr(getattr(value, "func", value), "__module__", ""))  # of a partial, its function's
    return library != "jax" and home.partition(".")[0] == library.partition(".")[0]


def _is_at(value: Named, module: str, attribute: str) -> bool:
    """Return True if an imported module has `value` under this name."""
    return module in sys.modules and vars(sys.modules[module]).get(attribute) is value
