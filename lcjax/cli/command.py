"""Framework of the commands: common options, device, compilation cache, progress, results, errors, interruption."""

import contextlib
import dataclasses
import functools
import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcjax import __version__
from lcjax.cli.folders import claim_folder
from lcjax.cli.notices import one_line_warnings
from lcjax.cli.numbers import OptionError, Range
from lcjax.cli.options import DeviceName, result
from lcjax.cli.usage import OneLineCommand, OneLineGroup
from lcjax.interruption import describe_interruption
from lcjax.jobs.peers import LARGEST_JOB, PeerError, connect, process_index, say_goodbye
from lcjax.jobs.secret import read_secret
from lcjax.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.typing import KeyArray, OnProgress, Progress

__all__ = ["Job", "app", "command", "join_job", "main", "one_line_errors"]

SUMMARY = "How a model's test error falls with training data, why, and how many examples reach the error you need."
HEARTBEAT = 40  # seconds after which JAX ends a job that a cluster has started and that has lost a process
WIDTH = 190  # columns of a table that is written to a file or a pipe

app = typer.Typer(
    cls=OneLineGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=SUMMARY,
)


def main() -> None:
    """Run the command line."""
    app()


def _print_version(requested: bool) -> bool:
    if requested:
        print(f"lcjax {__version__}")
        raise typer.Exit
    return requested


@app.callback()
def _program(
    distributed: Annotated[
        str | None,
        typer.Option(
            envvar="LCJAX_DISTRIBUTED",
            metavar="auto|HOST:PORT,N,I",
            help="Train as one process of a job: auto under Slurm, Open MPI or on a TPU pod, else as process I of N.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if distributed is not None:
        with one_line_errors():
            join_job(distributed)


@dataclasses.dataclass(frozen=True)
class Job:
    """Options shared by all commands, and the operations that depend on them.

    Attributes:
        output: folder of the results; a folder of `lcjax-results` by default.
        device: platform to compute on; JAX's choice by default.
        seed: seed of every random stream.
        print_json: True to print the result as JSON instead of tables and progress.
        force: True to replace the results of another configuration.
        configuration: name and options of the command, apart from those that do not change its results.
        results: names of its result files.
    """

    output: Annotated[Path | None, result("Folder of all results.", show_default="lcjax-results/...")] = None
    device: Annotated[
        DeviceName | None, result("Platform to compute on.", show_default="the fastest that JAX finds")
    ] = None
    seed: Annotated[
        int, result("Seed of data splits and of every random stream.", numbers=Range(int, 0, 2**32 - 1))
    ] = 0
    print_json: Annotated[bool, result("Print the result as JSON instead of tables.", "--json")] = False
    force: Annotated[bool, result("Replace results that were made with other options.", "--force")] = False
    configuration: Mapping[str, object] = dataclasses.field(default_factory=dict, kw_only=True)
    results: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    @property
    def key(self) -> "KeyArray":
        """Random key of the seed."""
        import jax

        return jax.random.key(self.seed)

    def open_folder(self, name: str, *, free: Sequence[str] = ()) -> Path:
        """Create and return the result folder: `--output`, or by default `name` within `lcjax-results`.

        The configuration is stored there, so that results of another one are not replaced unasked; options in `free`
        may differ.

        Raises:
            OSError: the folder is not writable.
            ValueError: it holds results of another configuration, and `force` is False.
        """
        folder = _make_writable(self.output or Path("lcjax-results") / name)
        claim_folder(folder, self.configuration, self.results, force=self.force, free=free)
        return folder

    @contextlib.contextmanager
    def show_progress(self) -> Iterator["OnProgress"]:
        """Yield a progress callback that draws a bar with the remaining time for each stage on standard error."""
        from rich import progress as bars

        from lcjax.cli.console import PlainConsole

        columns = (
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TimeElapsedColumn(),
            bars.TimeRemainingColumn(),
        )
        console = PlainConsole(stderr=True, quiet=self.print_json or not _is_first_process())
        with bars.Progress(*columns, console=console) as display:
            tasks: dict[str, bars.TaskID] = {}

            def report(state: "Progress") -> None:
                if state.stage not in tasks:
                    tasks[state.stage] = display.add_task(state.stage, total=state.total)
                display.update(tasks[state.stage], completed=state.done, total=state.total)

            yield report

    def print_notes(self, notes: Sequence[str]) -> None:
        """Print what was inferred about the data, on standard error under `--json`."""
        for note in notes if _is_first_process() else ():
            print(printable(note), file=sys.stderr if self.print_json else sys.stdout)

    def finish(
        self, result: Path, files: Sequence[Path], show: Callable[["Console"], None], *, width: int | None = None
    ) -> None:
        """Print the JSON file under `--json`, else the tables (`width` columns, or the terminal's) and file names."""
        from lcjax.files import writing

        with writing("standard output"):
            if self.print_json:
                print(result.read_text(), end="", flush=True)
                return
            from lcjax.cli.console import PlainConsole

            console = PlainConsole(width=width)
            show(console if width or console.is_terminal else PlainConsole(width=WIDTH))
            print(printable(f"Results: {', '.join(map(str, (result, *files)))}"), flush=True)


def command(panel: str, *results: str, resumable: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that registers a function of a `Job` and its own options as a command.

    The command also takes the options of `Job` and is listed in this panel of `lcjax --help`. It selects the device,
    caches compiled programs, and reports errors and interruptions in one line; a resumable one stores finished runs.
    `results` are the names of its result files.
    """
    interrupted = "Interrupted." + (" Repeat the command to resume; finished runs are kept." if resumable else "")

    def register(function: Callable[..., None]) -> Callable[..., None]:
        shared = {name: p for name, p in inspect.signature(Job).parameters.items() if p.kind is not p.KEYWORD_ONLY}
        signature = inspect.signature(function)
        parameters = [*list(signature.parameters.values())[1:], *shared.values()]

        @functools.wraps(function)
        def run(**options: Any) -> None:
            describe_interruption(interrupted)
            with one_line_errors():
                given = {name: options.pop(name) for name in shared}
                configuration = {"command": function.__name__, **options, "seed": given["seed"]}
                job = Job(**given, configuration=configuration, results=results)
                _use_device(job.device)
                _keep_compiled()
                with one_line_warnings():
                    function(job, **options)
                say_goodbye()

        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return app.command(cls=OneLineCommand, rich_help_panel=panel)(run)

    return register


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Report input errors in one line on standard error (with a traceback under `$LCJAX_DEBUG`), and exit."""
    try:
        yield
    except (ValueError, OSError, PeerError) as error:
        if os.environ.get("LCJAX_DEBUG"):
            raise
        print(f"lcjax: {printable(' '.join(str(error).split()))}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, OptionError) else 1) from None


def join_job(text: str) -> None:
    """Join the processes that train together, given as "auto" or "HOST:PORT,PROCESSES,INDEX".

    Raises:
        ValueError: the text has another form, or the job has no secret.
        PeerError: the other processes cannot be reached, or refuse this one.
    """
    if text != "auto":
        address, _, numbers = text.partition(",")
        host, _, port = address.rpartition(":")
        values = [port, *numbers.split(",")]
        if not (host and len(values) == 3 and all(value.isascii() and value.isdecimal() for value in values)):
            values = ["0", "0", "0"]
        if not (0 < int(values[0]) < 2**16 and int(values[2]) < int(values[1]) <= LARGEST_JOB):
            raise ValueError(
                f'--distributed takes "auto" or HOST:PORT,PROCESSES,INDEX such as host1:9911,2,0, got {text!r}.'
            )
        connect(host.strip("[]"), int(values[0]), int(values[1]), int(values[2]))
        return
    import jax

    read_secret(required="--distributed auto:")
    # JAX's service would replace the handler of SIGTERM.
    jax.config.update("jax_enable_preemption_service", False)
    # Gloo writes to standard output, which would corrupt --json: only Python keeps it, libraries get standard error.
    output = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(output, "w")
    try:
        jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"--distributed {text}: {error}") from None


def _is_first_process() -> bool:
    return process_index() == 0


def _use_device(device: DeviceName | None) -> None:
    """Select the platform, and silence all processes of a job except the first."""
    if device is not None:
        import jax

        # A list such as "cuda,rocm" would require every platform in it; by default JAX takes the GPU that is present.
        jax.config.update("jax_platforms", None if device is DeviceName.gpu else device.value)
        try:
            jax.devices(device.value)
        except RuntimeError as error:
            raise ValueError(f"--device {device.value}: JAX finds no such device on this machine ({error}).") from None
    if not _is_first_process():
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _keep_compiled() -> None:
    """Store programs for later commands unless `$LCJAX_CACHE` is empty, and machine code unless JAX has a cache."""
    import jax

    from lcjax.files import cache_folder
    from lcjax.kernels.stored_programs import remove_damaged_code, store_programs

    folder = cache_folder()
    store_programs(folder and folder / "programs")
    if folder is None or jax.config.values["jax_compilation_cache_dir"]:
        return
    try:
        _make_writable(folder)
    except OSError:
        return
    remove_damaged_code(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


def _make_writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"Cannot write to {folder}: {error.strerror}; choose another folder with --output.") from None
    return folder
