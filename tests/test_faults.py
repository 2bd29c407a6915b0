"""Commands and jobs under signals, lost processes and intruders, as in `benchmarks/faults`, on small settings."""

import re
import signal
import sys

import pytest

from benchmarks.faults import jobs, kills

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


@pytest.fixture(autouse=True)
def programs(monkeypatch, tmp_path_factory):
    """Share compiled programs between the starts of one test run."""
    monkeypatch.setenv("LCJAX_CACHE", str(tmp_path_factory.getbasetemp() / "faults"))


def test_six_signals_change_no_result(tmp_path):
    order = [
        ("import", signal.SIGTERM),
        ("compile", signal.SIGINT),
        ("write", signal.SIGKILL),
        ("write", signal.SIGTERM),
        ("score", signal.SIGINT),
        ("draw", signal.SIGINT),
    ]
    options = "--fractions 0.1,0.3 --steps 300 --seeds 2 --learning-rates 0.1"
    result = kills.chain("measure", options, order, tmp_path)
    assert result["faults"] == [], result["kills"]
    assert sum(kill["signal"] is not None for kill in result["kills"]) >= 5


@pytest.mark.parametrize("kind", ["pickle", "proof"])
def test_a_rogue_process_is_refused_and_the_job_goes_on(tmp_path, kind):
    first, second = jobs.rogue(tmp_path, kind)
    assert (first["exit_code"], second["exit_code"], second["lines"]) == (0, 0, [])
    assert [line.startswith("lcjax: Refused a connection from 127.0.0.1") for _, line in first["lines"]] == [True]


@pytest.mark.parametrize("index", [0, 1])
def test_the_loss_of_a_process_is_told_in_a_minute(tmp_path, index):
    results = jobs.killed(tmp_path, 2, index)
    assert results[index] == {"exit_code": -signal.SIGKILL, "lines": []}
    (seconds, line), *more = results[1 - index]["lines"]
    assert (results[1 - index]["exit_code"], more) == (1, [])
    assert re.match(
        rf"lcjax: Process {index} of the job at \S+ has ended; .* start all processes again to resume\.", line
    )
    assert seconds < 60


@pytest.mark.parametrize("host", ["localhost", jobs.NAME])
def test_a_job_listens_at_its_own_address_only(tmp_path, host):
    (result,) = jobs.ports(tmp_path, host)
    if "skipped" in result:
        pytest.skip(result["skipped"])
    address = jobs.ADDRESS if host == jobs.NAME else "127.0.0.1"
    assert result["listening"] == [f"{address}:9911"]
    assert (result["host_name"], result["its_address"]) == (jobs.NAME, jobs.ADDRESS)
