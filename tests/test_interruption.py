"""Commands under signals: exit code, one line, and no traceback, whatever the main thread is doing."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")

SLEEP = "print('ready', flush=True)\n    time.sleep(60)"
STUBBORN = """print('ready', flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass"""
SWALLOWED = """gc.callbacks.append(lambda phase, _: phase == 'start' and os.kill(os.getpid(), signal.SIGINT))
    print('ready', flush=True)
    gc.collect()
    gc.callbacks.clear()
    time.sleep(60)"""
PRINTED = """print('ready', flush=True)
    try:
        time.sleep(60)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)  # as C code does with an error that it does not raise
    raise ImportError('numpy failed')"""
CHILD = """child = os.fork()
    if child == 0:
        time.sleep(60)
    time.sleep(0.1)
    os.kill(child, signal.SIGTERM)
    assert os.waitpid(child, 0)[1] == signal.SIGTERM
    print('ready', flush=True)
    time.sleep(0.3)"""
THREAD = """threading.Thread(target=time.sleep, args=(60,)).start()
    raise SystemExit(3)"""


def start(body, prelude=""):
    code = f"""
import gc, os, signal, sys, threading, time
from lcjax import interruption
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background of a shell ignores
def command():
    interruption.describe_interruption('Interrupted. Stored.')
    {body}
{prelude}
interruption.run_to_exit(command)
print('returned')
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def interrupt(process, *numbers):
    assert process.stdout.readline() == "ready\n"
    started = time.monotonic()
    for number in numbers:
        time.sleep(0.05)
        process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err, time.monotonic() - started


@pytest.mark.parametrize(
    ("body", "numbers", "code", "seconds"),
    [
        (SLEEP, [signal.SIGINT], 130, (0, 1.9)),
        (SLEEP, [signal.SIGTERM], 143, (0, 1.9)),
        (STUBBORN, [signal.SIGTERM], 143, (2, 20)),
        (STUBBORN, [signal.SIGINT, signal.SIGINT], 130, (0, 1.9)),
        (SWALLOWED, [], 130, (1.9, 20)),
    ],
    ids=["ctrl-c", "terminated", "stubborn", "twice", "swallowed"],
)
def test_a_signal_ends_a_command_in_one_line(body, numbers, code, seconds):
    ended, out, err, after = interrupt(start(body), *numbers)
    assert (ended, out, err) == (code, "", "Interrupted. Stored.\n")
    assert seconds[0] <= after < seconds[1] + 10 * (seconds[0] == 0 and os.getloadavg()[0] > 2)


@pytest.mark.parametrize(
    ("body", "code", "out", "err"),
    [
        ("pass", 0, "returned\n", ""),
        ("raise SystemExit(2)", 2, "", ""),
        ("sys.exit('a reason')", 1, "", "a reason\n"),
        (THREAD, 3, "", ""),
    ],
    ids=["success", "code", "reason", "thread"],
)
def test_a_command_ends_with_its_exit_code(body, code, out, err):
    """The last one does not wait for its thread."""
    process = start(body)
    told = process.communicate(timeout=30)
    assert (process.returncode, *told) == (code, out, err)


def test_an_unexpected_error_shows_its_traceback():
    process = start("raise KeyError('a')")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.endswith("KeyError: 'a'\n")


def test_a_module_that_hides_the_signal_during_its_import_is_interrupted():
    assert interrupt(start(PRINTED), signal.SIGINT)[:3] == (130, "", "Interrupted. Stored.\n")


def test_an_ignored_signal_stays_ignored():
    body = "print('ready', flush=True)\n    time.sleep(0.5)"
    code, out, err, _ = interrupt(start(body, "signal.signal(signal.SIGINT, signal.SIG_IGN)"), signal.SIGINT)
    assert (code, out, err) == (0, "returned\n", "")


def test_a_signal_to_a_forked_child_leaves_its_parent_alone():
    code, out, err, _ = interrupt(start(CHILD))
    assert (code, out, err) == (0, "returned\n", "")
