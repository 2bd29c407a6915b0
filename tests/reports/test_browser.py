"""A page in a real browser: no message on the console, values under the pointer and the keys, axes and switches.

It needs playwright and Chromium, which are not among the dependencies of the tests:
`pip install playwright`, and Chromium on the path or in LCJAX_CHROMIUM.
"""

import os
import shutil

import pytest

from lcjax.reports.page import write_page
from tests.reports.problems import MADE, page

pytestmark = pytest.mark.acceptance

CHROMIUM = os.environ.get("LCJAX_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
WIDTHS = (1000, 400)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: set LCJAX_CHROMIUM")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "report.html"
    write_page(path, page(), MADE)
    return f"file://{path}"


@pytest.fixture
def visit(browser, address):
    """Open the page; return it and the messages of its console, its errors, dialogs and requests."""
    contexts = []

    def start(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        tab, messages = context.new_page(), []
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("dialog", lambda dialog: (messages.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda request: request.url.startswith(("file:", "data:")) or messages.append(request.url))
        tab.goto(address)
        return tab, messages

    yield start
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("script", [True, False])
def test_the_console_is_empty_and_nothing_is_wider_than_the_window(visit, width, scheme, script):
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "java_script_enabled": script}
    tab, messages = visit(**options)
    assert messages == []
    (plot, _) = tab.locator("svg.plot").all()
    assert plot.bounding_box()["width"] <= width
    assert tab.locator("figure.chart button").first.is_visible() == script
    if script:
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def readout(tab):
    return tab.locator(".readout").first.text_content()


def test_values_are_shown_under_the_pointer_and_by_keys(visit):
    tab, messages = visit(viewport={"width": 1000, "height": 1200})
    assert readout(tab).startswith("Point at the figure")
    plot = tab.locator("svg.plot").first
    box = plot.bounding_box()
    tab.mouse.move(box["x"] + 0.12 * box["width"], box["y"] + 0.5 * box["height"])
    assert readout(tab).startswith("100 ")
    assert "90 % interval 0.2 to 0.45" in readout(tab)
    assert "measured 0.3" in readout(tab)
    tab.mouse.move(5, 5)
    plot.focus()
    for key, size in [("ArrowRight", "100 "), ("ArrowRight", "200 "), ("ArrowLeft", "100 "), ("ArrowLeft", "100 ")]:
        tab.keyboard.press(key)
        assert readout(tab).startswith(size)
    tab.keyboard.press("Escape")
    assert readout(tab).startswith("Point at the figure")
    assert messages == []


def test_axes_and_series_are_switched_by_keys(visit):
    tab, messages = visit(viewport={"width": 1000, "height": 1200})
    line = tab.locator('svg.plot [data-series="1"]').first
    before = line.get_attribute("d")
    button = tab.locator('button[data-axis="y"]').first
    button.focus()
    tab.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    assert line.get_attribute("d") != before
    visible = "visibility => [...document.querySelectorAll('#chart-0 .ticks.y')].map(g => g.getAttribute('visibility'))"
    assert tab.evaluate(visible) == ["visible", "hidden"]
    tab.keyboard.press("Enter")
    assert line.get_attribute("d") == before  # as drawn without the script, digit by digit
    box = tab.locator("figure.chart input").first
    box.focus()
    tab.keyboard.press("Space")
    assert tab.locator('svg.plot [data-series="0"]').first.get_attribute("visibility") == "hidden"
    tab.locator("svg.plot").first.focus()
    tab.keyboard.press("ArrowRight")
    assert "interval" not in readout(tab)
    assert messages == []


def test_bars_are_drawn_alike_with_and_without_the_script_and_one_tap_is_enough(visit):
    """A tap on a button of the next figure, while one is focused, must not be lost to text that moves it."""
    tab, messages = visit(viewport={"width": 400, "height": 1200})
    bars = tab.locator("svg.plot path.bars").first
    before = bars.get_attribute("d")
    assert before.count("V") == 4
    tab.locator("svg.plot").first.focus()
    tab.keyboard.press("ArrowRight")
    button = tab.locator("#chart-1 button[data-axis='x']")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    own = tab.locator("#chart-0 button[data-axis='y']")
    own.click()
    assert bars.get_attribute("d") != before
    own.click()
    assert bars.get_attribute("d") == before
    assert messages == []


def test_the_table_is_saved(visit):
    tab, _ = visit(accept_downloads=True)
    with tab.expect_download() as saved:
        tab.locator("a.button").click()
    with open(saved.value.path()) as file:
        assert file.read() == "size,error\n1,2\n"
