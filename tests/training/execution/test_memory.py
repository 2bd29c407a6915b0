"""Programs that need more memory than there is are refused before anything is allocated."""

import jax
import pytest

import lcjax as lc
from lcjax.studies.recipes import mlp_recipe
from lcjax.training.execution import heuristics


def test_both_amounts_are_given(monkeypatch):
    monkeypatch.setattr(heuristics, "device_memory", lambda: 2**30)
    monkeypatch.setattr(heuristics, "cores", lambda: 4)
    program = mlp_recipe(lc.load_data("digits")).program
    params = {"kernel": jax.ShapeDtypeStruct((1000, 50_000), "float32")}
    heuristics.check_memory(program, params, 1)  # 0.8 GB: the parameters, their gradients and the two moments of Adam
    with pytest.raises(ValueError, match=r"50,000,000 parameters needs 1\.6 GB .*: 2\), but 1\.07 GB are available"):
        heuristics.check_memory(program, params, 2)
    with pytest.raises(ValueError, match=r"needs 3\.2 GB .*: 4\)"):
        heuristics.check_memory(program, params, 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["measure", "--widths", "999999", "--steps", 1], ["compress", "--layers", "2", "--width", "999999"]]
)
def test_a_width_beyond_memory_is_one_line(lcjax, tmp_path, arguments):
    code, _, err = lcjax(*arguments, "--epochs", 1, "--output", tmp_path)
    assert code == 1
    assert err.splitlines()[-1].startswith("lcjax: Training MLP with 1,000,0")
    assert "GB are available" in err
