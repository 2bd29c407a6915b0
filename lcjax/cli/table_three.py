"""What `lcjax predict --row` prints beside a prediction: whose choices the settings are, and the row of the paper."""

from collections.abc import Sequence
from typing import Any

__all__ = ["print_row", "print_settings"]


def print_settings(label: str, settings: Sequence[tuple[str, str, str]]) -> None:
    """What is done for a row, one setting a line, and whether the paper says so."""
    print(f"Table 3 of Bisla et al. (2021), {label}; in brackets whose choice it is:")
    for step, value, whose in settings:
        print(f"  {step}: {value} [{whose}]")


def print_row(table: dict[str, Any]) -> None:
    """The numbers of Table 3: the paper's, and ours of every seed."""
    import rich.console

    from lcjax.output import print_table

    def several(values: Sequence[float]) -> str:
        return ", ".join(f"{value:.4g}" for value in values)

    laws = list(table["ours"][0]["radius"])
    rows = []
    for name, one in [("paper", table["paper"]), *((f"ours, seed {i}", one) for i, one in enumerate(table["ours"]))]:
        radius = [f"{one['radius'][law]:.4g}" if law in one["radius"] else "–" for law in laws]
        relative = [f"{one['relative_radius'][law]:.3g}" if law in one["radius"] else "–" for law in laws]
        moments = [several(one[key]) for key in ("train_mean", "train_variance", "test_mean", "test_variance")]
        rows.append([name, *moments, str(one["dimension"]), *radius, *relative])
    held_out = table["test_features"]
    columns = ["", "mean, train", "variances", f"mean, {held_out}", "variances", "d"]
    columns += [f"radius, {law}" for law in laws] + [f"over spread, {law}" for law in laws]
    print_table(rich.console.Console(), f"Table 3, {table['row']}", columns, rows)
