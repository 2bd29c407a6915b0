"""`lcjax --distributed`: what it takes, and two processes that are one command."""

import json
import os
import socket
import subprocess
import sys

import jax
import pytest

from lcjax import cli
from lcjax.cli import options as common

COMMAND = ["measure", "--fractions", "0.05,0.1", "--steps", "30", "--seeds", "2", "--learning-rates", "0.1", "--json"]


@pytest.mark.parametrize("text", ["", "host1:9911", "host1,2,0", "host1:9911,2", "host1:9911,2,2", "host1:9911,two,0"])
def test_what_is_no_process_of_a_job_is_refused(monkeypatch, capsys, text):
    monkeypatch.setattr(sys, "argv", ["lcjax", "--distributed", text, "fit"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    told = capsys.readouterr().err
    assert stopped.value.code == 1
    assert told.count("\n") == 1
    assert f"such as host1:9911,2,0, got {text!r}" in told


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("auto", {}),
        ("host1:9911,4,3", {"coordinator_address": "host1:9911", "num_processes": 4, "process_id": 3}),
        ("[::1]:9911,2,0", {"coordinator_address": "[::1]:9911", "num_processes": 2, "process_id": 0}),
    ],
)
def test_the_job_is_joined(monkeypatch, text, options):
    joined = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **given: joined.append(given))
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    common.join_job(text)
    sys.stdout.close()
    assert joined == [options]


def test_a_job_that_cannot_be_joined_is_told_in_one_line(monkeypatch, capfd):
    """As where no launcher has said who is who."""

    def fail():
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setenv("LCJAX_DISTRIBUTED", "auto")
    monkeypatch.setattr(sys, "argv", ["lcjax", "fit"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    sys.stdout.close()
    assert stopped.value.code == 1
    assert "lcjax: --distributed auto: coordinator_address should be defined.\n" in capfd.readouterr().err


@pytest.mark.slow
def test_two_processes_are_one_command(tmp_path):
    """The first prints what one process alone prints, the other nothing."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}

    def start(*options, output):
        command = [sys.executable, "-m", "lcjax", *options, *COMMAND, "--output", str(output)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    alone = start(output=tmp_path / "alone").communicate(timeout=300)[0]
    job = [start("--distributed", f"localhost:{port},2,{index}", output=tmp_path / "together") for index in range(2)]
    first, second = [process.communicate(timeout=300)[0] for process in job]
    assert [process.returncode for process in job] == [0, 0]
    assert second == ""
    told, expected = (json.loads(text)["measurement"] for text in (first, alone))
    assert told["curve"].keys() == expected["curve"].keys()
    for name in ("size", "error", "train_error"):
        assert told["curve"][name] == pytest.approx(expected["curve"][name], abs=0.01)
