"""Jobs with absent, surplus, foreign and killed processes: `python -m benchmarks.faults.jobs`.

Every job runs two or three processes of `lcjax measure` on one machine. The cases of ports run in their own namespaces,
where the host name is not that of the loopback. A case records the exit code of each process and the lines on its
standard error, with their times.
"""

import argparse
import contextlib
import json
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lcjax.files import write_json
from lcjax.provenance import environment

__all__ = ["CASES", "Process", "free_port", "listening", "reach"]

ROOT = Path(__file__).parents[2]
COMMAND = "measure --fractions 0.05,0.1 --steps {} --seeds 2 --learning-rates 0.1 --json --output {}"
SHORT, LONG = 30, 100_000  # steps
SECRET = "0123456789abcdef"
LIMIT = 300.0  # seconds of one case
NAME, ADDRESS = "node1.test", "10.7.7.7"  # of the host in its namespace
Case = dict[str, Any]


class Process:
    """One process of a job, and the lines on its standard error with the times at which they came."""

    def __init__(self, place: str, count: int, index: int, output: Path, steps: int = SHORT, secret: str = "") -> None:
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
        if secret:
            variables["LCJAX_SECRET"] = secret
        options = COMMAND.format(steps, output).split()
        self._started = time.monotonic()
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "lcjax", "--distributed", f"{place},{count},{index}", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables, cwd=ROOT,
        )  # fmt: skip
        self.lines: list[tuple[float, str]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        with self.popen.stderr as lines:
            for line in lines:
                self.lines.append((time.monotonic(), line.rstrip("\n")))

    def wait_for(self, text: str) -> None:
        """Wait until a line contains a text.

        Raises:
            TimeoutError: none does in time.
        """
        deadline = time.monotonic() + LIMIT
        while not any(text in line for _, line in self.lines):
            if time.monotonic() > deadline or (self.popen.poll() is not None and not self._reader.is_alive()):
                raise TimeoutError(f"no {text!r} in {[line for _, line in self.lines]}")
            time.sleep(0.02)

    def end(self, since: float | None = None) -> Case:
        """Wait for the end, and return the exit code, and the lines with the seconds since a moment or the start."""
        assert self.popen.stdout is not None
        with self.popen.stdout as stream:
            output = stream.read()
        self.popen.wait(LIMIT)
        self._reader.join(LIMIT)
        zero = self._started if since is None else since
        result = {"exit_code": self.popen.returncode, "lines": [[round(at - zero, 1), line] for at, line in self.lines]}
        if output:
            result["error"] = json.loads(output)["measurement"]["curve"]["error"]
        return result


def free_port() -> int:
    """Return a port of the loopback that nothing uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _place() -> str:
    return f"127.0.0.1:{free_port()}"


def reach(place: str) -> socket.socket:
    """Connect to an address as soon as something listens there."""
    host, _, port = place.rpartition(":")
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return socket.create_connection((host, int(port)), timeout=10)
        time.sleep(0.1)
    raise TimeoutError(place)


def _training(folder: Path) -> None:
    """Wait until a sweep has begun in the folder."""
    deadline = time.monotonic() + LIMIT
    while not list(folder.glob("runs/*/manifest.json")):
        if time.monotonic() > deadline:
            raise TimeoutError(str(folder))
        time.sleep(0.05)
    time.sleep(2)


def together(folder: Path, count: int) -> list[Case]:
    """Train as one command, by several processes, and by one process."""
    place = _place()
    job = [Process(place, count, index, folder / "job", secret=SECRET) for index in range(count)]
    return [process.end() for process in job] + [Process(_place(), 1, 0, folder / "alone").end()]


class _Harm:
    """Code in a pickle."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(self.target),)


def rogue(folder: Path, kind: str) -> list[Case]:
    """Attack a job that waits for process 1 by pickles or a wrong proof; then process 1 joins, and the job ends."""
    place = _place()
    first = Process(place, 2, 0, folder / "job", secret=SECRET)
    with reach(place) as connection:
        if kind == "pickle":
            message = pickle.dumps(_Harm(folder / "harm"))
        else:  # well-formed, with a proof that needs the secret
            message = struct.pack("!II32s32s", 1, 2, bytes(32), bytes(32))
        connection.sendall(struct.pack("!i", len(message)) + message)
        first.wait_for("Refused a connection")
    second = Process(place, 2, 1, folder / "job", secret=SECRET)
    result = [first.end(), second.end()]
    assert not (folder / "harm").exists()
    return result


def other_secret(folder: Path) -> list[Case]:
    """Start process 1 without the secret."""
    place = _place()
    first = Process(place, 2, 0, folder / "job", secret=SECRET)
    second = Process(place, 2, 1, folder / "job").end()
    first.wait_for("Refused")
    first.popen.terminate()
    return [first.end(), second]


def killed(folder: Path, count: int, index: int) -> list[Case]:
    """Kill one process while all train."""
    place = _place()
    job = [Process(place, count, other, folder / "job", LONG) for other in range(count)]
    _training(folder / "job")
    job[index].popen.kill()
    now = time.monotonic()
    return [process.end(now) for process in job]


def absent(folder: Path, count: int, missing: int) -> list[Case]:
    """Start all processes but one."""
    place = _place()
    job = [Process(place, count, index, folder / "job") for index in range(count) if index != missing]
    for process in job:
        process.wait_for(f"rocess {missing}")
    for process in job:
        process.popen.terminate()
    return [process.end() for process in job]


def surplus(folder: Path, count: int, index: int) -> list[Case]:
    """Start a process that says it is one of `count`, beside a job of two, which goes on."""
    place = _place()
    job = [Process(place, 2, other, folder / "job", LONG) for other in range(2)]
    _training(folder / "job")
    result = Process(place, count, index, folder / "surplus").end()
    assert all(process.popen.poll() is None for process in job)
    for process in job:
        process.popen.terminate()
    return [result, *(process.end() for process in job)]


def listening() -> list[str]:
    """Return the addresses and ports of this network namespace at which anything listens."""
    done = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True)
    return sorted(line.split()[3] for line in done.stdout.splitlines())


def ports(folder: Path, host: str) -> list[Case]:
    """Return all ports at which a training job listens, in namespaces whose host name is not the loopback's."""
    if not all(shutil.which(tool) for tool in ("unshare", "ip", "ss", "mount", "hostname")):
        return [{"skipped": "needs unshare, ip, ss, mount and hostname"}]
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} {NAME}\n")
    script = (
        f"hostname {NAME} && ip link set lo up && ip addr add {ADDRESS}/32 dev lo && mount --bind {folder}/hosts "
        f"/etc/hosts && exec {sys.executable} -m benchmarks.faults.jobs --within {host} {folder}"
    )
    command = ["unshare", "-rnum", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=LIMIT)
    return [json.loads(done.stdout) if done.returncode == 0 else {"skipped": done.stderr[-300:]}]


def _within(host: str, folder: Path) -> Case:
    """Return the ports of a job of two, while it trains."""
    secret = "" if host == "localhost" else SECRET
    job = [Process(f"{host}:9911", 2, index, folder / "job", LONG, secret) for index in range(2)]
    _training(folder / "job")
    result = {"host_name": socket.gethostname(), "its_address": socket.gethostbyname(NAME), "listening": listening()}
    for process in job:
        process.popen.terminate()
    return {**result, "exit_codes": [process.end()["exit_code"] for process in job]}


CASES: dict[str, Callable[[Path], list[Case]]] = {
    "two processes and one": lambda folder: together(folder, 2),
    "three processes and one": lambda folder: together(folder, 3),
    "rogue sends pickles": lambda folder: rogue(folder, "pickle"),
    "rogue sends a wrong HMAC": lambda folder: rogue(folder, "proof"),
    "process 1 has no secret": other_secret,
    "process 0 of two killed": lambda folder: killed(folder, 2, 0),
    "process 1 of two killed": lambda folder: killed(folder, 2, 1),
    "process 0 of three killed": lambda folder: killed(folder, 3, 0),
    "process 2 of three killed": lambda folder: killed(folder, 3, 2),
    "process 0 of two absent": lambda folder: absent(folder, 2, 0),
    "process 1 of three absent": lambda folder: absent(folder, 3, 1),
    "second process 1": lambda folder: surplus(folder, 2, 1),
    "process 2 of three beside a job of two": lambda folder: surplus(folder, 3, 2),
    "ports of a job at localhost": lambda folder: ports(folder, "localhost"),
    f"ports of a job at {NAME} ({ADDRESS})": lambda folder: ports(folder, NAME),
}


def main(names: list[str]) -> Iterator[tuple[str, list[Case]]]:
    """Yield the results of the named cases."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LCJAX_CACHE"] = f"{folder}/cache"
        for number, name in enumerate(names):
            place = Path(folder, str(number))
            place.mkdir()
            yield name, CASES[name](place)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results/faults/jobs.json"))
    parser.add_argument("--within", nargs=2, metavar=("HOST", "FOLDER"), help="used within the namespaces")
    parser.add_argument("cases", nargs="*", default=list(CASES))
    given = parser.parse_args()
    if given.within:
        print(json.dumps(_within(given.within[0], Path(given.within[1]))))
    else:
        results = {}
        for title, entry in main(given.cases):
            print(title, json.dumps(entry), flush=True)
            results[title] = entry
            write_json(given.output, {"environment": environment(), "cases": results})
