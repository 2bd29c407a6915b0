"""Tables of `lcjax randomize`."""

from typing import TYPE_CHECKING

import numpy as np

from lcjax.cli.output import format_number, format_percent, print_table
from lcjax.papers.zhang import BOURLARD, PaperRow, paper_row

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.studies.randomization.randomize import RandomizationTests

__all__ = ["print_parameters", "print_randomization"]


def print_parameters() -> None:
    """Print parameters over training examples of well-known models, as in the slides."""
    from rich.console import Console

    from lcjax.studies.randomization.nets import parameter_table

    rows = [[name, f"{p:,}", f"{n:,}", f"{ratio:.0f}"] for name, p, n, ratio in parameter_table()]
    columns = ["net", "parameters", "training examples", "p / n"]
    print_table(Console(), "Parameters over training examples, CIFAR-10 and ImageNet", columns, rows)


def print_randomization(console: "Console", tests: "RandomizationTests", data: str) -> None:
    """Print one table per model beside the paper's numbers, or one of all widths, then orders of fitting and gains."""
    regularized = not tests.plain.all()
    if len(set(tests.net)) > 1 and set(tests.condition) == {"true labels"} and not regularized:
        _print_widths(console, tests)
    else:
        for name, ratio in dict.fromkeys(zip(tests.net, tests.ratio.tolist(), strict=True)):
            _print_net(console, tests, name, ratio)
    console.print(f"Errors in %, on {data}; the paper's are for CIFAR-10 (inception-v3: ImageNet).")
    console.print("Best: lowest error on validation examples during training.")
    _print_orders(console, tests)
    if regularized:
        for text in tests.gains():
            console.print(text)
    console.print(
        f"{len(tests.net)} trainings in {float(tests.seconds):.0f} s, {', '.join(map(str, tests.executions))}"
    )


def _print_widths(console: "Console", tests: "RandomizationTests") -> None:
    rows = []
    errors = (tests.final_train_error, tests.test_error, tests.best_held_out_error)
    for name in dict.fromkeys(tests.net):
        runs = tests.rows(net=name)
        row = [name, f"{tests.parameters[runs[0]]:,}", f"{tests.ratio[runs[0]]:.2f}"]
        rows.append([*row, *(format_percent(np.mean(values[runs])) for values in errors)])
    title = f"Width, {tests.size[0]:,} examples, {len(runs)} seeds"
    print_table(console, title, ["net", "parameters", "p / n", "train", "test", "best"], rows)
    printed = [[f"{units}", "", f"{p}", f"{100 - a:.1f}", f"{100 - b:.1f}", ""] for units, p, a, b in BOURLARD]
    title = "Bourlard and Wellekens (1990), speech frames, as in the slides"
    print_table(console, title, ["units", "", "p / n", "train", "test", ""], printed)


def _print_net(console: "Console", tests: "RandomizationTests", name: str, ratio: float) -> None:
    """Print the conditions of one model and size, each averaged over seeds."""
    regularized = not tests.plain.all()
    top = f"top-{tests.top} " if tests.top > 1 else ""
    columns = ["condition", "p / n", "train", "test", *([f"{top}train", f"{top}test"] if top else []), "best"]
    columns += ["to fit", *(["paper train", "paper test"] if regularized else ["to loss", "slower"])]
    columns += [f"paper {top}test", "paper best"] if regularized and top else []
    errors = [tests.final_train_error, tests.test_error]
    errors += [tests.final_train_top_error, tests.test_top_error] if top else []
    runs = tests.rows(net=name, ratio=ratio)
    first, rows = runs[0], []
    for i in runs[tests.seed[runs] == tests.seed[first]]:
        condition, corruption = tests.condition[i], tests.corruption[i]
        on = {"crop": bool(tests.crop[i]), "decay": bool(tests.decay[i]), "dropout": bool(tests.dropout[i])}
        same = tests.rows(net=name, ratio=ratio, condition=condition, corruption=corruption, **on)
        label = f"labels corrupted {corruption:.1f}" if condition == "corrupted labels" else condition
        row = [", ".join([label, *(part for part, switch in on.items() if switch)]), f"{ratio:.3g}"]
        row += [format_percent(np.mean(values[same])) for values in (*errors, tests.best_held_out_error)]
        row.append(format_number(np.mean(tests.steps_to_fit[same]), ",.0f"))
        if regularized:
            paper = paper_row(name, **on, random_labels=condition == "random labels")
            row += _paper_errors(paper, top=bool(top))
        else:
            row += [format_number(np.mean(tests.steps_to_loss[same]), ",.0f"), f"{np.mean(tests.slowdown[same]):.2f}"]
        rows.append(row)
    title = f"{name}: {tests.parameters[first]:,} parameters, {tests.size[first]:,} examples, p / n = {ratio:.3g}"
    print_table(console, title, columns, rows)


def _paper_errors(row: PaperRow | None, *, top: bool) -> list[str]:
    accuracies = (None,) * 4 if row is None else (row.train, row.test, row.test_top, row.best)
    return ["–" if value is None else f"{100 - value:.2f}" for value in accuracies[: 4 if top else 2]]


def _print_orders(console: "Console", tests: "RandomizationTests") -> None:
    """Print the order in which the conditions are fitted, and the paper's."""
    for name in dict.fromkeys(tests.net):
        for rule, values in (("no error", tests.steps_to_fit), ("0.1 nats", tests.steps_to_loss)):
            steps = {}
            for condition in dict.fromkeys(tests.condition):
                rows = [i for i in tests.rows(net=name, condition=condition) if tests.plain[i]]
                if condition != "corrupted labels" and rows:
                    steps[condition] = float(np.mean(values[rows]))
            if len(steps) > 2 and not np.isnan(list(steps.values())).any():
                order = ", ".join(
                    f"{condition} {steps[condition]:.0f}" for condition in sorted(steps, key=steps.__getitem__)
                )
                console.print(f"Order of fitting to {rule}, {name}: {order}")
    if len(set(tests.condition)) > 2:
        console.print("The paper's order: true labels, shuffled pixels, Gaussian and random pixels, random labels.")
