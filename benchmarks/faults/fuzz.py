"""Run a reader on mutated files in a separate process with limits on time and memory."""

import collections
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults import readers, sequences, tables
from benchmarks.faults.mutations import mutate
from benchmarks.faults.readers import Subject

__all__ = ["SUBJECTS", "fuzz", "judge", "write_files", "write_mutated"]

SUBJECTS = {**readers.SUBJECTS, **sequences.SUBJECTS, **tables.SUBJECTS}

SECONDS, MEMORY = 2.0, 2**30  # of the processor, for one file; address space beyond what the imports take


def write_mutated(subject: Subject, seed: int, folder: Path) -> str:
    """Write the valid files with one of them mutated, for odd seeds behind its header's check, and return its name."""
    rng = np.random.default_rng(seed)
    files = dict(subject.files())
    names = sorted(subject.inner) if seed % 2 and subject.inner else sorted(files)
    name = names[rng.integers(len(names))]
    if seed % 2 and subject.inner:
        content, pack = subject.inner[name]
        files[name] = pack(mutate(rng, content, subject.tokens))
    else:
        files[name] = mutate(rng, files[name], subject.tokens, keep=subject.keep if seed % 2 else 0)
    write_files(files, folder)
    return name


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files by name, in folders that are created."""
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)


def judge(subject: Subject, folder: Path) -> tuple[str, str]:
    """Read the folder and return "read", "refused" or a fault, with the message."""
    start = time.process_time()
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            subject.read(folder)
        verdict, message = "read", ""
    except (ValueError, OSError) as error:
        verdict, message = "refused", str(error)
        if "\n" in message:
            verdict = "several lines"
        elif str(folder) not in message:
            verdict = "no file named"
    except BaseException as error:
        verdict, message = type(error).__name__, str(error)
    if seen:
        verdict, message = "warning", str(seen[0].message)
    if time.process_time() - start > SECONDS:
        verdict = "slow"
    return verdict, message[:300]


def fuzz(reader: str, files: int, *, first: int = 0) -> dict[str, Any]:
    """Run a reader on `files` mutated files and return the counts of the verdicts, and the seeds of all faults."""
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        progress = Path(scratch, "progress")
        command = [sys.executable, "-m", "benchmarks.faults.fuzz", reader, str(first), str(files), str(progress)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            report = json.loads(done.stdout.splitlines()[-1])  # libraries may print, too
        else:
            reached = progress.read_text() if progress.exists() else "none"
            report = {"verdicts": {"crash": 1}, "faults": [[reached, str(done.returncode), done.stderr[-300:]]]}
    return report


def _run(reader: str, first: int, files: int, progress: Path) -> dict[str, Any]:
    subject = SUBJECTS[reader]
    verdicts: collections.Counter[str] = collections.Counter()
    faults, slowest = [], 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "set")
        folder.mkdir()
        write_files(subject.files(), folder)
        subject.read(folder)  # imports everything, and shows that the files are valid
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for seed in range(first, first + files):
            progress.write_text(str(seed))
            shutil.rmtree(folder)
            folder.mkdir()
            write_mutated(subject, seed, folder)
            start = time.process_time()
            verdict, message = judge(subject, folder)
            slowest = max(slowest, time.process_time() - start)
            verdicts[verdict] += 1
            if verdict not in ("read", "refused"):
                faults.append([seed, verdict, message.replace(scratch, "")])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "verdicts": dict(sorted(verdicts.items())),
        "faults": faults,
        "slowest_seconds": round(slowest, 2),
        "added_megabytes": round((after - before) / 1024),
    }


if __name__ == "__main__":
    print(json.dumps(_run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
