"""`lcjax demo`."""

from typing import TYPE_CHECKING

from lcjax.cli.command import Job, command
from lcjax.cli.curves.forecasts import draw_forecasts, print_forecasts

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["demo"]

SIZES = (38, 75, 150, 300, 600, 1198)
REPEATS = 5
TREES = 30
TARGET = 0.02  # error, 1 - accuracy


@command("Curves", "result.json", "measurements.csv", resumable=True)
def demo(job: Job) -> None:
    """Run a full example offline in a few seconds: measure, forecast, answer and report.

    Trains random forests on subsets of scikit-learn's digits, five times at each of six sizes, and estimates how many
    images reach an accuracy of 98 %. Writes measurements.csv, result.json, report.html and a figure.
    """
    from sklearn.ensemble import RandomForestClassifier

    from lcjax.cli.output import print_table, write_result
    from lcjax.data.sources import load_data
    from lcjax.reports.collection import collection_page, metric_means
    from lcjax.studies.collection.collect import collect
    from lcjax.studies.collection.measurements import write_measurements
    from lcjax.studies.fitting.fitted_curves import fit_learning_curves
    from lcjax.studies.fitting.summary import summary
    from lcjax.threads import import_ahead

    import_ahead("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg")
    folder = job.open_folder("demo")
    data = load_data("digits", seed=job.seed)
    with job.show_progress() as report:
        measurements = collect(
            RandomForestClassifier(TREES), SIZES, repeats=REPEATS, data=data, seed=job.seed,
            folder=folder / "trainings", on_progress=report,
        )  # fmt: skip
        write_measurements(folder / "measurements.csv", measurements)
        table = measurements.curves()
        fitted = fit_learning_curves(job.key, table, target_error=TARGET, on_progress=report)
    curves = summary(fitted)
    files = [folder / "measurements.csv", *draw_forecasts(fitted, folder / "curve", "images")]
    page = collection_page(measurements, fitted, curves, "images", title="A random forest on scikit-learn's digits")
    report_file = job.write_report(folder, page)
    settings = {"data": data.name, "model": f"random forest of {TREES} trees", "sizes": SIZES, "repeats": REPEATS}
    result = write_result(folder / "result.json", settings, measurements=measurements, curves=curves)

    def show(console: "Console") -> None:
        print_table(console, *metric_means(measurements))
        print_forecasts(console, fitted, curves, "images", file="result.json")
        console.print(
            f"Open {report_file} in a browser. To do the same with your own training command: lcjax collect -h"
        )

    job.finish(result, [*files, report_file], show)
