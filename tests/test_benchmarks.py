"""The command of the benchmarks: it lists all of them and runs one by name."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def benchmarks(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_script_is_listed_with_one_line():
    listed = benchmarks().stdout.splitlines()[2:]
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")} - {"harness"}
    scripts |= {path.parent.name for path in (ROOT / "benchmarks").glob("*/__main__.py")}
    assert {line.split()[0] for line in listed} == scripts
    assert all(line.endswith(".") and len(line.split()) > 3 for line in listed)


def test_a_benchmark_runs_by_name_with_its_arguments():
    done = benchmarks("compression_claims", "docs/results/compress-dna")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| claim | dna |")


def test_unknown_benchmark_is_refused_with_the_names():
    done = benchmarks("sweeep")
    assert done.returncode == 1
    assert done.stderr.startswith("No benchmark 'sweeep'. Benchmarks: assurance, cifar10_archive, ")
