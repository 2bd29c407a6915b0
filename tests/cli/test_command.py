"""Behaviour common to all commands: help, device, compilation cache, interruption, and the processes of a job."""

import json
import os
import socket
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest

import lcjax as lcjax_package
from lcjax import cli
from lcjax.cli import command
from lcjax.cli.notices import one_line_warnings
from lcjax.kernels import stored_programs

CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
COMMAND = ["measure", "--fractions", "0.05,0.1", "--steps", "30", "--seeds", "2", "--learning-rates", "0.1", "--json"]


SECRET = "0123456789abcdef"
WRONG = ["", "host1:9911", "host1,2,0", "host1:9911,2", "host1:9911,2,2", "host1:9911,two,0", "host1:9911,2,0,0"]
WRONG += ["host1:0,2,0", "host1:65536,2,0", "host1:9911,5000,0", "host1:9911,0,0", "host1:9911,2,-1", ":9911,2,0"]
WRONG += ["host1:9911,2,١"]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_process_of_a_job_is_refused(lcjax, text):
    code, _, err = lcjax("--distributed", text, "fit")
    assert code == 1
    assert err.count("\n") == 1
    assert f"such as host1:9911,2,0, got {text!r}" in err


@pytest.mark.parametrize(
    ("text", "place"), [("host1:9911,4,3", ("host1", 9911, 4, 3)), ("[::1]:9911,2,0", ("::1", 9911, 2, 0))]
)
def test_a_job_started_by_hand_is_joined(monkeypatch, text, place):
    joined = []
    monkeypatch.setattr(command, "connect", lambda *given: joined.append(given))
    command.join_job(text)
    assert joined == [place]


@pytest.fixture
def cluster(monkeypatch):
    """Let a test replace what a launcher of processes does, and keep the standard output."""
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setenv("LCJAX_SECRET", SECRET)
    before = jax.config.values["jax_enable_preemption_service"]
    yield
    jax.config.update("jax_enable_preemption_service", before)


@pytest.mark.usefixtures("cluster")
def test_a_job_of_a_cluster_is_joined(monkeypatch):
    joined = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **given: joined.append(given))
    command.join_job("auto")
    sys.stdout.close()
    assert joined == [{"heartbeat_timeout_seconds": 40}]


@pytest.mark.usefixtures("cluster")
def test_a_job_that_cannot_be_joined_is_reported_in_one_line(monkeypatch, capfd):
    def fail(**_):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    monkeypatch.setenv("LCJAX_DISTRIBUTED", "auto")
    monkeypatch.setattr(sys, "argv", ["lcjax", "fit"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    sys.stdout.close()
    assert stopped.value.code == 1
    assert "lcjax: --distributed auto: coordinator_address should be defined.\n" in capfd.readouterr().err


def test_a_job_of_a_cluster_needs_a_secret(lcjax):
    code, _, err = lcjax("--distributed", "auto", "fit", LCJAX_SECRET="", LCJAX_SECRET_FILE="")
    assert code == 1
    assert err.startswith("lcjax: --distributed auto: a secret is needed. Run `")


WITHOUT_TRAINING = {"compare", "fit", "interpolate", "plan", "simulate"}
COMMANDS = sorted(command.callback.__name__ for command in cli.app.registered_commands)
HEAVY = ("jax", "numpy", "scipy", "flax", "optax", "matplotlib")


def test_help_version_and_completion_import_nothing_heavy():
    """On an idle machine this takes less than 0.6 s; the cause is tested here: no heavy module is imported."""
    calls = [["--help"], ["-h"], ["--version"], *([name, "-h"] for name in COMMANDS)]
    code = (
        "import sys, lcjax.cli\n"
        f"for arguments in {calls}:\n"
        "    sys.argv = ['lcjax', *arguments]\n"
        "    try:\n"
        "        lcjax.cli.main()\n"
        "    except SystemExit as stopped:\n"
        "        assert not stopped.code, arguments\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert f"lcjax {lcjax_package.__version__}\n" in done.stdout
    assert "--install-completion" in done.stdout
    for name in COMMANDS:
        assert f"lcjax {name} [OPTIONS]" in done.stdout


def test_module_runs_the_command_line():
    done = subprocess.run([sys.executable, "-m", "lcjax", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"lcjax {lcjax_package.__version__}\n"


def test_shell_completes_the_names_of_commands():
    environment = {"_LCJAX_COMPLETE": "complete_bash", "COMP_WORDS": "lcjax ", "COMP_CWORD": "1"}
    code = "import sys, lcjax.cli; sys.argv = ['lcjax']; lcjax.cli.main()"
    environment = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert sorted(done.stdout.split()) == COMMANDS


def test_help_groups_the_commands(lcjax):
    _, out, _ = lcjax("--help")
    places = [out.index(word) for word in ("Curves", "│ fit ", "Theory", "│ predict ", "Papers", "│ rank ")]
    assert places == sorted(places)


def test_help_shows_defaults_that_depend_on_other_things(lcjax):
    _, out, _ = lcjax("predict", "--help")
    assert "[default: (all)]" in out
    assert "[default: (measured with bottlenecks)]" in out


@pytest.fixture(params=COMMANDS)
def arguments(request, tmp_path):
    """Return arguments with which a command starts to work."""
    curve = tmp_path / "curve.csv"
    curve.write_text("size,error\n100,0.4\n200,0.3\n400,0.2\n")
    more = {"fit": [curve], "plan": [curve, "--target-error", "0.1"], "rank": ["--task", "images=digits"]}
    more["collect"] = ["train", "{size}", "--sizes", "10"]
    other = tmp_path / "other.csv"
    other.write_text("size,error\n100,0.3\n200,0.2\n400,0.1\n")
    more["compare"] = [curve, other]
    return [request.param, *more.get(request.param, ())]


def test_every_command_keeps_compiled_programs(monkeypatch, lcjax, tmp_path, arguments):
    folder = tmp_path / "programs"
    before = {name: jax.config.values[name] for name in CACHE}

    def stop(self, name, **options):
        raise ValueError(jax.config.jax_compilation_cache_dir)

    monkeypatch.setattr("lcjax.cli.command.Job.open_folder", stop)
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        _, _, err = lcjax(*arguments, LCJAX_CACHE=str(folder))
        assert stored_programs._STORE.folder == folder / "programs"
        lcjax(*arguments, LCJAX_CACHE="")
        assert stored_programs._STORE.folder is None
    finally:
        stored_programs.store_programs(None)
        for name, value in before.items():
            jax.config.update(name, value)
    assert err == f"lcjax: {folder}\n"


def test_every_command_refuses_an_output_that_is_not_writable(lcjax, tmp_path, arguments):
    (tmp_path / "file").write_text("")
    code, out, err = lcjax(*arguments, "--output", tmp_path / "file" / "inside")
    assert (code, out) == (1, "")
    assert err.startswith(f"lcjax: Cannot write to {tmp_path}/file/inside: ")
    assert "choose another folder with --output" in err


def test_every_command_says_whether_it_resumes(monkeypatch, lcjax, tmp_path, arguments):
    """The line is printed by `lcjax.interruption`."""
    lines = []
    monkeypatch.setattr(command, "describe_interruption", lines.append)
    lcjax(*arguments, "--output", tmp_path / "file" / "inside", "--device", "none")
    (tmp_path / "file").write_text("")
    lcjax(*arguments, "--output", tmp_path / "file" / "inside")
    resumes = arguments[0] not in WITHOUT_TRAINING
    more = " Repeat the command to resume; finished trainings are kept." if resumes else ""
    assert lines == [f"Interrupted.{more}"]


def test_every_command_that_trains_takes_a_dry_run_and_resumes(lcjax, arguments):
    _, out, _ = lcjax(arguments[0], "-h")
    trains = arguments[0] not in WITHOUT_TRAINING
    assert ("--dry-run" in out, "--resume" in out) == (trains, trains)
    assert "--quiet" in out
    if trains:
        code, _, err = lcjax(*arguments[:1], "--force", "--resume", *arguments[1:])
        assert (code, err) == (2, "lcjax: Give --force or --resume, not both.\n")


def test_absent_device_is_named(lcjax, tmp_path):
    before = jax.config.jax_platforms
    try:
        code, _, err = lcjax("simulate", "--device", "tpu", "--output", tmp_path)
    finally:
        jax.config.update("jax_platforms", before)
    assert code == 1
    assert err.startswith("lcjax: --device tpu: JAX finds no such device")


@pytest.mark.slow
def test_a_second_command_compiles_little(tmp_path):
    """The second command does not compile any program that takes long to compile."""
    listen = (
        "import sys, jax, lcjax.cli\n"
        "events = []\n"
        "jax.monitoring.register_event_listener(lambda event, **_: events.append(event.rpartition('/')[2]))\n"
        "try:\n"
        "    lcjax.cli.main()\n"
        "finally:\n"
        "    print(events.count('cache_hits'), events.count('cache_misses'), file=sys.stderr)\n"
    )
    cache = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")  # those of the tests
    environment = {name: value for name, value in os.environ.items() if name not in cache}
    environment["LCJAX_CACHE"] = str(tmp_path / "programs")

    def run(output):
        options = ["predict", "--steps", "30", "--seeds", "1", "--dimension", "2", "--json", "--output", str(output)]
        command = [sys.executable, "-c", listen, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return [int(count) for count in done.stderr.split()[-2:]]

    hits, misses = run(tmp_path / "first")
    assert hits < misses
    written = len(list((tmp_path / "programs").glob("*-cache")))
    assert written  # how many take long depends on the machine
    hits, _ = run(tmp_path / "second")
    assert hits >= 0.9 * written  # on a loaded machine, programs that otherwise take just under the threshold are added


@pytest.mark.slow
def test_two_processes_are_one_command(tmp_path):
    """The first process prints the output of a single process, the other prints nothing."""
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


def test_own_warnings_are_one_line_and_those_of_libraries_are_hidden(capsys, monkeypatch):
    own = {"__name__": "lcjax.training.storage.store", "warnings": warnings, "np": np}
    warn = "warnings.warn('the line\\n\\x1b[31m of a run', stacklevel=1)"
    with one_line_warnings():
        warnings.simplefilter("always")
        warnings.warn("of a test", stacklevel=1)
        exec("np.float64(1) / np.float64(0)", own)
        exec(warn, own)
    assert capsys.readouterr().err == "lcjax: the line \\x1b[31m of a run\n"
    monkeypatch.setenv("LCJAX_DEBUG", "1")
    with one_line_warnings():
        warnings.simplefilter("always")
        exec("np.float64(1) / np.float64(0)", own)
    assert "divide by zero" in capsys.readouterr().err
