"""Results computed from finished runs, stored beside them so that a repeated study need not compute them again."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from lcjax import __version__
from lcjax.data.examples import fingerprint
from lcjax.files import atomic_path, reading
from lcjax.provenance import number_settings
from lcjax.records import canonical_hash

__all__ = ["restore_or_compute"]

_CHECKSUM = "checksum"  # of the other arrays and of what they depend on


def restore_or_compute(
    folder: Path | None, name: str, identity: object, compute: Callable[[], Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return stored arrays, or compute and store them.

    Args:
        folder: folder of the runs from which the arrays are computed; without one nothing is stored. A file that is
            damaged counts as absent.
        name: prefix of the file.
        identity: everything else that the arrays depend on, as for `lcjax.records.canonical_hash`; the version of
            lcjax and JAX's settings are added.
        compute: returns the arrays by name.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     first, second = (restore_or_compute(Path(name), "a", 1, lambda: {"x": np.ones(2)}) for _ in range(2))
        >>> second["x"].tolist()
        [1.0, 1.0]
    """
    if folder is None:
        return dict(compute())
    owner = canonical_hash([__version__, number_settings(), identity])
    path = folder / f"{name}-{owner[:12]}.npz"
    with contextlib.suppress(OSError, ValueError), reading(path):
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if str(arrays.pop(_CHECKSUM)) == fingerprint(arrays, owner):
            return arrays
    arrays = {name: np.asarray(array) for name, array in compute().items()}
    with atomic_path(path) as temporary, temporary.open("wb") as output:
        checksum = {_CHECKSUM: np.array(fingerprint(arrays, owner))}
        np.savez(output, **arrays, **checksum)  # type: ignore[arg-type]  # by name
    return arrays
