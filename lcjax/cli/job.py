"""Options shared by all commands, and the operations that depend on them: folder, progress, report, results."""

import contextlib
import dataclasses
import datetime
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lcjax.cli.folders import claim_folder, finish_folder
from lcjax.cli.numbers import Range
from lcjax.cli.options import DeviceName, result
from lcjax.jobs.peers import process_index
from lcjax.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.reports.page import Page
    from lcjax.studies.dry_runs.plan import Plan
    from lcjax.typing import KeyArray, OnProgress

__all__ = ["Job", "is_first_process", "make_writable"]

WIDTH = 190  # columns of a table that is written to a file or a pipe


@dataclasses.dataclass(frozen=True)
class Job:
    """Options shared by all commands, and the operations that depend on them.

    Attributes:
        output: folder of the results; a folder of `lcjax-results` by default.
        device: platform to compute on; JAX's choice by default.
        seed: seed of every random stream.
        print_json: True to print the result as JSON instead of tables and progress.
        quiet: True to print only warnings and errors.
        force: True to replace the results in the folder.
        resume: True to resume from the trainings in the folder and to replace results of the same configuration.
        dry_run: True to print what would be trained.
        configuration: name and options of the command, apart from those that do not change its results.
        results: names of its result files.
        words: the command line, without the name of the program.
        trains: True if the command stores its trainings.
        started: time at which the command started, of `time.monotonic`.
    """

    output: Annotated[Path | None, result("Folder of all results.", show_default="lcjax-results/...")] = None
    device: Annotated[
        DeviceName | None, result("Platform to compute on.", show_default="the fastest that JAX finds")
    ] = None
    seed: Annotated[
        int, result("Seed of data splits and of every random stream.", numbers=Range(int, 0, 2**32 - 1))
    ] = 0
    print_json: Annotated[bool, result("Print the result as JSON instead of tables.", "--json")] = False
    quiet: Annotated[bool, result("Print only warnings and errors.", "--quiet", "-q")] = False
    force: Annotated[bool, result("Replace the results in the folder.", "--force")] = False
    resume: Annotated[
        bool, result("Resume from the trainings in the folder, and replace results of the same options.", "--resume")
    ] = False
    dry_run: Annotated[
        bool, result("Print what would be trained, and how long it would take, without training.", "--dry-run")
    ] = False
    configuration: Mapping[str, object] = dataclasses.field(default_factory=dict, kw_only=True)
    results: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)
    words: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)
    trains: bool = dataclasses.field(default=False, kw_only=True)
    started: float = dataclasses.field(default_factory=time.monotonic, kw_only=True)

    @property
    def is_silent(self) -> bool:
        """True if neither tables nor progress are printed."""
        return self.print_json or self.quiet or not is_first_process()

    @property
    def key(self) -> "KeyArray":
        """Random key of the seed."""
        import jax

        return jax.random.key(self.seed)

    def open_folder(self, name: str, *, free: Sequence[str] = ()) -> Path:
        """Create and return the result folder: `--output`, or by default `name` within `lcjax-results`.

        The configuration is stored there. Results are replaced only under `force`, or under `resume` if they are of the
        same configuration, in which options in `free` may differ. A dry run writes nothing.

        Raises:
            OSError: the folder is not writable.
            ValueError: it holds results that must not be replaced.
        """
        folder = self.output or Path("lcjax-results") / name
        if not self.dry_run:
            make_writable(folder)
        elif not folder.is_dir():
            return folder
        claim_folder(
            folder,
            self.configuration,
            self.results,
            force=self.force,
            resume=self.resume if self.trains else None,
            free=free,
            write=not self.dry_run,
        )
        return folder

    def show_progress(self) -> contextlib.AbstractContextManager["OnProgress"]:
        """Return a context with a progress callback, which draws bars with the remaining time on standard error."""
        from lcjax.cli.progress import show_progress

        return show_progress(quiet=self.is_silent)

    def write_report(self, folder: Path, page: "Page") -> Path:
        """Write the report of the command, `report.html`, with its provenance, and return its path."""
        from lcjax.provenance import environment
        from lcjax.reports.page import Provenance, write_page

        words, now = shlex.join(["lcjax", *self.words]), datetime.datetime.now().astimezone()
        seconds = time.monotonic() - self.started
        made = Provenance(words, self.seed, now.isoformat(" ", "seconds"), seconds, environment())
        write_page(folder / "report.html", page, made)
        return folder / "report.html"

    def print_notes(self, notes: Sequence[str]) -> None:
        """Print what was inferred about the data, on standard error under `--json`."""
        for note in () if self.quiet or not is_first_process() else notes:
            print(printable(note), file=sys.stderr if self.print_json else sys.stdout)

    def finish(
        self, result: Path, files: Sequence[Path], show: Callable[["Console"], None], *, width: int | None = None
    ) -> None:
        """Print the JSON file under `--json`, else the tables (`width` columns, or the terminal's) and file names."""
        from lcjax.files import writing

        finish_folder(result.parent)
        with writing("standard output"):
            if self.print_json:
                print(result.read_text(), end="", flush=True)
            if self.is_silent:
                return
            from lcjax.cli.console import PlainConsole

            console = PlainConsole(width=width)
            show(console if width or console.is_terminal else PlainConsole(width=WIDTH))
            print(printable(f"Results: {', '.join(map(str, (result, *files)))}"), flush=True)

    def print_document(self, fields: Mapping[str, object]) -> None:
        """Print plain data as JSON."""
        import json

        from lcjax.records import to_dict

        print(json.dumps(to_dict(fields), indent=1, allow_nan=False), flush=True)

    def print_plan(self, plan: "Plan") -> None:
        """Print the plan of a dry run, in sentences or as JSON."""
        if self.print_json:
            self.print_document({"dry_run": plan.fields()})
        elif not self.is_silent:
            for sentence in plan.sentences():
                print(printable(sentence))


def is_first_process() -> bool:
    """Return True for the process of a job that prints."""
    return process_index() == 0


def make_writable(folder: Path) -> Path:
    """Create a folder if it does not exist, and return it.

    Raises:
        OSError: it cannot be created or is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"Cannot write to {folder}: {error.strerror}; choose another folder with --output.") from None
    return folder
