"""Progress on standard error: stages, the compilation, and nothing where it is not wanted."""

import time

import pytest
from rich import progress as bars

from lcjax.cli import progress
from lcjax.typing import Progress


class Time:
    """Clock of the module, which a test moves."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    fake = Time()
    monkeypatch.setattr(progress, "time", fake)
    return fake


@pytest.fixture
def displays(monkeypatch):
    """The displays that are opened."""
    opened = []
    start = bars.Progress.start

    def note(self):
        opened.append(self)
        start(self)

    monkeypatch.setattr(bars.Progress, "start", note)
    return opened


def shown(display):
    display.get_renderables()
    return {task.description for task in display.tasks if task.visible}


def compile_something():
    import jax.monitoring

    jax.monitoring.record_event_duration_secs("/jax/core/compile/jaxpr_trace_duration", 0.1)


def test_the_bar_of_the_compilation_is_shown_while_nothing_is_reported(clock, displays):
    with progress.show_progress(quiet=True) as report:
        (display,) = displays
        assert shown(display) == set()
        clock.now = 1.5
        assert shown(display) == {"compile"}
        report(Progress("train", 1, 10))
        assert shown(display) == {"train"}
        clock.now = 9.0  # a long chunk of steps
        assert shown(display) == {"train"}
        compile_something()
        assert shown(display) == {"train", "compile"}
        report(Progress("fit", 1, 1))
        assert shown(display) == {"train", "fit"}
    clock.now = 20.0
    compile_something()
    assert shown(display) == {"train", "fit"}


@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_is_printed_without_a_stage(capsys, quiet):
    with progress.show_progress(quiet=quiet):
        time.sleep(0.01)
    assert capsys.readouterr() == ("", "")


def test_stages_are_printed(capsys):
    with progress.show_progress(quiet=False) as report:
        report(Progress("train", 5, 10))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("train ")
    assert "50%" in err
