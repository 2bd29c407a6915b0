"""Tables that a report offers to save."""

from lcjax.csv_files import csv_text
from lcjax.reports.page import Attachment
from lcjax.tracking.long_tables import Tabular, to_columns

__all__ = ["attach_table"]


def attach_table(value: Tabular, name: str) -> Attachment:
    r"""Return measurements, curves or a forecast as a CSV file for a page.

    Args:
        value: see `lcjax.tracking.to_columns`.
        name: name of the file.

    Examples:
        >>> import numpy as np, lcjax as lc
        >>> attach_table(lc.LearningCurve(np.array([10.0]), np.array([0.5])), "curve.csv").text
        'curve,size,repeat,error\n,10.0,,0.5\n'
    """
    return Attachment(name, csv_text(to_columns(value)))
