"""Folders of experiment trackers as tables with a row for each run: MLflow, and TensorBoard where it is installed."""

import importlib
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lcjax.files import reading
from lcjax.tables.table import Table
from lcjax.tables.text import parse_table

__all__ = ["read_tracker_folder"]

_LARGEST_FOLDER = 100_000  # files and folders that are listed
_LARGEST_VALUE = 2**16  # bytes of a parameter, or of the end of a metric's history
_EXPORT = re.compile(r"(?:run-)?(?P<run>.+)-tag-(?P<tag>.+)\.csv", re.IGNORECASE)
_SETTING = re.compile(r"([A-Za-z][A-Za-z_]*?)[=:]([^,;/\\\s=:]+?)(?=$|[,;/\\\s]|[_-][A-Za-z][A-Za-z_]*[=:])")
_STATUS = {1: "running", 2: "scheduled", 3: "finished", 4: "failed", 5: "killed"}  # of MLflow
_REMEDY = (
    "a folder of MLflow has params and metrics in the folder of each run, one of TensorBoard has event files or CSV "
    "exports named RUN-tag-TAG.csv; else pass a CSV file with a row for each run"
)
_NEEDS_TENSORBOARD = (
    "event files of TensorBoard need a package that reads them: pip install tensorboard, or export the scalars as CSV "
    "files named RUN-tag-TAG.csv in one folder"
)

Run = Mapping[str, str]


def read_tracker_folder(folder: Path) -> Table:
    """Return a table of the runs in a folder of MLflow (mlruns), of TensorBoard, or of TensorBoard's CSV exports.

    A metric is its value at the last step. Parameters of TensorBoard are those of its HParams, and those in the name of
    a run, as in `n_train=500,seed=1`.

    Args:
        folder: the folder of runs, or one that contains them.

    Raises:
        ValueError: there are no runs, or a file of a run is damaged.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = {"params/n_train": "500", "params/seed": "1", "metrics/test_error": "1 0.4 0"}
        ...     for name, text in files.items():
        ...         path = Path(folder, "0", "run", name)
        ...         path.parent.mkdir(parents=True, exist_ok=True)
        ...         _ = path.write_text(text)
        ...     table = read_tracker_folder(Path(folder))
        >>> table.heading, [cells[0] for cells in table.columns]
        (['metrics.test_error', 'params.n_train', 'params.seed', 'run'], ['0.4', '500', '1', '0/run'])
    """
    paths = sorted(itertools.islice(folder.rglob("*"), _LARGEST_FOLDER + 1))
    if len(paths) > _LARGEST_FOLDER:
        raise ValueError(f"it has more than {_LARGEST_FOLDER:,} files; pass the folder of one experiment")
    runs = list(_mlflow(folder, paths)) or list(_exports(folder, paths)) or list(_events(folder, paths))
    if not runs:
        raise ValueError(f"it has no runs: {_REMEDY}")
    heading = [*sorted({name for run in runs for name in run} - {"run"}), "run"]
    columns = [[run.get(name, "") for run in runs] for name in heading]
    note = f"Read {len(runs)} runs; each metric is its value at the last step."
    return Table(str(folder), heading, columns, range(1, len(runs) + 1), notes=(note,), unit="run")


def _mlflow(folder: Path, paths: list[Path]) -> Iterator[Run]:
    """Yield the runs of MLflow that are not deleted."""
    for metrics in (path for path in paths if path.name == "metrics" and path.is_dir()):
        run = metrics.parent
        about = run / "meta.yaml"
        text = _read_end(about) if about.is_file() else ""
        if "lifecycle_stage: deleted" in text:
            continue
        state = re.search(r"^status: ([1-5])\s*$", text, re.MULTILINE)
        values = {f"metrics.{_name(file, metrics)}": _last_value(file) for file in _files(metrics)}
        params = {f"params.{_name(file, run / 'params')}": _read_end(file).strip() for file in _files(run / "params")}
        status = {} if state is None else {"status": _STATUS[int(state[1])]}
        yield {**params, **values, **status, "run": str(run.relative_to(folder))}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _read_end(file: Path) -> str:
    """Return the last bytes of a file as text."""
    with file.open("rb") as content:
        content.seek(0, 2)
        content.seek(max(0, content.tell() - _LARGEST_VALUE))
        return content.read(_LARGEST_VALUE).decode(errors="backslashreplace")


def _last_value(file: Path) -> str:
    """Return the value at the last step of a metric of MLflow, whose lines are "timestamp value step"."""
    rows = [line.split() for line in _read_end(file).splitlines()]
    complete = [row for row in rows if len(row) == 3 and row[2].isdecimal()]
    if not complete:
        raise ValueError(f"{file} is not a metric file of MLflow: no line is `timestamp value step`.")
    return max(complete, key=lambda row: int(row[2][:18]))[1]


def _exports(folder: Path, paths: list[Path]) -> Iterator[Run]:
    """Yield the runs of TensorBoard's CSV exports, which are named by run and tag."""
    runs: dict[str, dict[str, str]] = {}
    for path in paths:
        if not (match := _EXPORT.fullmatch(path.name)) or not path.is_file():
            continue
        table = parse_table(path.read_bytes()[: 2**24], str(path))
        names = [name.lower() for name in table.heading]
        if not {"step", "value"} <= set(names) or not len(table):
            raise ValueError(f"{path} is not a TensorBoard export: it has no columns Step and Value.")
        steps = table.numbers(names.index("step"), "Step")
        run = runs.setdefault(match["run"], {**_settings(match["run"]), "run": match["run"]})
        run[match["tag"]] = table.cells(names.index("value"))[int(steps.argmax())]
    yield from runs.values()


def _events(folder: Path, paths: list[Path]) -> Iterator[Run]:
    """Yield the runs of event files, as TensorBoard reads them."""
    places = sorted({path.parent for path in paths if ".tfevents." in path.name and path.is_file()})
    if not places:
        return
    try:
        accumulators: Any = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
        plugin: Any = importlib.import_module("tensorboard.plugins.hparams.plugin_data_pb2")
        tensors: Any = importlib.import_module("tensorboard.util.tensor_util")
    except ImportError:
        raise ValueError(_NEEDS_TENSORBOARD) from None
    for place in places:
        with reading(place):
            events = accumulators.EventAccumulator(str(place), size_guidance={"scalars": 1, "tensors": 1})
            events.Reload()
            name = str(place.relative_to(folder))
            run = {**_settings(name), **_hyperparameters(events, plugin), "run": name}
            for tag in events.Tags()["scalars"]:
                run[tag] = repr(float(events.Scalars(tag)[-1].value))
            for tag in events.Tags()["tensors"]:
                value = tensors.make_ndarray(events.Tensors(tag)[-1].tensor_proto)
                if value.size == 1 and value.dtype.kind in "biuf":
                    run[tag] = repr(float(value.reshape(())))
        yield run


def _hyperparameters(events: Any, plugin: Any) -> Run:
    """Return what TensorBoard's HParams stores of a session."""
    values: dict[str, str] = {}
    for about in events.summary_metadata.values():
        if about.plugin_data.plugin_name != "hparams":
            continue
        content = plugin.HParamsPluginData.FromString(about.plugin_data.content)
        for name, value in content.session_start_info.hparams.items():
            kind = value.WhichOneof("kind")
            if kind is not None:
                number = getattr(value, kind)
                values[f"hparams.{name}"] = f"{number:g}" if isinstance(number, float) else str(number)
    return values


def _settings(name: str) -> dict[str, str]:
    """Return the settings in the name of a run, such as n_train=500,seed=1."""
    return {key.strip("_-"): value for key, value in _SETTING.findall(name)}
