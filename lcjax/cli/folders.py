"""Folders of results, each of one configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["claim_folder", "finish_folder"]

FILE = "command.json"
FINISHED = "finished"  # its entry that is true once the command has ended
RESUMED = "resumed"  # its entry with the options that replace the others once a resumed command has ended


def claim_folder(
    folder: Path,
    configuration: Mapping[str, object],
    results: Sequence[str],
    *,
    force: bool,
    resume: bool | None = None,
    free: Sequence[str] = (),
    write: bool = True,
) -> None:
    """Store the configuration of a command in its folder, unless the folder has results that must not be replaced.

    A command that was interrupted can be repeated as it was. Results of one that has ended (`finish_folder`), or of
    another configuration, are replaced only on request.

    Args:
        folder: folder of the results, which exists.
        configuration: name of the command and its options.
        results: names of the result files of the command.
        force: True to replace any results.
        resume: True to replace results of the same configuration; None for a command that stores no trainings.
        free: options that may change, because the results are recomputed from what the folder stores.
        write: False to check the folder without storing the configuration.

    Raises:
        ValueError: the folder has results of this configuration, of another one, or of an unknown one.
    """
    from lcjax.files import read_json, write_json
    from lcjax.records import to_dict

    current = to_dict({name: _spell(value) for name, value in configuration.items()})
    file = folder / FILE
    is_claimed = file.exists() and not force
    stored = read_json(file) if is_claimed else None
    is_finished = stored.pop(FINISHED, True) is not False if isinstance(stored, dict) else True
    if isinstance(stored, dict):
        stored.pop(RESUMED, None)
    present = [name for name in results if (folder / name).exists()]
    if not present and is_claimed and not isinstance(_command(stored), str):
        raise ValueError(f"{file} was not written by lcjax. Choose another folder with --output, or pass --force.")
    if not present and is_claimed and _command(stored) != current["command"]:
        present = sorted(path.name for path in folder.iterdir() if path.name != FILE and not path.name.startswith("."))
    if present and not force and _without(stored, free) != _without(current, free):
        reason = f"{folder} holds {present[0]} of " + _difference(_without(stored, free), _without(current, free))
        raise ValueError(f"{reason}. Choose another folder with --output, or pass --force to replace the results.")
    if present and is_finished and not force and not resume:
        again = "" if resume is None else "pass --resume to recompute the results from its trainings, "
        raise ValueError(
            f"{folder} holds {present[0]} of this command: choose another folder with --output, {again}or pass "
            "--force to replace the results."
        )
    if not write:
        return
    if present and is_finished and not force and isinstance(stored, dict):  # the results stay until there are new ones
        write_json(file, {**stored, FINISHED: True, RESUMED: current})
    else:
        write_json(file, {**current, FINISHED: False})


def finish_folder(folder: Path) -> None:
    """Note that the command whose configuration a folder holds has ended.

    Args:
        folder: folder of the results; one without a configuration is left alone.
    """
    from lcjax.files import read_json, write_json

    file = folder / FILE
    if file.exists():
        stored = read_json(file)
        write_json(file, {**stored.get(RESUMED, stored), FINISHED: True})


def _spell(value: object) -> object:
    """Make paths absolute, because the same name in another folder is another file."""
    return str(value.resolve()) if isinstance(value, Path) else value


def _without(configuration: Any, free: Sequence[str]) -> Any:
    if not isinstance(configuration, Mapping):
        return configuration
    return {name: value for name, value in configuration.items() if name not in free}


def _command(stored: object) -> object:
    return stored.get("command") if isinstance(stored, Mapping) else None


def _difference(stored: object, current: Mapping[str, object]) -> str:
    """Return the first option in which two configurations differ, in words."""
    if not isinstance(stored, Mapping) or not isinstance(_command(stored), str):
        return f"an unknown configuration, as there is no valid {FILE}"
    if stored["command"] != current["command"]:
        return f"another command, {stored['command']!r}"
    names = dict.fromkeys([*stored, *current])
    name = next(name for name in names if stored.get(name) != current.get(name))
    option, before, now = "--" + name.replace("_", "-"), stored.get(name), current.get(name)
    if before is None:
        return f"another configuration, without {option}={now!r}"
    return f"another configuration, with {option}={before!r}" + ("" if now is None else f" instead of {now!r}")
