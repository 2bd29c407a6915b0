"""Options out of range: one line that names the option, the value and the values allowed."""

import random
import typing

import pytest

from lcjax.cli import app
from lcjax.cli.numbers import LARGEST, OptionError, Range, parse_list, parse_sizes
from lcjax.cli.options import parse_widths

# Options with a list of numbers, and the smallest number that they refuse.
LISTS = {
    "collect": {"--sizes": "0"},
    "plan": {"--cost": "-1", "--limit": "0"},
    "measure": {"--widths": "0", "--learning-rates": "0", "--fractions": "0"},
    "predict": {"--widths": "0", "--fractions": "0"},
    "dimension": {"--widths": "0", "--fractions": "0"},
    "simulate": {"--dimensions": "0", "--sizes": "0"},
    "compress": {"--layers": "0", "--weight": "-1", "--preactivation": "-1", "--rates": "0"},
    "interpolate": {"--ridge": "-1e-3"},
    "randomize": {"--ratios": "0"},
}
NO_NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "1e999",
    "1_0",
    "\u0663",
    "\uff11",
    "0x10",
    "",
    " 1",
    "1 ",
    "x",
    "1.5.2",
    "\x1b[31m",
)
OUTSIDE = ("0", "-1", "0.5", "1.0", "20.5", str(2**31), str(2**40), "1" * 400, "-1e300", "1e300")


def numbers():
    """Yield the command, name and range of every option that is a number."""
    for one in app.registered_commands:
        for name, parameter in one.callback.__signature__.parameters.items():
            for option in typing.get_args(parameter.annotation)[1:]:
                if isinstance(limits := getattr(getattr(option, "parser", None), "__self__", None), Range):
                    yield one.callback.__name__, (option.param_decls or (f"--{name.replace('_', '-')}",))[0], limits


def refusals():
    """Yield the command, option and value of what is refused, each value alone and in lists."""
    for command, option, limits in numbers():
        for text in (*NO_NUMBERS, *OUTSIDE):
            try:
                limits.parse(text)
            except ValueError:
                yield command, option, text
    for command, lists in LISTS.items():
        for option, smallest in lists.items():
            for text in (*NO_NUMBERS, smallest, "1" * 400):
                yield command, option, text
                yield command, option, f"1,{text}"


def test_every_number_has_a_range():
    ranges = list(numbers())
    assert len(ranges) > 50
    assert all(limits.kind is float or limits.low > -1 for _, _, limits in ranges)
    commands = {one.callback.__name__: one.callback.__signature__.parameters for one in app.registered_commands}
    for command, parameters in commands.items():
        known = {option for name, option, _ in ranges if name == command}
        for name, parameter in parameters.items():
            kinds = typing.get_args(typing.get_args(parameter.annotation)[0]) or typing.get_args(parameter.annotation)
            if {int, float} & set(kinds):
                assert f"--{name.replace('_', '-')}" in known | {"--target"}, (command, name)


@pytest.mark.slow
def test_options_out_of_range_are_one_line(lcjax, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command, option, value in random.Random(0).sample(list(refusals()), 150):
        files = {"compare": ["one.csv", "two.csv"], "fit": ["curves.csv"], "plan": ["curves.csv"]}
        file = {**files, "collect": ["train", "{size}", "--sizes=1"]}.get(command, [])
        code, out, err = lcjax(command, *file, f"{option}={value}")
        case = (command, option, value, err)
        assert code in (1, 2), case
        assert out == "", case
        assert err.startswith("lcjax: "), case
        assert err.count("\n") == 1, case
        assert err[:-1].isprintable(), case
        assert option in err, case
        assert ("expected a" if value else "is empty") in err, case
        assert not value or repr(value.rpartition(",")[2][:80])[:20] in err, case
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--output", ""], ["--output="], [""], ["curve.csv", "--unit", ""]])
def test_empty_arguments_are_refused(lcjax, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, out, err = lcjax("fit", *arguments)
    assert (code, out) == (2, "")
    assert "is empty: pass a value or leave it out; see" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("limits", "words", "metavar"),
    [
        (Range(int, 1), f"an integer from 1 to {LARGEST}", "<int>=1>"),
        (Range(int, 0, 9), "an integer from 0 to 9", "<0<=int<=9>"),
        (Range(float), "a number", "<float>"),
        (Range(float, 0), "a number of at least 0", "<float>=0>"),
        (Range(float, 0, open_low=True), "a number above 0", "<float>0>"),
        (Range(float, 0, 1, open_low=True), "a number above 0 and at most 1", "<0<float<=1>"),
        (Range(float, 0, 1, open_low=True, open_high=True), "a number above 0 and below 1", "<0<float<1>"),
    ],
)
def test_ranges_in_words(limits, words, metavar):
    assert (limits.describe(), str(limits)) == (words, metavar)


def test_limits_are_included_unless_they_are_open():
    assert Range(float, 0, 1).parse("0") == 0
    assert Range(float, 0, 1).parse("+1e0") == 1
    assert Range(int, 1, 3).parse("3") == 3
    for limits, text in ((Range(float, 0, 1, open_low=True), "0"), (Range(float, 0, 1, open_high=True), "1.")):
        with pytest.raises(ValueError, match=f"got '{text}'"):
            limits.parse(text)


def test_lists():
    assert parse_list("--ridge", "1e-3,2", Range(float, 0)) == (0.001, 2.0)
    assert parse_list("--layers", "3", Range(int, 1)) == (3,)
    assert parse_widths("1,2,8") == (1, 2, 8)
    assert parse_sizes("--sizes", "10,2k,0.5K,1.25M", Range(int, 1)) == (10, 2000, 500, 1_250_000)
    for wrong in ("1.2345k", "k", "2kk", "-1k", "2g", "3000M"):
        with pytest.raises(OptionError, match="'--sizes': expected an integer from 1 to 2147483647, got"):
            parse_sizes("--sizes", wrong, Range(int, 1))
    with pytest.raises(ValueError, match=r"'--layers': expected an integer from 1 to 9, got '1\.5' in"):
        parse_list("--layers", "1,1.5", Range(int, 1, 9))
    with pytest.raises(ValueError, match="from 1 to 1000000, got '0' in the list '0,1'"):
        parse_widths("0,1")
    for text in ("2,1", "1,1"):
        with pytest.raises(ValueError, match=f"distinct and ascending, got '{text}'"):
            parse_widths(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "No such command 'nope'"),
        (["fit"], "Missing argument"),
        (["simulate", "--nope"], "No such option: --nope"),
        (["simulate", "--device", "abacus"], "--device"),
        (["--nope", "fit"], "No such option: --nope"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line(lcjax, arguments, message):
    code, out, err = lcjax(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert err.endswith("--help.\n")
