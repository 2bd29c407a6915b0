"""Learning curves of two training scripts, run as commands: boosted trees that print JSON, and a loop that logs a CSV.

Run it without arguments; with `boost` or `loop` it is one of the scripts. In a shell, the first collection is

    lcjax collect --sizes 100,200,400,800 --labels labels.txt -- python collect_command.py boost {indices} {seed}
"""

import csv
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

SIZES = (100, 200, 400, 800)
INPUTS, TARGETS = load_digits(return_X_y=True)
INPUTS, TARGETS, TRAIN = INPUTS / 16, TARGETS % 2, 1200  # odd or even; the others are the test set


def boost(file, seed):
    """Train boosted trees on the examples in a file of indices, and print the metrics as the last line."""
    if importlib.util.find_spec("xgboost") is None:
        from sklearn.ensemble import HistGradientBoostingClassifier as Boosted

        model = Boosted(max_iter=15, random_state=seed)
    else:
        from xgboost import XGBClassifier

        model = XGBClassifier(n_estimators=15, random_state=seed)
    rows = np.loadtxt(file, int)
    model.fit(INPUTS[rows], TARGETS[rows])
    print("trained")
    print(json.dumps({"error": 1 - model.score(INPUTS[TRAIN:], TARGETS[TRAIN:])}))


def loop(file, seed, log):
    """Train a softmax regression by gradient descent, and log the metrics after each epoch."""
    rows = np.loadtxt(file, int)
    fit = _fit_torch if importlib.util.find_spec("torch") is not None else _fit_numpy
    with open(log, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["epoch", "test_error"])
        for epoch, scores in enumerate(fit(rows, seed)):
            writer.writerow([epoch, np.mean(scores.argmax(axis=1) != TARGETS[TRAIN:])])


def _fit_numpy(rows, seed, epochs=40, rate=0.5, batch=32):
    """Yield the scores of the test set after each epoch."""
    rng = np.random.default_rng(seed)
    weights, bias = np.zeros((64, 2)), np.zeros(2)
    for _ in range(epochs):
        for part in np.array_split(rng.permutation(rows), -(-len(rows) // batch)):
            scores = INPUTS[part] @ weights + bias
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            gradient = (shares / shares.sum(axis=1, keepdims=True) - np.eye(2)[TARGETS[part]]) / len(part)
            weights -= rate * INPUTS[part].T @ gradient
            bias -= rate * gradient.sum(axis=0)
        yield INPUTS[TRAIN:] @ weights + bias


def _fit_torch(rows, seed, epochs=40, rate=0.5, batch=32):
    """Yield the scores of the test set after each epoch."""
    import torch

    torch.manual_seed(seed)
    inputs, targets = torch.tensor(INPUTS, dtype=torch.float32), torch.tensor(TARGETS)
    net = torch.nn.Linear(64, 2)
    optimizer = torch.optim.SGD(net.parameters(), rate)
    for _ in range(epochs):
        for part in torch.tensor(rows)[torch.randperm(len(rows))].split(batch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(inputs[part]), targets[part]).backward()
            optimizer.step()
        with torch.no_grad():
            yield net(inputs[TRAIN:]).numpy()


def main():
    """Collect, forecast, plan and print."""
    import jax

    import lcjax as lc

    script = sys.executable, str(Path(__file__).resolve())
    commands = {
        "boosted trees": lc.studies.Command((*script, "boost", "{indices}", "{seed}")),
        "softmax regression": lc.studies.Command(
            (*script, "loop", "{indices}", "{seed}", "{folder}/log.csv"), metrics_from="{folder}/log.csv"
        ),
    }
    for (name, command), target in zip(commands.items(), (0.05, 0.1), strict=True):
        table = lc.collect(command, SIZES, repeats=1, labels=TARGETS[:TRAIN])
        metric = "error" if "error" in table.metrics else "test_error"
        fitted = lc.studies.fit_learning_curves(jax.random.key(0), table.curves(metric), target_error=target)
        answer = fitted.target.size_for_error
        plan = lc.plan_collection(jax.random.key(1), fitted.forecast, target=target, cost=0.1, budget=500.0, rounds=2)
        print(
            f"{name}: error {fitted.table.curve.error[0, -1]:.3f} with {SIZES[-1]} examples; {target} needs "
            f"{answer.value[0]:,.0f} ({answer.low[0]:,.0f} to {answer.high[0]:,.0f}). With 500 for examples that cost "
            f"0.1 each: {plan.sentence()}"
        )
    print(f"seconds of one training: {table.seconds.mean():.2g}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["boost"]:
        boost(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["loop"]:
        loop(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main()
