"""Tables that `lcjax randomize` prints."""

from typing import Any

__all__ = ["print_parameters", "print_randomization"]


def print_parameters() -> None:
    """Parameters over examples of well-known nets, as in the slides."""
    import rich.console

    from lcjax.cli.output import print_table
    from lcjax.studies.randomization.nets import parameter_table

    rows = [[name, f"{p:,}", f"{n:,}", f"{ratio:.0f}"] for name, p, n, ratio in parameter_table()]
    columns = ["net", "parameters", "training examples", "p / n"]
    print_table(rich.console.Console(), "Parameters over training examples, CIFAR-10 and ImageNet", columns, rows)


def print_randomization(tests: Any, data: str) -> None:
    """One table a net with the paper's numbers beside ours, or one of all widths; orders of fitting; gains."""
    import rich.console

    console = rich.console.Console()
    if not console.is_terminal:
        console = rich.console.Console(width=160)  # a file cuts nothing off
    switched = not tests.plain.all()
    widths = len(set(tests.net)) > 1 and set(tests.condition) == {"true labels"} and not switched
    if widths:
        _print_widths(console, tests)
    else:
        _print_nets(console, tests, switched)
    console.print(f"Errors in %, on {data}; the paper's are CIFAR-10's (inception-v3: ImageNet's).")
    console.print("Best: so far, on validation examples.")
    _print_orders(console, tests)
    if switched:
        for text in tests.gains():
            console.print(text)
    console.print(
        f"{len(tests.net)} trainings in {float(tests.seconds):.0f} s, {', '.join(map(str, tests.executions))}"
    )


def _print_widths(console: Any, tests: Any) -> None:
    import numpy as np

    from lcjax.cli.output import format_percent, print_table
    from lcjax.papers.zhang import BOURLARD

    rows = []
    for name in dict.fromkeys(tests.net):
        own = tests.rows(net=name)
        errors = (tests.final_train_error, tests.test_error, tests.best_held_out_error)
        row = [name, f"{tests.parameters[own[0]]:,}", f"{tests.ratio[own[0]]:.2f}"]
        rows.append([*row, *(format_percent(np.mean(values[own])) for values in errors)])
    title = f"Width, {tests.size[0]:,} examples, {len(own)} seeds"
    print_table(console, title, ["net", "parameters", "p / n", "train", "test", "best"], rows)
    told = [[f"{units}", "", f"{p}", f"{100 - a:.1f}", f"{100 - b:.1f}", ""] for units, p, a, b in BOURLARD]
    title = "Bourlard and Wellekens (1990), speech frames, as in the slides"
    print_table(console, title, ["units", "", "p / n", "train", "test", ""], told)


def _print_nets(console: Any, tests: Any, switched: bool) -> None:
    import numpy as np

    from lcjax.cli.output import format_percent, print_table
    from lcjax.papers.zhang import paper_row

    def count(value: float) -> str:
        return "–" if np.isnan(value) else f"{value:,.0f}"

    top = f"top-{tests.top} " if tests.top > 1 else ""
    columns = ["condition", "p / n", "train", "test", *([f"{top}train", f"{top}test"] if top else []), "best"]
    columns += ["to fit", *(["paper train", "paper test"] if switched else ["to loss", "slower"])]
    columns += [f"paper {top}test", "paper best"] if switched and top else []
    for name, ratio in dict.fromkeys(zip(tests.net, tests.ratio.tolist(), strict=True)):
        own = tests.rows(net=name, ratio=ratio)
        rows = []
        for i in own:
            if tests.seed[i] != tests.seed[own[0]]:
                continue
            on = {"crop": bool(tests.crop[i]), "decay": bool(tests.decay[i]), "dropout": bool(tests.dropout[i])}
            same = tests.rows(
                net=name, ratio=ratio, condition=tests.condition[i], corruption=tests.corruption[i], **on
            )  # fmt: skip
            condition = tests.condition[i]
            if condition == "corrupted labels":
                condition = f"labels corrupted {tests.corruption[i]:.1f}"
            row = [", ".join([condition, *(name for name, switch in on.items() if switch)]), f"{ratio:.3g}"]
            errors = [tests.final_train_error, tests.test_error]
            errors += [tests.final_train_top_error, tests.test_top_error] if top else []
            row += [format_percent(np.mean(values[same])) for values in (*errors, tests.best_held_out_error)]
            row += [count(np.mean(tests.steps_to_fit[same]))]
            if not switched:
                row += [count(np.mean(tests.steps_to_loss[same])), f"{np.mean(tests.slowdown[same]):.2f}"]
            else:
                paper = paper_row(name, **on, random_labels=condition == "random labels")
                told: list[float | None] = [paper.train, paper.test] if paper else [None, None]
                told += [paper.test_top if paper else None, paper.best if paper else None] if top else []
                row += ["–" if value is None else f"{100 - value:.2f}" for value in told]
            rows.append(row)
        first = own[0]
        title = f"{name}: {tests.parameters[first]:,} parameters, {tests.size[first]:,} examples, p / n = {ratio:.3g}"
        print_table(console, title, columns, rows)


def _print_orders(console: Any, tests: Any) -> None:
    """In which order the conditions are fitted, beside the paper's."""
    import numpy as np

    for name in dict.fromkeys(tests.net):
        for rule, values in (("no error", tests.steps_to_fit), ("0.1 nats", tests.steps_to_loss)):
            order = {}
            for condition in dict.fromkeys(tests.condition):
                rows = [i for i in tests.rows(net=name, condition=condition) if tests.plain[i]]
                if condition != "corrupted labels" and rows:
                    order[condition] = float(np.mean(values[rows]))
            if len(order) > 2 and not np.isnan(list(order.values())).any():
                told = ", ".join(
                    f"{condition} {order[condition]:.0f}" for condition in sorted(order, key=order.__getitem__)
                )
                console.print(f"Order of fitting to {rule}, {name}: {told}")
    if len(set(tests.condition)) > 2:
        console.print("The paper's order: true labels, shuffled pixels, Gaussian and random pixels, random labels.")
