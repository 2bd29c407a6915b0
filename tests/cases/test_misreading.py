"""Files whose numbers are in another unit than they seem: refused, or noted, with the likely meaning."""

import json

import pytest

FALLING = "500,0.312 1000,0.241 2000,0.187 4000,0.146 8000,0.115 16000,0.0912"
CHEAP = ["--form", "power_law", "--form", "last_value", "--draws", "50"]
REFUSED = {
    "accuracy_slow": (
        "500,0.912 1000,0.918 2000,0.925 4000,0.931 8000,0.938 16000,0.942", ["--target-error", "0.05"],
        "rises with size, from 0.912 at 500 to 0.942 at 16,000, but this error should fall. If this is an accuracy",
    ),
    "accuracy_percent": (
        "500,91.2 1000,91.8 2000,92.5 4000,93.1 8000,93.8 16000,94.2", ["--target-error", "95"], "this is an accuracy"
    ),
    "percent_errors_fraction_target": (
        "500,31.2 1000,24.1 2000,18.7 4000,14.6 8000,11.5 16000,9.12", ["--target-error", "0.05"], "did you mean 5?"
    ),
    "fraction_errors_percent_target": (FALLING, ["--target-error", "5"], "did you mean 0.05?"),
    "accuracy_target": (FALLING, ["--target-error", "95"], "An accuracy of 95 % is an error of 0.05."),
    "target_zero": (FALLING, ["--target-error", "0"], "must be above the best possible error, 0, got 0."),
    "target_negative": (FALLING, ["--target-error", "-0.05"], "got -0.05."),
    "target_nan": (FALLING, ["--target-error", "nan"], "expected a number, got 'nan'"),
    "mixed_percent": (
        "500,0.312 1000,24.1 2000,18.7 4000,0.146 8000,0.115 16000,0.0912", ["--target-error", "0.08"],
        "mixes units: error 0.312 at 500, but 24.1 at 1,000",
    ),
    "thousands_dot": (
        "500,0.312 1.000,0.241 2.000,0.187 5.000,0.146 10.000,0.115 20.000,0.0912", ["--target-error", "0.08"],
        "line 3: the dot in the size '1.000' may separate thousands. Write 1000",
    ),
    "thousands_dot_all": (
        "1.000,0.312 2.000,0.241 4.000,0.187 10.000,0.146 20.000,0.115 40.000,0.0912", ["--target-error", "0.08"],
        "Write 1000",
    ),
    "guess_percent": (FALLING, ["--target-error", "0.08", "--guess", "90"], "guess must be a fraction"),
    "target_above_chance": (FALLING, ["--target-error", "0.7", "--guess", "0.5"], "above the chance error, 0.5"),
}  # fmt: skip
SIZES = {
    "sizes_as_shares": ("0.01,0.312 0.02,0.241 0.05,0.187 0.1,0.146 0.2,0.115 0.5,0.0912", 0.08, " 0.05 "),
    "sizes_in_hours": ("0.5,0.61 1,0.52 2.5,0.41 5,0.33 10,0.26 20,0.21", 0.3, " 2.5 "),
    "sizes_in_millions": ("0.05,0.312 0.1,0.241 0.3,0.187 1,0.146 3,0.115 10,0.0912", 0.08, " 0.3 "),
}


@pytest.fixture
def curve(tmp_path):
    def write(rows):
        path = tmp_path / "curve.csv"
        path.write_text("\n".join(["size,error", *rows.split()]))
        return path

    return write


@pytest.mark.parametrize("case", REFUSED)
def test_numbers_in_another_unit_are_refused_with_the_likely_meaning(lcjax, curve, tmp_path, case):
    rows, options, message = REFUSED[case]
    code, out, err = lcjax("fit", curve(rows), *options, *CHEAP, "--output", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2 if case == "target_nan" else 1, "", 1)  # no number at all: usage
    assert message in err


@pytest.mark.slow
@pytest.mark.parametrize("case", SIZES)
def test_sizes_that_are_not_whole_are_printed_as_given(lcjax, curve, tmp_path, case):
    rows, target, size = SIZES[case]
    options = ("--target-error", target, "--unit", "hours", *CHEAP, "--output", tmp_path / "out")
    code, out, err = lcjax("fit", curve(rows), *options)
    assert (code, err) == (0, "")
    assert size in out
    assert "hours (90 % interval" in out
    assert "--unit" in out
    assert " 0 hours" not in out


def test_a_target_above_every_error_is_met_at_the_smallest_size(lcjax, curve, tmp_path):
    code, out, err = lcjax("fit", curve(FALLING), "--target-error", 0.95, *CHEAP, "--output", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "Error 0.95: at or below 500 examples, the smallest size measured." in out
    assert "if it is an accuracy, ask for the error 0.05" in out
    assert "Measure next" not in out
    (only,) = json.loads((tmp_path / "out" / "fit.json").read_text())["curves"]
    assert only["size_for_error"]["status"] == "at_or_below_smallest"
    assert only["size_for_error"]["value"] == 500


@pytest.mark.slow
def test_limits_of_fractions_end_at_one(lcjax, curve, tmp_path):
    rows = "10,0.99 20,0.7 40,0.99 80,0.6"
    options = ("--allow-rising", *CHEAP, "--output", tmp_path / "out")
    code, _, err = lcjax("fit", curve(rows), *options)
    assert (code, err) == (0, "")
    (only,) = json.loads((tmp_path / "out" / "fit.json").read_text())["curves"]
    assert max(only["forecast"]["high"]) <= 1
