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
    """The numbers of Table 3, one line for the paper's and one for each of our seeds; never cut to the terminal."""

    def several(values: Sequence[float]) -> str:
        return ", ".join(f"{value:.4g}" for value in values)

    print(f"Table 3, {table['row']} (radius: of which law, in brackets over the spread of the features):")
    for name, one in [("paper", table["paper"]), *((f"ours, seed {i}", one) for i, one in enumerate(table["ours"]))]:
        held_out = "test" if name == "paper" else table["test_features"]
        radius = ", ".join(
            f"{law} {value:.4g} ({one['relative_radius'][law]:.3g})" for law, value in one["radius"].items()
        )
        moments = "; ".join(
            f"{told} mean {several(one[key + '_mean'])}, variances {several(one[key + '_variance'])}"
            for told, key in (("train", "train"), (held_out, "test"))
        )
        print(f"  {name}: d {one['dimension']}; radius {radius}; {moments}")
