"""Framework of the commands: common options, device, compilation cache, progress, results, errors, interruption."""

import contextlib
import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from lcjax import __version__
from lcjax.cli.job import Job, is_first_process, make_writable
from lcjax.cli.notices import one_line_warnings
from lcjax.cli.numbers import OptionError
from lcjax.cli.options import DeviceName
from lcjax.cli.usage import WORDS, OneLineCommand, OneLineGroup
from lcjax.interruption import describe_interruption
from lcjax.jobs.peers import LARGEST_JOB, PeerError, connect, say_goodbye
from lcjax.jobs.secret import read_secret
from lcjax.text import printable

__all__ = ["Job", "app", "command", "join_job", "main", "one_line_errors"]

SUMMARY = "How a model's test error falls with training data, why, and how many examples reach the error you need."
HEARTBEAT = 40  # seconds after which JAX ends a job that a cluster has started and that has lost a process
TRAINS = ("resume", "dry_run")  # options of the commands that train

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


def command(panel: str, *results: str, resumable: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that registers a function of a `Job` and its own options as a command.

    The command also takes the options of `Job` and is listed in this panel of `lcjax --help`. It selects the device,
    caches compiled programs, and reports errors and interruptions in one line; a resumable one trains and stores runs.
    `results` are the names of its result files.
    """
    interrupted = "Interrupted." + (" Repeat the command to resume; finished trainings are kept." if resumable else "")

    def register(function: Callable[..., None]) -> Callable[..., None]:
        shared = {name: p for name, p in inspect.signature(Job).parameters.items() if p.kind is not p.KEYWORD_ONLY}
        shared = {name: p for name, p in shared.items() if resumable or name not in TRAINS}
        signature = inspect.signature(function)
        parameters = [*list(signature.parameters.values())[1:], *shared.values()]

        @functools.wraps(function)
        def run(**options: Any) -> None:
            describe_interruption(interrupted)
            with one_line_errors():
                given = {name: options.pop(name) for name in shared}
                configuration = {"command": function.__name__, **options, "seed": given["seed"]}
                files: dict[str, Any] = {"results": results, "trains": resumable}
                job = Job(**given, **files, configuration=configuration, words=WORDS.get())
                if job.force and job.resume:
                    raise OptionError("Give --force or --resume, not both.")
                _use_device(job.device)
                _keep_compiled()
                with one_line_warnings():
                    _run(function, job, options)
                say_goodbye()

        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return app.command(cls=OneLineCommand, rich_help_panel=panel)(run)

    return register


def _run(function: Callable[..., None], job: Job, options: dict[str, Any]) -> None:
    """Run a command; a dry run ends where the first training would begin."""
    if not job.dry_run:
        function(job, **options)
        return
    from lcjax.studies.dry_runs.plan import Planned, plan_only

    with plan_only():
        try:
            function(job, **options)
        except Planned as stop:
            job.print_plan(stop.plan)


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
    if not is_first_process():
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
        make_writable(folder)
    except OSError:
        return
    remove_damaged_code(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
