"""Small curves whose size for a target, or next measurement, is known: sizes, errors, target, and the right answer."""

import jax
import numpy as np
import pytest

from lcjax.curves.readers.csv import read_curves
from lcjax.studies.fitting.fitted_curves import fit_learning_curves
from lcjax.studies.fitting.summary import summary

INF = np.inf
USUAL = "500:0.182 1000:0.145 2000:0.118 4000:0.0921 8000:0.0748 16000:0.0602"
CURVED = "500:0.3 1000:0.232 2000:0.181 4000:0.142 8000:0.112 16000:0.0894"
REPEATED = " ".join(
    f"{size}:{error}"
    for size, errors in {
        50: (0.44, 0.41, 0.45),
        100: (0.43, 0.46, 0.42),
        200: (0.38, 0.36, 0.4),
        400: (0.33, 0.3, 0.31),
        1000: (0.24, 0.26, 0.25),
        3000: (0.17, 0.16, 0.18),
    }.items()
    for error in errors
)
TEN_TIMES = " ".join(
    ["500:0.2976", "1000:0.23808", "2000:0.18848"]
    + [f"4000:{e}" for e in (0.1488, 0.15, 0.1512, 0.1494, 0.1506) * 2]
    + ["8000:0.11706", "16000:0.09325"]
)
# Name: curve, target, smallest and largest right value, smallest lower limit, largest upper limit, status.
SIZES = {
    "between_first_two": (USUAL, 0.16, 500, 1000, 500, 1200, "within"),
    "between_last_two": (
        "500:0.16 1000:0.159 2000:0.118 4000:0.0921 8000:0.0748 16000:0.0602", 0.065, 8e3, 16e3, 6e3, 2e4, "within"
    ),
    "between_middle": (
        "500:0.31 1000:0.32 2000:0.3 4000:0.21 8000:0.15 16000:0.11", 0.2, 4000, 8000, 2000, 8000, "within"
    ),
    "equal_to_measured": (USUAL, 0.0921, 3900, 4200, 3000, 5000, "within"),
    "extrapolated_far_flat_start": (
        "500:0.46 1000:0.47 2000:0.455 4000:0.39 8000:0.31 16000:0.245", 0.1, 64e3, INF, 16e3, INF, None
    ),
    "extrapolated_near": (USUAL, 0.05, 16e3, 64e3, 16e3, INF, "beyond"),
    "flat_noisy_start": (
        "500:0.897 1000:0.903 2000:0.895 4000:0.702 8000:0.418 16000:0.213", 0.5, 4000, 8000, 4000, 8000, "within"
    ),
    "met_at_smallest": (USUAL, 0.25, 500, 500, 500, 500, "at_or_below_smallest"),
    "met_at_smallest_noisy": (
        "500:0.205 1000:0.212 2000:0.198 4000:0.175 8000:0.181 16000:0.169", 0.21, 500, 500, 500, 4000,
        "at_or_below_smallest",
    ),
    "never_guessing": (
        "500:0.499 1000:0.503 2000:0.497 4000:0.501 8000:0.498 16000:0.5", 0.3, INF, INF, 16e3, INF, "unreachable"
    ),
    "never_plateau": (
        "500:0.2 1000:0.15 2000:0.125 4000:0.1135 8000:0.108 16000:0.1055", 0.05, INF, INF, 16e3, INF, "unreachable"
    ),
    "repeats_near_start": (REPEATED, 0.42, 50, 400, 50, 400, None),
    "three_sizes": ("200:0.4 1000:0.41 5000:0.22", 0.3, 1000, 5000, 1000, 5000, "within"),
}  # fmt: skip
# Name: curve, target, smallest and largest right size of the next measurement.
MEASUREMENTS = {
    "far_target": (CURVED, 0.03, 2 * 16e3, 16 * 16e3),
    "plateau_or_power": (
        "500:0.3 1000:0.225 2000:0.168 4000:0.127 8000:0.103 16000:0.0905", 0.06, 16001, 16 * 16e3
    ),
    "exact_power_law": (
        "500:0.363505 1000:0.2852 2000:0.223764 4000:0.175561 8000:0.137743 16000:0.108071", 0.05, 16001, 16 * 16e3
    ),
    "quarter_measured_ten_times": (TEN_TIMES, 0.04, 16001, 16 * 16e3),
    "just_beyond": (CURVED, 0.08, 16e3, 2 * 16e3),
}  # fmt: skip


QUICK = {"between_first_two", "extrapolated_near", "met_at_smallest_noisy", "never_plateau", "repeats_near_start",
         "far_target", "quarter_measured_ten_times"}  # fmt: skip


def first(cases, quick):
    """Return the names of the cases; those that are not `quick` are slow tests."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """Return a function that forecasts one curve and returns its answers, as `lcjax fit` does."""
    folder = tmp_path_factory.mktemp("cases")

    def answer(points, target):
        path = folder / "curve.csv"
        path.write_text("\n".join(["size,error", *(point.replace(":", ",") for point in points.split())]))
        (fields,) = summary(fit_learning_curves(jax.random.key(0), read_curves(path), target_error=target))
        return fields

    return answer


@pytest.mark.parametrize("case", first(SIZES, QUICK))
def test_the_size_for_a_target_agrees_with_the_measured_errors(answer, case):
    points, target, least, most, low, high, status = SIZES[case]
    size = answer(points, target)["size_for_error"]
    assert least <= float(size.value) <= most
    assert low * (1 - 1e-6) <= float(size.low) <= float(size.value) <= float(size.high) <= high * (1 + 1e-6)
    assert status is None or size.status == status
    if status == "unreachable":
        assert size.never > 0.85


@pytest.mark.parametrize("case", first(MEASUREMENTS, QUICK))
def test_the_next_measurement_is_where_it_tells_most(answer, case):
    points, target, least, most = MEASUREMENTS[case]
    plan = answer(points, target)["next_size"]
    assert least <= plan["size"] <= most
    assert {candidate["size"] for candidate in plan["candidates"]} >= {16000, 64000}
    assert {candidate["repeats"] for candidate in plan["candidates"]} == {1, 2, 4}
