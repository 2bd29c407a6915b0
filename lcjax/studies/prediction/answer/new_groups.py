"""Error on new groups of examples, such as persons, compared with that on new examples of the groups in training."""

from collections.abc import Sequence

import numpy as np

from lcjax.curves.group_shift import GroupShift, group_shift
from lcjax.data.examples import Data
from lcjax.training import SweepResult, evaluate

__all__ = ["shift_to_new_groups"]


def shift_to_new_groups(trained: SweepResult, data: Data, rows: Sequence[int]) -> GroupShift | None:
    """Compare the error on new groups (validation) with that on training examples outside the shard, of known groups.

    An example outside the shards of several seeds counts once, with the mean over their networks. For each network,
    examples whose group does not occur in its shard are excluded.

    Args:
        trained: a sweep with the variables of the networks.
        data: the task, with the groups of its training and validation examples.
        rows: runs to use, one per seed, each trained on a part of the training set.

    Returns:
        The shift, or None if the groups are unknown or either side has fewer than two groups.
    """
    if data.train.groups is None or data.validation.groups is None:
        return None
    groups = np.asarray(data.train.groups)
    wrong = evaluate(trained, data.without_test(), data.train)[list(rows)]
    outside = np.ones(wrong.shape, bool)
    for mask, row in zip(outside, rows, strict=True):
        shard = trained.shard(row)
        mask[shard] = False
        mask &= np.isin(groups, groups[shard])
    seen = outside.any(axis=0)
    known = (wrong * outside).sum(axis=0)[seen] / outside.sum(axis=0)[seen]
    new = np.asarray(data.validation.groups)
    if np.unique(groups[seen]).size < 2 or np.unique(new).size < 2:
        return None
    return group_shift(known, groups[seen], trained.validation_wrong[list(rows)].mean(axis=0), new)
