"""Progress bars of a command on standard error: a bar for each stage, and one while programs are compiled."""

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcjax.typing import OnProgress, Progress

__all__ = ["show_progress"]

PATIENCE = 1.0  # seconds without a report after which the bar of the compilation is shown


class _Compilation:
    """The state of JAX's compiler, from the events that it reports."""

    def __init__(self) -> None:
        self.is_active, self.programs, self.since = True, 0, time.monotonic()

    def listen(self, event: str, duration_secs: float, **_: str | int) -> None:
        """Note that a program was traced, after which it is compiled, or that it has been compiled."""
        if event.endswith("/jaxpr_trace_duration"):
            self.is_active = True
        elif event.endswith("/backend_compile_duration"):
            self.is_active, self.programs = False, self.programs + 1

    def report(self) -> None:
        """Note that something was computed."""
        self.is_active, self.since = False, time.monotonic()


@contextlib.contextmanager
def show_progress(*, quiet: bool) -> Iterator["OnProgress"]:
    """Yield a progress callback that draws a bar with the remaining time for each stage.

    While a program is compiled, whose time is not known, a bar named "compile" shows the time since the last report.

    Args:
        quiet: True to draw nothing.
    """
    import jax
    from rich import progress as bars

    from lcjax.cli.console import PlainConsole

    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    compilation = _Compilation()

    class Display(bars.Progress):
        is_open = True

        def get_renderables(self) -> Any:
            waiting = time.monotonic() - compilation.since > PATIENCE
            for task in self.tasks:
                if task.fields.get("is_compilation"):
                    shown = self.is_open and compilation.is_active and waiting
                    if shown and not task.visible:
                        task.start_time = compilation.since
                    task.visible = shown
            return super().get_renderables()

    console = PlainConsole(stderr=True, quiet=quiet)
    with Display(*columns, console=console) as display:
        display.add_task("compile", total=None, visible=False, is_compilation=True)
        jax.monitoring.register_event_duration_secs_listener(compilation.listen)
        tasks: dict[str, bars.TaskID] = {}

        def report(state: "Progress") -> None:
            compilation.report()
            if state.stage not in tasks:
                tasks[state.stage] = display.add_task(state.stage, total=state.total)
            display.update(tasks[state.stage], completed=state.done, total=state.total)

        try:
            yield report
        finally:
            display.is_open = False
            console.quiet |= not tasks and not console.is_terminal  # which would get an empty line
            jax.monitoring.unregister_event_duration_listener(compilation.listen)
