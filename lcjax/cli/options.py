"""What all commands share: errors in one line, progress bars, options that are lists, device and folder."""

import contextlib
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcjax import __version__

if TYPE_CHECKING:
    from lcjax.data.shards import Shards
    from lcjax.typing import OnProgress, Progress

__all__ = ["DeviceName", "ModelName", "ShardsName", "app", "main"]


app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="How a model's test error falls with training data, why, and how many examples reach the error you need.",
)


class ModelName(StrEnum):
    """Models that `--model` knows."""

    mlp = "mlp"
    lenet = "lenet"
    driving = "driving"
    quicknet = "quicknet"
    vgg16 = "vgg16"
    resnet18 = "resnet18"
    resnet50 = "resnet50"
    alexnet = "alexnet"
    inception = "inception"
    densenet = "densenet"


class DeviceName(StrEnum):
    """Platforms that `--device` knows."""

    cpu = "cpu"
    gpu = "gpu"
    tpu = "tpu"


class ShardsName(StrEnum):
    """How the shards of one seed are drawn, as `--shards` knows it."""

    nested = "nested"
    independent = "independent"


def _print_version(requested: bool) -> None:
    if requested:
        print(f"lcjax {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    distributed: Annotated[
        str | None,
        typer.Option(
            envvar="LCJAX_DISTRIBUTED",
            metavar="auto|HOST:PORT,N,I",
            help="Train as one of the processes of a job: as Slurm, Open MPI or a TPU pod say, or as process I of N.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """How a model's test error falls with training data, why, and how many examples reach the error you need."""
    if distributed is not None:
        with one_line_errors():
            join_job(distributed)


def main() -> None:
    """Run the command line."""
    app()


@contextlib.contextmanager
def one_line_errors(*, interrupted: str = "Interrupted.") -> Iterator[None]:
    """One line and a non-zero exit code for whatever is the user's to mend, and for Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, OSError) as error:
        if os.environ.get("LCJAX_DEBUG"):
            raise
        print(f"lcjax: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None


def join_job(text: str) -> None:
    """Become one of several processes that train together; `text` is "auto" or "HOST:PORT,PROCESSES,INDEX".

    Raises:
        ValueError: nothing is written so, or the others cannot be reached.
    """
    import jax

    options: dict[str, Any] = {}
    if text != "auto":
        address, _, numbers = text.partition(",")
        count, _, index = numbers.partition(",")
        if not (":" in address and count.isdecimal() and index.isdecimal() and int(index) < int(count)):
            raise ValueError(
                f'--distributed takes "auto" or HOST:PORT,PROCESSES,INDEX such as host1:9911,2,0, got {text!r}.'
            )
        options = {"coordinator_address": address, "num_processes": int(count), "process_id": int(index)}
    # What libraries print goes to standard error: Gloo would spoil --json.
    output = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(output, "w")
    try:
        jax.distributed.initialize(**options)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"--distributed {text}: {error}") from None


def speaks() -> bool:
    """Whether this process prints: alone, or the first of a job."""
    import jax

    return not jax.distributed.is_initialized() or jax.process_index() == 0


@contextlib.contextmanager
def progress_bars(quiet: bool) -> "Iterator[OnProgress]":
    """Show a progress bar with the time left for each stage, on standard error."""
    import rich.console
    import rich.progress as rp

    columns = (
        rp.TextColumn("{task.description}"),
        rp.BarColumn(),
        rp.TaskProgressColumn(),
        rp.TimeElapsedColumn(),
        rp.TimeRemainingColumn(),
    )
    console = rich.console.Console(stderr=True, quiet=quiet or not speaks())
    with rp.Progress(*columns, console=console) as progress:
        tasks: dict[str, rp.TaskID] = {}

        def report(state: "Progress") -> None:
            if state.stage not in tasks:
                tasks[state.stage] = progress.add_task(state.stage, total=state.total)
            progress.update(tasks[state.stage], completed=state.done, total=state.total)

        yield report


def number_list(option: str, text: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} takes numbers separated by commas, got {text!r}.") from None


def integer_list(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} takes whole numbers separated by commas, got {text!r}.") from None


def shards_named(name: ShardsName) -> "Shards":
    """What `--shards` says."""
    from lcjax.data.shards import independent_shards, nested_shards

    return {ShardsName.nested: nested_shards, ShardsName.independent: independent_shards}[name]


def use_device(device: DeviceName | None) -> None:
    """Compute there; in a job, all processes but the first fall silent, now that JAX may look at its devices."""
    if device is not None:
        _use(device)
    if not speaks():
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _use(device: DeviceName) -> None:
    import jax

    # A list such as "cuda,rocm" would demand every one of them; by default JAX takes the GPU that is there.
    jax.config.update("jax_platforms", None if device is DeviceName.gpu else device.value)
    try:
        jax.devices(device.value)
    except RuntimeError as error:
        raise ValueError(f"--device {device.value}: this machine has none that JAX can use ({error}).") from None


def keep_compiled() -> None:
    """Keep compiled programs for the next command, unless the user keeps them elsewhere already.

    `$LCJAX_CACHE` names another folder, or none where it is empty.
    """
    import jax

    from lcjax.files import cache_folder

    folder = cache_folder()
    if folder is None or jax.config.values["jax_compilation_cache_dir"]:
        return
    try:
        writable(folder)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def writable(folder: Path) -> Path:
    """Refuse a folder that cannot be written before any work is done."""
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"Cannot write to {folder}: {error.strerror}; choose another folder with --output.") from None
    return folder
