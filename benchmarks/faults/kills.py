"""Commands interrupted by signals, which must end with one line and resume: `python -m benchmarks.faults.kills`.

Each command is started again and again in one folder, and every start but the last gets a signal: while it imports,
compiles, trains, writes, scores or draws. The verdicts are the exit code, the lines on standard error, and the files.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lcjax.files import write_json
from lcjax.provenance import environment

__all__ = ["COMMANDS", "PHASES", "Kill", "chain", "faults"]

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "measure": "--fractions 0.1,0.2,0.3,0.5 --steps 3000 --seeds 24 --learning-rates 0.1",
    "predict": "--steps 1500 --seeds 12 --dimension 2 --law hypercube",
    "compress": "--layers 1 --width 8 --losses H,H+W2 --weight 1e-3,1e-2 --rates 0.1 --epochs 40 --seeds 24 "
    "--no-pictures",
    "rank": "--task images=digits --seeds 1",
    "collect": f"--sizes 100,200,400,800 --repeats 10 -- {sys.executable} -m benchmarks.faults.train {{size}} {{seed}}",
}
PHASES = ("import", "compile", "train", "write", "train", "write", "compile", "score", "draw", "draw")
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
LIMIT = 600.0  # seconds of one start
MESSAGE = "Interrupted. Repeat the command to resume; finished trainings are kept."
_BAR = re.compile(r"━|\d+% \S*:\d\d")  # a progress bar
Kill = dict[str, Any]


def _command(name: str, options: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "lcjax", name, "--resume", "--output", str(folder), *options.split()]


def _rows(folder: Path) -> list[str]:
    """Return the complete lines of all finished runs."""
    files = sorted([*folder.glob("**/runs*.jsonl"), *folder.glob("**/trainings.jsonl")])
    return [line for path in files for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _tables(folder: Path) -> dict[str, object]:
    """Return the results without times and environment, and the rows of all sweeps in order."""
    tables: dict[str, object] = {"rows": sorted(str(_lasting(json.loads(row))) for row in _rows(folder))}
    for path in folder.glob("*.json"):
        tables[path.name] = _lasting(json.loads(path.read_text()))
    return tables


def _lasting(value: Any) -> Any:
    """Return what two undisturbed runs share: no times, and no checksums of lines that hold them."""
    if isinstance(value, list):
        return [_lasting(item) for item in value]
    if not isinstance(value, dict):
        return value
    dropped = {"environment", "seconds", *(("checksum",) if "seconds" in value else ())}
    return {name: _lasting(item) for name, item in value.items() if name not in dropped}


def _differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Yield the places where two pieces of plain data differ, with both values."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(set(one) | set(other)):
            yield from _differences(one.get(name), other.get(name), f"{place}/{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _differences(a, b, f"{place}[{i}]")
    elif one != other:
        yield f"{place}: {str(one)[:200]} for {str(other)[:200]}"


def _catches_signals(pid: int) -> bool:
    """Return True if a process has installed its handlers."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt")), "0")
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def _reached(phase: str, folder: Path, start: float, rows: int, total: int) -> bool:
    """Return True when a command that had stored some of its rows seems to be in a phase."""
    if phase == "import":
        return True
    if phase == "compile":  # of a sweep, or after the last one; the imports take about a second
        return time.time() > start + 1.0
    if phase == "draw":
        return any(path.stat().st_mtime > start for path in folder.glob("*.[ps][nv]g"))
    now = len(_rows(folder))
    return now == total if phase == "score" else now > rows or now == total


def _interrupt(command: Sequence[str], folder: Path, phase: str, number: int, total: int, rng: random.Random) -> Kill:
    """Start a command, send it a signal in a phase, and return what happened."""
    rows, start = len(_rows(folder)), time.time()
    before = set(_rows(folder))
    delay = {"import": 1.5, "compile": 3.0, "train": 0.5, "score": 2.0}.get(phase, 0.02) * rng.random()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    while process.poll() is None and not (
        _catches_signals(process.pid) and _reached(phase, folder, start, rows, total)
    ):
        time.sleep(0.005)
    time.sleep(delay)
    hit = process.poll() is None
    if hit:
        process.send_signal(number)
    sent = time.time()
    errors = process.communicate(timeout=LIMIT)[1]
    lines = [line for line in errors.splitlines() if line.strip() and not _BAR.search(line)]
    return {
        "phase": phase,
        "signal": signal.Signals(number).name if hit else None,
        "after_seconds": round(sent - start, 2),
        "exit_code": process.returncode,
        "ended_after_seconds": round(time.time() - sent, 2),
        "lines": lines,
        "written_after": any(path.stat().st_mtime > sent for path in folder.rglob("*")),
        "rows": len(_rows(folder)),
        "lost_rows": len(before - set(_rows(folder))),
    }


def faults(kill: Kill) -> Iterator[str]:
    """Yield what is wrong with the end of an interrupted command."""
    codes = {"SIGKILL": -9, "SIGINT": 130, "SIGTERM": 143, None: 0}
    too_late = kill["exit_code"] == 0 and not kill["written_after"]  # all results were complete at the signal
    if kill["exit_code"] != codes[kill["signal"]] and not too_late:
        yield f"exit code {kill['exit_code']} after {kill['signal']} in {kill['phase']}"
    expected = [[MESSAGE], ["Interrupted."]] if kill["exit_code"] in (130, 143) else [[]]
    if kill["lines"] not in expected:
        yield f"{len(kill['lines'])} lines after {kill['signal']} in {kill['phase']}"
    if kill["lost_rows"]:
        yield f"{kill['lost_rows']} rows lost after {kill['signal']} in {kill['phase']}"


def chain(
    name: str, options: str, signals: Sequence[tuple[str, int]], folder: Path, seed: int = 0
) -> Mapping[str, Any]:
    """Run a command undisturbed, then in another folder with these (phase, signal) pairs, and compare the results."""
    rng = random.Random(seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets background processes ignore it
    calm, disturbed = folder / "calm", folder / "disturbed"
    subprocess.run(_command(name, options, calm), capture_output=True, cwd=ROOT, check=True, timeout=LIMIT)
    total = len(_rows(calm))
    command = _command(name, options, disturbed)
    kills = []
    for phase, number in signals:
        kills.append(_interrupt(command, disturbed, phase, number, total, rng))
        if kills[-1]["signal"] is None:  # it had ended before
            kills.append(_interrupt(command, disturbed, "compile", number, total, rng))
    stored = _rows(disturbed)
    last = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=LIMIT)
    problems = [problem for kill in kills for problem in faults(kill)]
    if last.returncode:
        problems.append(f"the last start ended with {last.returncode}: {last.stderr[-300:]}")
    elif _tables(disturbed) != _tables(calm):
        problems.append(f"the tables differ: {next(_differences(_tables(disturbed), _tables(calm)))}")
    if set(stored) - set(_rows(disturbed)) or len(_rows(disturbed)) != total:
        problems.append("finished runs were trained again")
    names = {path.relative_to(disturbed) for path in disturbed.rglob("*")}
    left = names - {path.relative_to(calm) for path in calm.rglob("*")}
    problems += [f"left over: {path}" for path in sorted(map(str, left))]
    options = options.replace(sys.executable, "python")
    return {"command": f"lcjax {name} {options}", "rows": total, "faults": problems, "kills": kills}


def main(seed: int, names: Sequence[str], report: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Return the chains of the named commands."""
    rng, chains = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            os.environ["LCJAX_CACHE"] = f"{folder}/cache-{name}"
            order = [SIGNALS[i % len(SIGNALS)] for i in range(len(PHASES))]
            rng.shuffle(order)
            pairs = list(zip(PHASES, order, strict=True))
            chains.append(chain(name, COMMANDS[name], pairs, Path(folder, name), seed=rng.randrange(2**32)))
            report(chains[-1])
    count = sum(kill["signal"] is not None for one in chains for kill in one["kills"])
    return {"seed": seed, "signals": count, "faults": sum(len(one["faults"]) for one in chains), "chains": chains}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("docs/results/faults/kills.json"))
    parser.add_argument("commands", nargs="*", default=list(COMMANDS))
    given = parser.parse_args()
    started = time.monotonic()
    results = main(given.seed, given.commands, lambda one: print(one["command"], one["faults"] or "no fault"))
    seconds = round(time.monotonic() - started, 1)
    write_json(given.output, {"environment": environment(), "seconds": seconds, **results})
