"""A script whose functions are edited between two runs does not get the old numbers back from its folder."""

import shutil
import subprocess
import sys

import pytest

BODY = """
import sys, warnings; warnings.simplefilter("ignore")
import flax.linen as nn, jax, numpy as np, lcjax as lc
from lcjax.training import Budget, constant, epochs, momentum
def factor(): return {factor}
def my_loss(outputs, targets): return {loss}
class Net(nn.Module):
    classes: int = 2
    def setup(self): self.hidden, self.head = nn.Dense({width}), nn.Dense(self.classes)
    def features(self, inputs, *, train=False): return self.hidden(inputs)
    def __call__(self, inputs, *, train=False): return self.head(self.features(inputs, train=train))
x = np.random.default_rng(0).normal(size=(60, 3)).astype("f4"); y = (x[:, 0] > 0).astype("i4")
part = lc.Examples(x, y); data = lc.Data(part, part, part, classes=2)
program = lc.Program(Net(), my_loss, momentum, constant, 4, Budget(steps=5, records=1), epochs)
columns = {{"size": np.array([20]), "seed": np.array([0]), "learning_rate": np.array([0.1])}}
result = lc.sweep(jax.random.key(0), data, lc.Runs((program,), np.array([0]), columns), folder=sys.argv[1])
print(float(result.train_loss[0, -1]))
"""
ORIGINAL = {"factor": 1, "loss": "factor() * lc.cross_entropy(outputs, targets)", "width": 4}
EDITS = {
    "loss": {"loss": "100 * lc.models.multiclass_hinge(outputs, targets)"},
    "helper": {"factor": 100},
    "width": {"width": 400},
}


@pytest.mark.slow
def test_an_edited_function_is_refused_by_name(tmp_path):
    def run(**edit):
        (tmp_path / "study.py").write_text(BODY.format(**(ORIGINAL | edit)))
        command = [sys.executable, tmp_path / "study.py", tmp_path / "runs"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = run()
    assert first.returncode == 0, first.stderr
    shutil.copytree(tmp_path / "runs", tmp_path / "original")
    assert run().stdout == first.stdout
    for edit, change in EDITS.items():
        done = run(**change)
        assert done.returncode == 1, edit
        place = "model.type (the code of Net" if edit == "width" else "objective (the code of my_loss"
        assert f"differs in runs.programs[0].{place}, or what it refers to, has changed)" in done.stderr, edit
    assert (tmp_path / "runs" / "runs.jsonl").read_bytes() == (tmp_path / "original" / "runs.jsonl").read_bytes()
