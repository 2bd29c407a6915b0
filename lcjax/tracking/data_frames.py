"""Results as pandas or polars data frames, where one of them is installed."""

import importlib
import importlib.util
from typing import Any, Literal

from lcjax.tracking.long_tables import Tabular, to_columns

__all__ = ["to_frame"]

Library = Literal["pandas", "polars"]


def to_frame(value: Tabular, library: Library | None = None) -> Any:
    """Return measurements, curves or a forecast as a data frame.

    Args:
        value: see `to_columns`.
        library: "pandas" or "polars"; by default the first of them that is installed.

    Returns:
        A `DataFrame` of the library, with the columns of `to_columns`.

    Raises:
        ValueError: the library is not installed, or there is none.

    Examples:
        >>> import numpy as np, lcjax as lc
        >>> to_frame(lc.LearningCurve(np.array([10.0]), np.array([0.5])), "polars")  # doctest: +SKIP
        shape: (1, 4) ...
    """
    known = ("pandas", "polars")
    if library is not None and library not in known:
        raise ValueError(f"library must be pandas or polars, got {library!r}.")
    installed = [name for name in known if importlib.util.find_spec(name) is not None]
    if library is None and not installed:
        raise ValueError("No library of data frames is installed: install pandas or polars, or use to_columns.")
    if library is not None and library not in installed:
        raise ValueError(f"{library} is not installed: install it, or use to_columns.")
    return importlib.import_module(library or installed[0]).DataFrame(to_columns(value))
