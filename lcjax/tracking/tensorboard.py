"""Results as event files of TensorBoard: a curve for each repeat, the mean and the forecast, over the sizes."""

import importlib
import time
from collections import defaultdict
from pathlib import Path

from lcjax.tracking.scalars import Scalar, TrackedResult, to_scalars
from lcjax.typing import PathLike

__all__ = ["log_to_tensorboard"]


def log_to_tensorboard(result: TrackedResult, folder: PathLike) -> None:
    """Write a result for TensorBoard, a folder for each series within one of the result's name.

    The step of a value is the number of training examples, rounded.

    Args:
        result: the result.
        folder: the log folder, that of `tensorboard --logdir`.

    Raises:
        ValueError: tensorboard is not installed.

    Examples:
        >>> import numpy as np, lcjax as lc
        >>> sizes, scores = np.array([10, 20]), np.array([[0.5, 0.6], [0.7, 0.8]])
        >>> table = lc.studies.gather_scores(sizes, scores, scoring="accuracy")
        >>> lc.tracking.log_to_tensorboard(lc.tracking.TrackedResult("forest", {}, table), "logs")  # doctest: +SKIP
    """
    try:
        events = importlib.import_module("tensorboard.compat.proto.event_pb2")
        summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        writers = importlib.import_module("tensorboard.summary.writer.event_file_writer")
    except ImportError as error:
        raise ValueError(f"TensorBoard cannot be imported ({error}): pip install tensorboard.") from None
    series: dict[str, list[Scalar]] = defaultdict(list)
    for scalar in to_scalars(result):
        series[scalar.series].append(scalar)
    now = time.time()
    for name, scalars in series.items():
        writer = writers.EventFileWriter(str(Path(folder) / result.name / name))
        try:
            for scalar in scalars:
                value = summaries.Summary.Value(tag=scalar.name, simple_value=scalar.value)
                summary = summaries.Summary(value=[value])
                writer.add_event(events.Event(wall_time=now, step=round(scalar.size), summary=summary))
        finally:
            writer.close()
