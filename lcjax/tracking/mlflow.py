"""Results as runs of MLflow: metrics over the sizes, settings as parameters, and files as artifacts."""

import importlib
import re
import time
from typing import Any

from lcjax.records import to_dict
from lcjax.tracking.scalars import TrackedResult, to_scalars

__all__ = ["log_to_mlflow"]

EXPERIMENT = "lcjax"
TOGETHER = 500  # metrics and parameters of one request; MLflow takes 1000 and 100
LONGEST = 500  # characters of a parameter
_REFUSED = re.compile(r"[^\w\-. /]")  # characters that MLflow does not take in names


def log_to_mlflow(result: TrackedResult, address: str = "") -> str:
    """Store a result as a run of the experiment "lcjax", and return the identifier of the run.

    The step of a metric is the number of training examples, rounded. Repeats are metrics such as `error/repeat-0`.

    Args:
        result: the result.
        address: address of the tracking server, or `sqlite:///FILE`; by default that of `MLFLOW_TRACKING_URI`.

    Raises:
        ValueError: mlflow is not installed, or its server refuses the run.

    Examples:
        >>> import numpy as np, lcjax as lc
        >>> sizes, scores = np.array([10, 20]), np.array([[0.5, 0.6], [0.7, 0.8]])
        >>> table = lc.studies.gather_scores(sizes, scores, scoring="accuracy")
        >>> result = lc.tracking.TrackedResult("forest", {}, table)
        >>> lc.tracking.log_to_mlflow(result, "sqlite:///runs.db")  # doctest: +SKIP
    """
    try:
        tracking = importlib.import_module("mlflow")
        entities = importlib.import_module("mlflow.entities")
    except ImportError as error:
        raise ValueError(f"MLflow cannot be imported ({error}): pip install mlflow.") from None
    try:
        return _log(tracking.MlflowClient(tracking_uri=address or None), entities, result)
    except tracking.MlflowException as error:
        raise ValueError(f"MLflow refused the run: {error}") from None


def _log(client: Any, entities: Any, result: TrackedResult) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    number = client.create_experiment(EXPERIMENT) if experiment is None else experiment.experiment_id
    run: str = client.create_run(number, run_name=result.name).info.run_id
    ended = "FAILED"
    try:
        settings = to_dict(dict(result.settings))
        for name, value in settings.items():
            client.log_param(run, _name(name), str(value)[:LONGEST])
        now = int(1000 * time.time())
        metrics = []
        for series, name, size, value in to_scalars(result):
            full = name if series == "mean" else f"{name}/{series}"
            metrics.append(entities.Metric(_name(full), value, now, round(size)))
        for start in range(0, len(metrics), TOGETHER):
            client.log_batch(run, metrics=metrics[start : start + TOGETHER])
        for file in result.files:
            client.log_artifact(run, str(file))
        ended = "FINISHED"
    finally:
        client.set_terminated(run, ended)
    return run


def _name(text: str) -> str:
    """Return a name that MLflow accepts.

    Examples:
        >>> _name("error <5 %>")
        'error _5 __'
    """
    return _REFUSED.sub("_", text)[:250] or "_"
