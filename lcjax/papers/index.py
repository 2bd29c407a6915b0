"""Index of the papers: equation, table or figure -> functions, command, folder of results."""

from typing import NamedTuple

__all__ = ["INDEX", "Place"]


class Place(NamedTuple):
    """A place of a paper, and where lcjax has it.

    Attributes:
        paper: the paper, as cited.
        place: equation, table, figure or section.
        functions: functions and classes, below `lcjax`.
        command: command that repeats it, with the options that select it.
        results: folders of `docs/results` with its output.
    """

    paper: str
    place: str
    functions: tuple[str, ...]
    command: str = ""
    results: tuple[str, ...] = ()


_BISLA = "Bisla et al. (2021)"
_SHARMA = "Sharma et al. (2019)"
_ZHANG = "Zhang et al. (2017)"
_HESTNESS = "Hestness et al. (2019)"

INDEX = (
    Place(_BISLA, "Eq. (1)", ("theory.binomial_law.binomial", "theory.simulation.simulate_error")),
    Place(_BISLA, "Eq. (3)", ("theory.spacings.gap_statistics", "theory.spacings.expected_gap")),
    Place(_BISLA, "Eq. (4)", ("theory.laws.hypercube", "theory.expected_error.expected_error")),
    Place(_BISLA, "Eq. (5)", ("theory.laws.mean_uniform_norm", "theory.laws.hypercube")),
    Place(_BISLA, "Eq. (6)", ("theory.laws.hypercube",)),
    Place(_BISLA, "Eq. (7)", ("theory.laws.hypercube", "theory.expected_error.expected_error")),
    Place(_BISLA, "Section 3.1", ("models.layers.bottleneck.Bottlenecked", "theory.dimension.effective_dimension")),
    Place(_BISLA, "Figure 1", ("studies.simulation.simulate_learning_curve",), "lcjax simulate", ("simulate",)),
    Place(
        _BISLA,
        "Table 1",
        ("studies.dimension.measure_dimensions",),
        "lcjax dimension --family lenet",
        ("dimension-mnist-lenet",),
    ),
    Place(
        _BISLA,
        "Table 2",
        ("studies.dimension.measure_dimensions",),
        "lcjax dimension --family mlp",
        ("dimension-mnist-mlp",),
    ),
    Place(
        _BISLA,
        "Table 3",
        ("studies.prediction.predict.predict_learning_curve", "theory.radius_fit.fit_radius"),
        "lcjax predict --row",
        ("predict-mnist-lenet-5", "predict-mnist-lenet"),
    ),
    Place(_SHARMA, "Eq. (1)", ("complexity.vc_bound.vc_dimension_bound",)),
    Place(_SHARMA, "Eq. (2) to (15)", ("complexity.vc_bound.bound_steps",)),
    Place(_SHARMA, "Eq. (16)", ("models.losses.vc_penalty",)),
    Place(_SHARMA, "Eq. (17)", ("models.losses.vc_penalty", "models.preactivations.apply_with_preactivations")),
    Place(
        _SHARMA,
        "Eq. (18)",
        (
            "models.losses.multiclass_hinge",
            "models.preactivations.apply_with_preactivations",
            "training.penalties.penalty",
        ),
        "lcjax compress",
    ),
    Place(_SHARMA, "Theorem 1, Eq. (19) to (24)", ("complexity.vc_bound.theorem_one",)),
    Place(
        _SHARMA,
        "Tables 1 to 9",
        ("studies.compression.compress.compress", "compression.pruning.prune", "compression.quantization.quantize"),
        "lcjax compress",
        ("compress-dna", "compress-a9a", "compress-connect-4", "compress-mnist", "compress-w8a", "compress-quicknet"),
    ),
    Place(_ZHANG, "Theorem 1", ("complexity.expressivity.memorizing_network",)),
    Place(
        _ZHANG,
        "Figure 1",
        ("studies.randomization.randomize.randomization_tests", "complexity.corruption.corrupt_labels"),
        "lcjax randomize",
        ("randomize-mnist",),
    ),
    Place(
        _ZHANG,
        "Tables 1 and 2",
        ("studies.randomization.randomize.randomization_tests",),
        "lcjax randomize --experiment regularizers",
        ("randomize-regularizers",),
    ),
    Place(
        _ZHANG,
        "Section 5",
        ("complexity.minimum_norm.minimum_norm", "complexity.interpolation.kernel_interpolation"),
        "lcjax interpolate",
        ("kernel-mnist", "kernel-cifar10"),
    ),
    Place(_HESTNESS, "Section 1", ("curves.regions.find_regions",)),
    Place(_HESTNESS, "Section 2", ("curves.forms.power_law_offset", "curves.model_size.fit_model_size")),
    Place(_HESTNESS, "Section 3", ("studies.measurement.measure_learning_curve", "curves.envelope.lower_envelope")),
    Place(
        _HESTNESS,
        "Tables 2 and 3",
        ("studies.ranking.rank.rank", "curves.ranking.rank_by_exponent"),
        "lcjax rank",
        ("rank-smoke", "rank-reported"),
    ),
)
