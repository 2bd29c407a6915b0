"""Metrics from the files that a training wrote: JSON, CSV, TensorBoard event files, or a run of MLflow."""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcjax.files import reading
from lcjax.records import parse_json
from lcjax.typing import PathLike

__all__ = ["numbers_in", "parse_object", "read_metrics"]

_LARGEST = 2**28  # bytes of a JSON or CSV file that is read
_EVENTS = "*tfevents*"


def read_metrics(path: PathLike) -> dict[str, float]:
    r"""Return the final values of the metrics in a file or folder.

    - JSON: the numbers of the object, and those in objects within it as `outer.inner`; of a list or of lines of JSON,
      the last object.
    - CSV or tab-separated text with names in the first line: the last row, and for an empty cell the last one above it
      that is not.
    - A folder with event files of TensorBoard, at any depth: the last value of each scalar. This needs `tensorboard`.
    - A folder with one run of MLflow's file store, at any depth: the last value of each metric.

    Args:
        path: the file or folder.

    Raises:
        ValueError: it is none of these, has no number, or needs a library that is not installed.
        OSError: it does not exist.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "metrics.csv")
        ...     _ = path.write_text("epoch,error,auc\n1,0.5,0.7\n2,0.25,\n")
        ...     read_metrics(path)
        {'epoch': 2.0, 'error': 0.25, 'auc': 0.7}
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No file or folder {path}.")
    if path.is_dir():
        metrics = _read_folder(path)
    else:
        with reading(path):
            metrics = _read_file(path)
    if not metrics:
        raise ValueError(f"{path} has no metric (a number with a name).")
    return metrics


def parse_object(text: str) -> dict[str, float]:
    """Return the numbers of a JSON object, as Python writes it, which spells nan; nothing from any other text.

    Examples:
        >>> parse_object('{"test": {"error": 0.5}, "done": true}'), parse_object("epoch 1")
        ({'test.error': 0.5}, {})
    """
    if not text.lstrip().startswith("{"):
        return {}
    try:
        fields = parse_json(text.encode())
    except ValueError:
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            return {}
    return numbers_in(fields) if isinstance(fields, dict) else {}


def numbers_in(fields: Mapping[str, Any], outer: str = "") -> dict[str, float]:
    """Return the numbers in a JSON object and in the objects within it, by name."""
    numbers: dict[str, float] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            numbers |= numbers_in(value, f"{outer}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[f"{outer}{name}"] = float(value)
    return numbers


def _read_file(path: Path) -> dict[str, float]:
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
    text = path.read_text(encoding="utf-8-sig").strip()
    if text.startswith("["):
        objects = [numbers_in(item) for item in json.loads(text) if isinstance(item, dict)]
        return next((numbers for numbers in reversed(objects) if numbers), {})
    if text.startswith("{"):
        whole = parse_object(text)
        return whole or next((numbers for line in reversed(text.splitlines()) if (numbers := parse_object(line))), {})
    lines = text.splitlines()
    if not lines:
        return {}
    separator = max(",;\t", key=lines[0].count)
    metrics: dict[str, float] = {}
    for row in csv.DictReader(lines, delimiter=separator):
        metrics |= {name.strip(): number for name, cell in row.items() if name and (number := _cell(cell)) is not None}
    return metrics


def _cell(text: object) -> float | None:
    try:
        return float(text) if isinstance(text, str) and text.strip() else None
    except ValueError:
        return None


def _read_folder(path: Path) -> dict[str, float]:
    if any(path.rglob(_EVENTS)):
        return _read_events(path)
    runs = [meta.parent for meta in sorted(path.rglob("meta.yaml")) if (meta.parent / "metrics").is_dir()]
    if len(runs) > 1:
        raise ValueError(
            f"{path} has {len(runs)} runs of MLflow: pass the folder of one of them, or of an experiment with one run."
        )
    if not runs:
        raise ValueError(
            f"{path} has neither event files of TensorBoard nor a run of MLflow's file store (a folder metrics beside "
            "meta.yaml): write a JSON or CSV file."
        )
    metrics = {}
    for file in sorted((runs[0] / "metrics").rglob("*")):
        if file.is_file():
            with reading(file):
                rows = [line.split() for line in file.read_text().splitlines() if line.strip()]
                last = max(enumerate(rows), key=lambda item: (int(item[1][2]) if len(item[1]) > 2 else 0, item[0]))
                metrics[file.relative_to(runs[0] / "metrics").as_posix()] = float(last[1][1])
    return metrics


def _read_events(path: Path) -> dict[str, float]:
    """Return the last value of each scalar in event files; one in a folder within is named FOLDER/TAG."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError:
        raise ValueError(
            f"{path} has event files of TensorBoard, which the package tensorboard reads: pip install tensorboard."
        ) from None
    metrics = {}
    for folder in sorted({file.parent for file in path.rglob(_EVENTS)}):
        with reading(folder):
            events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
            events.Reload()
            outer = "" if folder == path else f"{folder.relative_to(path).as_posix()}/"
            for tag in events.Tags()["scalars"]:
                metrics[outer + tag] = float(max(events.Scalars(tag), key=lambda event: event.step).value)
            for tag in events.Tags()["tensors"]:  # scalars of TensorFlow 2
                last = make_ndarray(max(events.Tensors(tag), key=lambda event: event.step).tensor_proto)
                if last.shape == () and last.dtype.kind in "iuf" and not math.isinf(last):
                    metrics[outer + tag] = float(last)
    return metrics
