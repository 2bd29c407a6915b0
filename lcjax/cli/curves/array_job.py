"""Slurm script of a collection: an array job with a task for each training, and a job that gathers them."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["array_script"]

_NOT_OPTIONS = ("command", "words", "array", "task")  # in the configuration of a job
_TEMPLATE = """\
#!/bin/bash
# An array job of Slurm with {count} trainings, one a task, and a job that gathers them. Start it with bash.
set -euo pipefail
options=(--time=01:00:00 --cpus-per-task=1)  # of each training: adapt these

array=$(sbatch --parsable --job-name=collect --array=0-{last} "${{options[@]}}" <<'SCRIPT'
#!/bin/bash
{command} --task "$SLURM_ARRAY_TASK_ID" -- {words}
SCRIPT
)
sbatch --job-name=gather --time=00:30:00 --dependency="afterany:${{array%%;*}}" <<'SCRIPT'
#!/bin/bash
{command} -- {words}
SCRIPT
"""


def array_script(options: Mapping[str, object], folder: Path, words: list[str], count: int) -> str:
    r"""Return a shell script that submits a collection to Slurm.

    The tasks share the folder of results, in which each writes a file of its own. The second job starts when all have
    ended, repeats those that failed, and writes the results.

    Args:
        options: options of `lcjax collect`, by parameter; those that are None or False are left out.
        folder: folder of results, shared by all nodes.
        words: the training command.
        count: number of trainings.

    Examples:
        >>> script = array_script({"sizes": "10,20", "repeats": 2}, Path("/results"), ["train", "{size}"], 4)
        >>> script.splitlines()[5]
        'array=$(sbatch --parsable --job-name=collect --array=0-3 "${options[@]}" <<\'SCRIPT\''
        >>> script.splitlines()[7].partition(" -m ")[2]
        'lcjax collect --sizes 10,20 --repeats 2 --output /results --task "$SLURM_ARRAY_TASK_ID" -- train \'{size}\''
    """
    spelled = [sys.executable, "-m", "lcjax", "collect"]
    for name, value in {**options, "output": folder}.items():
        if name in _NOT_OPTIONS or value is None or value is False:
            continue
        spelled.append("--" + name.replace("_", "-"))
        if value is not True:
            spelled.append(str(value.resolve()) if isinstance(value, Path) else str(value))
    return _TEMPLATE.format(count=count, last=count - 1, command=shlex.join(spelled), words=shlex.join(words))
