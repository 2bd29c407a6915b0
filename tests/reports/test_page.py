"""Pages: well-formed, self-contained, safe from the names that they show, and readable."""

import base64
import hashlib
import json
import re
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.curves.metrics import ERROR, METRICS
from lcjax.reports.axis import linear_axis, log_axis
from lcjax.reports.chart import HEIGHT, Chart, Series, render_chart
from lcjax.reports.page import Page, render_page, write_page
from tests.reports.problems import MADE, NASTY, SIZE, Tree, chart, page


@pytest.fixture(scope="module")
def text():
    return render_page(page(), MADE)


@pytest.fixture(scope="module")
def tree(text):
    return Tree(text)


def test_a_page_loads_nothing(text, tree):
    assert "http:" not in text
    assert "https:" not in text
    for tag, attributes in tree.elements:
        for name in ("src", "href", "action", "xlink:href", "data", "srcset"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)


def test_the_policy_allows_the_script_and_the_style_of_the_page_only(tree):
    (policy,) = [meta["content"] for meta in tree.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        (allowed,) = re.findall(rf"{kind}-src 'sha256-([^']+)'", policy)
        contents = [data for tag, data in tree.texts if tag == kind]
        digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in contents]
        assert digests.count(allowed) == 1


def test_no_name_breaks_out_of_its_place(tree):
    scripts = tree.all("script")
    assert [one.get("type") for one in scripts] == ["application/json"] * 2 + [None]
    assert tree.all("img") == []
    data = [json.loads(content) for tag, content in tree.texts if tag == "script" and content.startswith("{")]
    assert len(data) == 2
    assert data[0]["series"][1]["name"] == NASTY.replace("\u202e", "\\u202e").replace("\x00", "\\x00")
    shown = "".join(content for tag, content in tree.texts if tag not in ("script", "style"))
    assert "</script><script>alert(1)" in shown
    assert "\u202e" not in shown
    assert "\x00" not in shown


def test_figures_and_controls_have_names(tree):
    ids = [attributes["id"] for _, attributes in tree.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in tree.all("svg"):
        if "aria-hidden" not in attributes:
            assert attributes["role"] == "img"
            assert set(attributes["aria-labelledby"].split()) <= set(ids)
    assert {button["type"] for button in tree.all("button")} == {"button"}
    assert all("aria-pressed" in button for button in tree.all("button"))
    assert len(tree.all("input")) == len(tree.all("label"))
    assert all(head["scope"] == "col" for head in tree.all("th"))
    (html,) = tree.all("html")
    assert html["lang"] == "en"
    assert {name for attributes in tree.all("figure") for name in [attributes["data-chart"]]} <= set(ids)


def test_without_the_script_figures_are_drawn_and_switches_hidden(tree):
    assert all("hidden" in box for box in tree.all("input"))
    assert all("hidden" in box for box in tree.all("div") if box.get("class") == "switches")
    marks = [attributes for attributes in tree.all("path") if "data-series" in attributes]
    assert len(marks) == 12
    assert all(re.match(r"M[-\d.]+ [-\d.]+", mark["d"]) for mark in marks)
    shown = [one for one in tree.all("g") if one.get("class", "").startswith("ticks") and "visibility" not in one]
    assert [one["class"] for one in shown] == ["ticks x log", "ticks y log"] * 2


def test_the_button_saves_the_table(tree):
    (link,) = [attributes for attributes in tree.all("a") if "download" in attributes]
    assert base64.b64decode(link["href"].partition("base64,")[2]) == b"size,error\n1,2\n"


def test_a_page_is_written_and_small(tmp_path):
    write_page(tmp_path / "report.html", Page("T", "A.", [], [chart(name="curve")], [], []), MADE)
    assert (tmp_path / "report.html").stat().st_size < 40_000


def colors(block):
    return dict(re.findall(r"--([\w]+): (#[0-9a-f]{6})", block))


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast(scheme):
    """WCAG 2.1: 4.5 for text, 3 for what a figure is made of."""
    style = files("lcjax.reports").joinpath("page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.S)
    assert len(blocks) == 2
    shade = colors(blocks[scheme])
    assert shade.keys() == colors(blocks[0]).keys()
    for name in ("text", "faint", "link"):
        for behind in ("back", "card"):
            assert contrast(shade[name], shade[behind]) >= 4.5, (name, behind)
    drawn = ("blue", "edge", "points", "repeats", "orange", "green", "purple", "brown", "teal", "pink", "gray")
    for name in (*drawn, "focus", "faint"):
        assert contrast(shade[name], shade["back"]) >= 3, name
    for name in ("blue", "points", "orange", "green", "purple", "brown", "teal", "pink"):
        assert contrast(shade[name], shade["band"]) >= 3, name


def points(text, number):
    (path,) = re.findall(rf'data-series="{number}" d="([^"]*)"', text)
    return np.array([[float(x) for x in pair.split()] for pair in re.findall(r"[-\d.]+ [-\d.]+", path)])


@pytest.mark.parametrize("metric", [ERROR, METRICS["accuracy"]], ids=lambda metric: metric.name)
def test_a_power_law_is_a_straight_line(metric):
    x, y = points(render_chart(chart(metric, "curve"), "c"), 1).T
    slope = np.diff(y) / np.diff(x)
    np.testing.assert_allclose(slope, slope[0], rtol=0.02)
    assert (slope[0] < 0) == metric.rises  # the vertical coordinate of SVG points down


def test_an_error_of_zero_is_below_a_logarithmic_axis():
    series = [Series("a", "points", "measured", SIZE[:3], np.array([0.1, 0.0, np.nan]))]
    text = render_chart(Chart("T", "D", ERROR, "examples", series, (0.01, 0.2)), "c")
    (_, first), (_, second) = points(text, 0)
    assert first < HEIGHT < second


def test_a_loss_below_zero_has_a_linear_axis():
    series = [Series("a", "line", "measured", SIZE[:3], np.array([0.1, -0.2, -0.3]))]
    text = render_chart(Chart("T", "D", METRICS["loss"], "examples", series, (-0.4, 0.2)), "c")
    assert 'data-axis="y"' not in text
    assert 'class="ticks y linear"><' in text


def test_long_curves_are_thinned():
    size = np.arange(1.0, 20_001.0)
    series = [Series("a", "points", "measured", size, size**-0.5)]
    assert len(render_chart(Chart("T", "D", ERROR, "examples", series, (0.01, 1.0)), "c")) < 200_000


@pytest.mark.parametrize(
    ("low", "high"),
    [(1e-9, 1e9), (0.5, 0.5), (3.0, 3.1), (1e-30, 1e30), (99.0, 1e6), (12.0, 6336.0), (101.0, 99_999.0)],
)
def test_axes_have_few_ticks_inside(low, high):
    for axis in (linear_axis(low, high, str), log_axis(low, high, str), log_axis(low, high, str, is_turned=True)):
        assert 2 <= len(axis.ticks) <= 9, axis
        assert all(-1e-6 <= tick.place <= 1 + 1e-6 for tick in axis.ticks), axis
        assert len({tick.label for tick in axis.ticks}) == len(axis.ticks)


@given(low=st.floats(1e-6, 1e6), ratio=st.floats(1.5, 1e9))
def test_ticks_of_a_logarithmic_axis_cover_it(low, ratio):
    places = [0.0, *(tick.place for tick in log_axis(low, low * ratio, str).ticks), 1.0]
    assert 4 <= len(places) <= 12
    assert max(np.diff(places)) < 0.55
