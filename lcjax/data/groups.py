"""Splits that keep the examples of one group, such as a person, site or device, together."""

import numpy as np
from jaxtyping import Bool, Float, Int, Integer, Shaped

from lcjax.data.subsets import held_out_count, random_order
from lcjax.typing import Array, KeyArray

__all__ = ["check_groups", "split_by_group"]

PAIRS = 250_000  # largest number of pairs of groups for which exchanges are tried
_COUNTS = 2**25  # largest number of groups times classes, 256 MiB
_EMPTY = 1e12  # cost of a part without a class that it needs


def split_by_group(
    key: KeyArray,
    groups: Shaped[Array, " n"],
    fraction: float,
    *,
    labels: Integer[Array, " _"] | None = None,
    remain: int = 1,
) -> tuple[Int[np.ndarray, " rest"], Int[np.ndarray, " held_out"]]:
    """Hold out whole groups, so that no group is in both parts and every class is near its share.

    Examples of one person or site resemble each other. If they are in both training and validation, the validation
    error is that on new examples of known persons, which is smaller than that on new persons;
    `lcjax.curves.group_shift` measures the difference.

    Groups are visited in random order, and each is held out if that reduces the distance of the held-out counts h_c of
    the classes from the share f of all n_c examples,

        sum_c (h_c - f n_c)^2 / n_c + (h - f n)^2 / n.

    Then single groups are moved, or pairs exchanged, while the distance falls. No split into whole groups may be near
    the share, as for two groups of equal size; the nearest one found is returned. Every class remains in the rest.

    Args:
        key: typed JAX key.
        groups: group of each example, numbers or strings, `(n,)`.
        fraction: share of the examples to hold out, in (0, 1).
        labels: class of each example, `(n,)`; None without classes.
        remain: smallest number of groups in the rest, for further splits.

    Returns:
        Indices of the rest and of the held-out examples, each ascending, int32; neither is empty.

    Raises:
        ValueError: there are fewer than `remain + 1` groups, no split that leaves every class in the rest was found,
            `fraction` is outside (0, 1) or leaves one part empty, the arrays differ in length, or groups times classes
            exceed 2^25.

    Examples:
        >>> import jax
        >>> groups = np.repeat(["ann", "bob", "eva", "joe", "kim"], 20)
        >>> rest, held_out = split_by_group(jax.random.key(0), groups, 0.2)
        >>> held_out.size, len(set(groups[held_out]) & set(groups[rest]))
        (20, 0)
    """
    groups = np.asarray(groups)
    check_groups(groups, len(groups), parts=1 + remain)
    held_out_count(groups.size, fraction)
    names, member = np.unique(groups, return_inverse=True)
    classes = np.zeros(groups.size, int)
    if labels is not None:
        if len(labels) != groups.size:
            raise ValueError(f"There are {groups.size} groups and {len(labels)} labels.")
        classes = np.unique(np.asarray(labels), return_inverse=True)[1]
    shape = names.size, int(classes.max()) + 1
    if shape[0] * shape[1] > _COUNTS:
        raise ValueError(
            f"{shape[0]:,} groups of {shape[1]:,} classes are too many to balance, more than {_COUNTS:,} counts."
        )
    counts = np.zeros(shape)
    np.add.at(counts, (member, classes), 1)
    chosen = _choose(counts, fraction, random_order(key, names.size), remain)
    if np.any(counts[~chosen].sum(axis=0) == 0) or not chosen.any():
        raise ValueError(
            f"{names.size} groups cannot be split so that each of {counts.shape[1]} classes remains: the rarest "
            f"classes occur in {np.sort((counts > 0).sum(axis=0))[:3].tolist()} groups."
        )
    held = chosen[member]
    return np.flatnonzero(~held).astype(np.int32), np.flatnonzero(held).astype(np.int32)


def check_groups(groups: Shaped[Array, "..."], n: int, *, parts: int, name: str = "groups") -> None:
    """Check that every example has one group, a name or number, and that there are at least as many groups as parts.

    Args:
        groups: group of each example.
        n: number of examples.
        parts: number of parts to split into.
        name: name of the groups in messages.

    Raises:
        ValueError: there is not one group per example, a group is nan, or there are fewer groups than parts.

    Examples:
        >>> check_groups(np.array([1, 1, 2]), 3, parts=3)
        Traceback (most recent call last):
        ValueError: groups: 3 parts without a common group need at least 3 groups, got 2 among 3 examples.
    """
    groups = np.asarray(groups)
    if groups.shape != (n,) or groups.dtype.kind not in "biufUS":
        raise ValueError(
            f"{name}: groups must be one number or string per example, got {groups.dtype} of shape {groups.shape} for "
            f"{n} examples."
        )
    if groups.dtype.kind == "f" and np.isnan(groups).any():
        raise ValueError(f"{name}: {int(np.isnan(groups).sum())} of {n} examples have no group (nan).")
    count = np.unique(groups).size
    if count < parts:
        raise ValueError(
            f"{name}: {parts} parts without a common group need at least {parts} groups, got {count} among {n} "
            "examples."
        )


def _choose(
    counts: Float[np.ndarray, "g c"], fraction: float, order: Int[np.ndarray, " g"], remain: int
) -> Bool[np.ndarray, " g"]:
    """Select the groups to hold out by moves and exchanges that reduce the cost, and return a mask `(g,)`."""
    # An extra column counts the groups themselves; at least one is held out, and at least `remain` remain.
    most = len(counts) - remain
    table = np.concatenate([counts, np.ones((len(counts), 1))], axis=1)
    total = counts.sum(axis=0)

    def cost(held: Float[np.ndarray, "*b c"]) -> Float[np.ndarray, "*b"]:
        of_class, number = held[..., :-1], held[..., -1]
        apart = np.sum((of_class - fraction * total) ** 2 / total, axis=-1)
        apart += (of_class.sum(axis=-1) - fraction * total.sum()) ** 2 / total.sum()
        empty = np.sum(of_class >= total, axis=-1) + np.maximum(number - most, 0) + (number < 1)
        return np.asarray(apart + _EMPTY * empty)

    chosen = np.zeros(len(table), bool)
    for group in order:
        held = table[chosen].sum(axis=0)
        chosen[group] = cost(held + table[group]) < cost(held)
    enough = 0.25 * np.sum(1 / total)  # every class within half an example of its share
    for _ in range(10 * len(table)):
        held = table[chosen].sum(axis=0)
        now = float(cost(held))
        if now <= enough:
            break
        moved = cost(held + np.where(chosen, -1, 1)[:, None] * table)
        inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        exchanged = np.full((1, 1), np.inf)
        if 0 < inside.size * outside.size <= PAIRS:
            exchanged = cost(held - table[inside][:, None] + table[outside])
        if not min(moved.min(), exchanged.min()) < now - 1e-9:
            break
        if moved.min() <= exchanged.min():
            group = int(moved.argmin())
            chosen[group] = not chosen[group]
        else:
            i, j = divmod(int(exchanged.argmin()), exchanged.shape[1])
            chosen[inside[i]], chosen[outside[j]] = False, True
    return chosen
