"""Losses of Sharma et al. (2019) by their names in Table 1: loss, penalties, and model switches."""

import dataclasses
from collections.abc import Mapping, Sequence

import flax.linen as nn

from lcjax.models.losses import cross_entropy, multiclass_hinge
from lcjax.studies.compression.recipes import Loss

__all__ = ["Grid", "loss_of", "model_of", "pairs", "settings_of"]

LOSSES: dict[str, Loss] = {"H": multiclass_hinge, "S": cross_entropy}  # S is not in Table 1; ours: softmax
PENALTIES = {"W": "l2", "W2": "l2", "W1": "l1", "LCA": "vc", "LCL": "vc/head"}
SWITCHES = {"BN": "batch_norm", "D": "dropout"}  # attributes of the model


@dataclasses.dataclass(frozen=True)
class Grid:
    """Hyper-parameters to try; the paper's grids (section 5.1) by default.

    Attributes:
        weight: C, strengths of the penalty on weights.
        preactivation: D, strengths of the penalty on pre-activations.
        rate: learning rates of the first epoch.
    """

    weight: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    preactivation: tuple[float, ...] = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
    rate: tuple[float, ...] = (1e-2, 1e-1)


def settings_of(name: str, grid: Grid) -> list[dict[str, float]]:
    """Return every setting of a loss, as columns of a table of runs.

    Raises:
        ValueError: the loss is unknown.

    Examples:
        >>> settings_of("H+W1", Grid((1e-2,), (), (0.1,)))
        [{'learning_rate': 0.1, 'l1': 0.01}]
    """
    settings: list[dict[str, float]] = [{"learning_rate": rate} for rate in grid.rate]
    for part in _parts(name)[1]:
        if part in PENALTIES:
            strengths = grid.preactivation if part.startswith("LC") else grid.weight
            settings = [{**setting, PENALTIES[part]: strength} for setting in settings for strength in strengths]
    return settings


def loss_of(name: str) -> Loss:
    """Return the loss of an example, without penalties.

    Examples:
        >>> loss_of("S+W+LCL").__name__
        'cross_entropy'
    """
    return LOSSES[_parts(name)[0]]


def model_of(name: str, model: nn.Module, dropout: float) -> nn.Module:
    """Return the model of a loss: with batch normalization for BN, with dropout at this rate for D.

    Raises:
        ValueError: the model lacks the attribute of a switch.

    Examples:
        >>> from lcjax.models.vision.quicknet import QuickNet
        >>> model = model_of("S+W+D+BN", QuickNet(), 0.5)
        >>> model.dropout, model.batch_norm
        (0.5, True)
    """
    switches: Mapping[str, bool | float] = {"BN": True, "D": dropout}
    attributes = {SWITCHES[part]: switches[part] for part in _parts(name)[1] if part in SWITCHES}
    for attribute in attributes:
        if not hasattr(model, attribute):
            raise ValueError(f"The loss {name!r} needs a model with `{attribute}`; {type(model).__name__} has none.")
    return model.clone(**attributes) if attributes else model  # type: ignore[arg-type]  # fields of the user's model


def pairs(losses: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of a loss without the data-dependent term and the same loss with it.

    Examples:
        >>> pairs(("S", "S+W+D+BN", "S+LCA", "S+W+BN+LCA+D"))
        [('S', 'S+LCA'), ('S+W+D+BN', 'S+W+BN+LCA+D')]
    """
    by_parts = {frozenset(name.split("+")): name for name in losses}
    without = {name: frozenset(part for part in name.split("+") if not part.startswith("LC")) for name in losses}
    return [(by_parts[w], name) for name, w in without.items() if w in by_parts and w != frozenset(name.split("+"))]


def _parts(name: str) -> tuple[str, list[str]]:
    loss, *parts = name.split("+")
    unknown = [part for part in parts if part not in PENALTIES and part not in SWITCHES]
    means = [PENALTIES.get(part) or SWITCHES.get(part) for part in parts]
    if loss not in LOSSES or unknown or len(set(means)) != len(means):
        known = f"{' or '.join(LOSSES)}, then + and some of {', '.join((*PENALTIES, *SWITCHES))}, each at most once"
        raise ValueError(f"Unknown loss {name!r}: a name is {known}, as in H+W2+D.")
    return loss, parts
