"""Count tracebacks, crashes and exceeded limits of every reader on mutated files.

    python -m benchmarks faults [READER ...] [--files 2000] [--output docs/results/faults/fuzz.json]

Half of the files are mutated behind the check of their header: what is compressed or has a checksum is packed again.
A file must be read, or refused by one line that names it, within 2 s and 1 GiB; everything else is a fault, listed with
the seed that makes the file.
"""

import argparse
from pathlib import Path

from benchmarks.faults.fuzz import SUBJECTS, fuzz
from lcjax.files import write_json
from lcjax.provenance import environment


def main() -> None:
    """Run the readers, and print and write their verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", help="names of readers [default: all]")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    unknown = set(arguments.readers) - set(SUBJECTS)
    if unknown:
        parser.error(f"no reader {', '.join(sorted(unknown))}; readers: {', '.join(SUBJECTS)}")
    results = {}
    for reader in arguments.readers or SUBJECTS:
        results[reader] = fuzz(reader, arguments.files)
        print(reader, results[reader], flush=True)
    if arguments.output:
        write_json(arguments.output, {"environment": environment(), "files": arguments.files, "readers": results})


if __name__ == "__main__":
    main()
