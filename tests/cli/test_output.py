"""Formats of numbers, tables, figures and result files."""

import io
import json
import math
import xml.etree.ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from lcjax.cli.console import PlainConsole
from lcjax.cli.options import source_name
from lcjax.cli.output import (
    format_number,
    format_percent,
    format_size,
    print_table,
    save_figure,
    save_plot,
    write_result,
)
from lcjax.plots.style import label_axes, plain_text
from lcjax.studies.report import Table, markdown


@pytest.mark.parametrize(
    ("error", "spread", "text"),
    [
        (0.02, None, "2.0"),
        (0.01999, None, "2.00"),
        (0.001, None, "0.10"),
        (0.00099, None, "0.099"),
        (0.0, 0.0, "0.00 ± 0.00"),
        (0.5, 0.0123, "50.0 ± 1.2"),
        (0.5, math.nan, "50.0"),
        (math.nan, 0.1, "–"),
    ],
)
def test_percent(error, spread, text):
    assert format_percent(error, spread) == text


def test_sizes():
    sizes = {999_999: "999,999", 1_234_567: "1,230,000", 2.5: "2.5", 1234.56: "1,230", math.inf: "never"}
    assert {size: format_size(size) for size in sizes} == sizes
    assert format_size(math.nan) == "–"


def test_numbers():
    assert format_number(np.float32(0.12345)) == "0.123"
    assert format_number(1e6, ",.0f") == "1,000,000"
    assert format_number(math.nan, ",.0f") == "–"


def test_table_has_titles_and_cells():
    console = Console(file=io.StringIO(), width=100)
    print_table(console, "sizes", ["size", "error"], [["100", "1.0"], ["2,000", "0.5"]])
    title, heads, _, first, second = filter(str.strip, console.file.getvalue().splitlines())
    assert title.strip() == "sizes"
    assert heads.split() == ["size", "error"]
    assert (first.split(), second.split()) == (["100", "1.0"], ["2,000", "0.5"])
    assert first.rstrip().endswith("1.0")  # right-aligned


def test_names_in_tables_are_no_markup():
    console = PlainConsole(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    names = ["[/bad]", "[link=http://a]b[/link]", ":smile:", "[red]x[/red]"]
    print_table(console, names[0], names, [[*names[1:], "a\x1b]0;b\u202e"]])
    console.print(names[0])
    shown = console.file.getvalue()
    assert all(name in shown for name in names)
    assert r"a\x1b]0;b\u202e" in shown
    assert "\x1b]" not in shown


def test_names_in_figures_are_no_mathematics_and_never_hidden(tmp_path):
    names = ["$\\frac{$", "_hidden", "a$b$", "<script>alert(1)</script>", "a\nb\x1b"]

    def plot(axes):
        for name in names:
            axes.plot([1, 2], label=plain_text(name))
        label_axes(axes, names[0], names[2], legend="best")

    _, svg = save_plot(tmp_path / "names", plot, (4, 4), names[0])
    root = xml.etree.ElementTree.parse(svg).getroot()
    texts = ["".join(one.itertext()).strip() for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count(names[0]) == 3  # title, axis and legend
    assert set(texts) >= {names[1], names[2], names[3], "a\\nb\\x1b"}


def test_markdown_cells_are_text():
    table = Table("<b>", ["a|b"], [["1\n| 2 |"]])
    assert markdown([table]) == "### &lt;b>\n\n| a\\|b |\n|---|\n| 1\\n\\| 2 \\| |\n\n"


def test_figures_are_reproducible(tmp_path):
    def draw(name):
        figure = Figure()
        figure.subplots().plot([1, 2], label="a")
        return save_figure(figure, tmp_path / "new" / name)

    first, second = draw("one"), draw("two")
    assert [path.name for path in first] == ["one.png", "one.svg"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_result_holds_settings_environment_and_results(tmp_path):
    path = write_result(tmp_path / "a.json", {"seed": 3}, value=np.arange(2))
    result = json.loads(path.read_text())
    assert list(result) == ["configuration", "environment", "value"]
    assert result["configuration"] == {"seed": 3}
    assert result["value"] == [0, 1]


def test_names_of_data_for_folders():
    assert [source_name(text) for text in ("digits", "npz:/a/b.c.npz", "tfds:mnist")] == [
        "digits",
        "npz-b",
        "tfds-mnist",
    ]
