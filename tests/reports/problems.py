"""A page with everything in it, names that try to break out of it, and a parser that checks pages."""

from html.parser import HTMLParser

import numpy as np

from lcjax.curves.metrics import ERROR, METRICS
from lcjax.reports.chart import Chart, Series
from lcjax.reports.page import Attachment, Page, Provenance
from lcjax.studies.report import Table

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'&\u202e\x00"
ENVIRONMENT = {"device": NASTY, "platform": "Linux", "versions": {"jax": "1.0", "lcjax": NASTY}}
MADE = Provenance(f"lcjax fit {NASTY}", 3, "2026-01-31 12:00:00+00:00", 4.56, ENVIRONMENT)
SIZE = np.geomspace(100, 12_800, 8)


def chart(metric=ERROR, name=NASTY):
    error = 3 * SIZE**-0.5
    values = metric.from_error(error)
    series = [
        Series("90 % interval", "band", "band", SIZE, metric.from_error(error / 1.5), metric.from_error(error * 1.5)),
        Series(name, "line", "forecast", SIZE, values),
        Series("measured", "points", "measured", SIZE[:4], values[:4]),
        Series("held out", "points", "held-out", SIZE[4:5], values[4:5]),
        Series("target", "line", "target", SIZE[[0, -1]], np.full(2, values[5])),
        Series("spread of repeats", "bars", "measured", SIZE[:4], *metric.interval(error[:4] / 1.2, error[:4] * 1.2)),
    ]
    low, high = sorted((float(values.min()), float(values.max())))
    return Chart(name, f"It falls. {name}", metric, name, series, (low, high))


def page():
    table = Table(NASTY, (NASTY, "error"), [[NASTY, "0.5"], ["b", "0.25"]])
    charts = [chart(), chart(METRICS["accuracy"], "accuracy")]
    return Page(NASTY, NASTY, [NASTY], charts, [NASTY], [table], Attachment(NASTY, "size,error\n1,2\n"))


VOID = {"meta", "link", "input", "br", "img"}
SHAPES = {"path", "rect"}  # of SVG, which close themselves


class Tree(HTMLParser):
    """Elements of a page, with a check that they nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), attrs
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in SHAPES
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]
