"""The losses of Sharma et al. by their names (Table 1): objective, penalties, what they switch on in a net."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn

from lcjax.models.losses import cross_entropy, multiclass_hinge

__all__ = ["Grid", "model_of", "objective_of", "pairs", "settings_of"]

OBJECTIVES = {"H": multiclass_hinge, "S": cross_entropy}  # S is not in Table 1; ours: softmax
PENALTIES = {"W": "l2", "W2": "l2", "W1": "l1", "LCA": "vc", "LCL": "vc/head"}
SWITCHES = {"BN": "batch_norm", "D": "dropout"}  # attributes of the model


@dataclasses.dataclass(frozen=True)
class Grid:
    """What is tried for each loss; the paper's grids (section 5.1) by default.

    Attributes:
        weight: C, of the penalty on weights.
        preactivation: D, of the penalty on pre-activations.
        rate: learning rates at the first epoch.
    """

    weight: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    preactivation: tuple[float, ...] = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
    rate: tuple[float, ...] = (1e-2, 1e-1)


def settings_of(name: str, grid: Grid) -> list[dict[str, float]]:
    """Every setting of one loss, as columns of the table of runs.

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


def objective_of(name: str) -> Any:
    """The loss on an example, without penalties.

    Examples:
        >>> objective_of("S+W+LCL").__name__
        'cross_entropy'
    """
    return OBJECTIVES[_parts(name)[0]]


def model_of(name: str, model: nn.Module, dropout: float) -> nn.Module:
    """The net that a loss is put on: with batch normalization for BN, with dropout for D.

    Args:
        name: of the loss.
        model: the net without them.
        dropout: share that D drops.

    Raises:
        ValueError: the net knows no such thing.

    Examples:
        >>> from lcjax.models.vision.quicknet import QuickNet
        >>> model = model_of("S+W+D+BN", QuickNet(), 0.5)
        >>> model.dropout, model.batch_norm
        (0.5, True)
    """
    values = {"batch_norm": True, "dropout": dropout}
    wanted: dict[str, Any] = {SWITCHES[part]: values[SWITCHES[part]] for part in _parts(name)[1] if part in SWITCHES}
    for attribute in wanted:
        if not hasattr(model, attribute):
            raise ValueError(f"The loss {name!r} needs a net with `{attribute}`; {type(model).__name__} has none.")
    return model.clone(**wanted) if wanted else model


def pairs(losses: Sequence[str]) -> list[tuple[str, str]]:
    """A loss without the data-dependent term, and the same with it, for all that are there both.

    Examples:
        >>> pairs(("S", "S+W+D+BN", "S+LCA", "S+W+BN+LCA+D"))
        [('S', 'S+LCA'), ('S+W+D+BN', 'S+W+BN+LCA+D')]
    """
    by_parts = {frozenset(name.split("+")): name for name in losses}
    found = []
    for name in losses:
        parts = frozenset(name.split("+"))
        without = frozenset(part for part in parts if not part.startswith("LC"))
        if without != parts and without in by_parts:
            found.append((by_parts[without], name))
    return found


def _parts(name: str) -> tuple[str, list[str]]:
    objective, *parts = name.split("+")
    unknown = [part for part in parts if part not in PENALTIES and part not in SWITCHES]
    means = [PENALTIES.get(part) or SWITCHES.get(part) for part in parts]
    if objective not in OBJECTIVES or unknown or len(set(means)) != len(means):
        known = ", ".join((*PENALTIES, *SWITCHES))
        raise ValueError(f"Unknown loss {name!r}: it is {' or '.join(OBJECTIVES)}, then, each once, some of {known}.")
    return objective, parts
