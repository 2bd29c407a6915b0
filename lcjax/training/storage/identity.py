"""Identity of a sweep: everything that its numbers depend on, and the first difference between two of them."""

import itertools
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Bool

from lcjax.data.examples import Data, fingerprint
from lcjax.identities import name_of
from lcjax.provenance import number_settings
from lcjax.records import to_dict
from lcjax.training.runs import Runs
from lcjax.typing import JSON, ArrayTree, KeyArray

__all__ = ["describe_differences", "describe_versions", "identity"]

_RUNS = ("programs", "program", "columns", "shards")  # of the table; the axes of a grid do not identify a sweep
_VERSIONS = ("lcjax", "jax", "jaxlib", "flax", "optax")  # on which the numbers of a run depend


def identity(
    key: KeyArray,
    data: Data,
    runs: Runs,
    initial: Sequence[ArrayTree | None],
    mask: Sequence[ArrayTree | None],
    keep: Bool[np.ndarray, " w"],
    shapes: Sequence[ArrayTree] = (),
) -> dict[str, object]:
    """Return the parts that identify a sweep. A folder accepts only sweeps with the same identity.

    `shapes` are those of each program's variables: they distinguish models of the same source whose components differ.
    """
    return {
        "key": [str(jax.random.key_impl(key)), *np.asarray(jax.random.key_data(key)).tolist()],
        "runs": {"type": name_of(Runs), **{name: getattr(runs, name) for name in _RUNS}},
        "data": data.fingerprint(),
        "parameters": [
            {
                jax.tree_util.keystr(path): [str(leaf.dtype), *leaf.shape]
                for path, leaf in jax.tree.leaves_with_path(tree)
            }
            for tree in shapes
        ],
        "initial": _digest(initial),
        "mask": _digest(mask),
        "keep": keep,
        "settings": number_settings(),
    }


def describe_differences(
    manifest: Mapping[str, JSON], hashes: Mapping[str, str], parts: Mapping[str, object]
) -> list[str]:
    """Return the places at which a sweep with these hashes and parts differs from that of a manifest."""
    stored = manifest["identity"]
    assert isinstance(stored, Mapping)
    different = [name for name in hashes if stored.get(name) != hashes[name]]
    places = {
        name: _difference(manifest.get(name), to_dict(parts[name]), name)
        for name in different
        if name in ("runs", "settings")
    }
    return [places.get(name) or name for name in different]


def describe_versions(stored: Mapping[str, str], present: Mapping[str, str]) -> tuple[str, str, bool]:
    """Return the stored and the present versions that differ, as text, and True if they differ by more than a patch."""
    different = [name for name in _VERSIONS if stored.get(name) != present.get(name)]
    then, now = (
        ", ".join(f"{name} {versions.get(name, '(none)')}" for name in different) for versions in (stored, present)
    )
    releases = [[str(versions.get(name)).split(".")[:2] for name in different] for versions in (stored, present)]
    return then, now, releases[0] != releases[1]


def _difference(stored: object, given: object, place: str) -> str | None:
    """Return the first place at which two plain values differ, with the change."""
    if isinstance(stored, dict) and isinstance(given, dict):
        names = sorted(stored.keys() | given.keys())
        places = (_difference(stored.get(name), given.get(name), f"{place}.{name}") for name in names)
    elif isinstance(stored, list) and isinstance(given, list):
        pairs = enumerate(itertools.zip_longest(stored, given))
        places = (_difference(a, b, f"{place}[{i}]") for i, (a, b) in pairs)
    elif stored == given:
        return None
    else:
        names = [value.partition("@")[0] if isinstance(value, str) else "" for value in (stored, given)]
        if names[0] == names[1] and names[0].startswith("user:"):
            return f"{place} (the code of {names[0].removeprefix('user:')}, or what it refers to, has changed)"
        return f"{place} ({_spell(stored)} there, {_spell(given)} now)"
    return next((difference for difference in places if difference), None)


def _spell(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _digest(trees: Sequence[ArrayTree | None]) -> str:
    """Return a hash of one pytree, or None, per run."""
    return fingerprint(list(trees), str([tree is None for tree in trees]))
