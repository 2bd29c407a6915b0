"""Slurm script of a collection: an array job with one task per training, and a job that gathers the results."""

import shlex
import sys
from collections.abc import Sequence

__all__ = ["array_script"]

_TEMPLATE = """\
#!/bin/bash
# An array job of Slurm with {count} trainings, one per task, and a job that gathers them. Start it with bash.
set -euo pipefail
options=(--time=01:00:00 --cpus-per-task=1)  # resources of each training: adapt these

array=$(sbatch --parsable --job-name=collect --array=0-{last} "${{options[@]}}" <<'SCRIPT'
#!/bin/bash
{python} -m lcjax collect --resume --task "$SLURM_ARRAY_TASK_ID" {words}
SCRIPT
)
sbatch --job-name=gather --time=00:30:00 --dependency="afterany:${{array%%;*}}" <<'SCRIPT'
#!/bin/bash
{python} -m lcjax collect --resume {words}
SCRIPT
"""
_LEFT_OUT = ("--array", "--resume")


def array_script(line: Sequence[str], count: int) -> str:
    r"""Return a shell script that submits a collection to Slurm.

    The tasks share the folder of results, in which each writes a file of its own. The second job starts when all have
    ended, repeats those that failed, and writes the results.

    Args:
        line: the command line, from "collect".
        count: number of trainings.

    Examples:
        >>> script = array_script(["collect", "--sizes", "10,20", "--array", "--", "train", "{size}"], 6)
        >>> script.splitlines()[5]
        'array=$(sbatch --parsable --job-name=collect --array=0-5 "${options[@]}" <<\'SCRIPT\''
        >>> script.splitlines()[7].partition(" -m ")[2]
        'lcjax collect --resume --task "$SLURM_ARRAY_TASK_ID" --sizes 10,20 -- train \'{size}\''
    """
    words = list(line[line.index("collect") + 1 :])
    end = words.index("--") if "--" in words else len(words)
    words = [word for word in words[:end] if word not in _LEFT_OUT] + words[end:]
    return _TEMPLATE.format(count=count, last=count - 1, python=shlex.quote(sys.executable), words=shlex.join(words))
