"""`lcjax simulate`: table, figure and JSON of a small simulation."""

import json

import pytest

SMALL = ["--dimensions", "2", "--sizes", "100,1000", "--test-size", "50", "--repeats", "2", "--precise-repeats", "3"]


@pytest.fixture(scope="module")
def simulated(lcjax, tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulate")
    return folder, lcjax("simulate", *SMALL, "--output", folder)


@pytest.mark.slow
def test_table_and_file_agree(simulated):
    folder, (code, out, _) = simulated
    assert code == 0
    result = json.loads((folder / "simulation.json").read_text())
    simulation = result["simulation"]
    assert result["configuration"]["sizes"] == [100, 1000]
    assert result["configuration"]["seed"] == 0
    cells = next(line.split() for line in out.splitlines() if line.split()[:1] == ["2"])
    laws = ("hypercube", "poisson", "simulation")
    expected = [100 * simulation[kind][law][0] for kind in ("largest_deviation", "mean_deviation") for law in laws]
    assert cells[1:7] == [f"{value:.1f}" for value in expected]
    assert cells[7] == f"{max(map(abs, simulation['zscore'][0])):.2f}"
    assert out.splitlines()[-1].startswith(f"Results: {folder / 'simulation.json'}, {folder / 'figure1.png'}")
    assert (folder / "figure1.svg").stat().st_size > 0


@pytest.mark.slow
def test_the_seed_makes_the_numbers(simulated, lcjax, tmp_path):
    folder, _ = simulated
    _, out, err = lcjax("simulate", *SMALL, "--json", "--output", tmp_path)
    assert err == ""
    assert json.loads(out)["simulation"] == json.loads((folder / "simulation.json").read_text())["simulation"]
    _, out, _ = lcjax("simulate", *SMALL, "--seed", "1", "--json", "--force", "--output", tmp_path)
    assert json.loads(out)["simulation"] != json.loads((folder / "simulation.json").read_text())["simulation"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dimensions", "0"], "'--dimensions': expected an integer from 1 to 1000, got '0'"),
        (["--sizes", "ten"], "'--sizes': expected an integer from 1 to 10000000, got 'ten'"),
        (["--radius", "30"], "must lie in (0, 20] standard deviations, got 30"),
    ],
)
def test_wrong_options_are_one_line(lcjax, tmp_path, arguments, message):
    code, out, err = lcjax("simulate", *arguments, "--output", tmp_path)
    assert (code, out) == (1 + ("expected" in err), "")
    (line,) = err.strip().splitlines()
    assert message in line
