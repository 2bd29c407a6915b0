"""Folders of results, each of one configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["claim_folder"]

FILE = "command.json"


def claim_folder(
    folder: Path,
    configuration: Mapping[str, object],
    results: Sequence[str],
    *,
    partial: Sequence[str] = (),
    force: bool,
    resume: bool | None = None,
    free: Sequence[str] = (),
    write: bool = True,
) -> None:
    """Store the configuration of a command in its folder, unless the folder has results that must not be replaced.

    A command that was interrupted, some of whose results are missing, can be repeated as it was. Results that are
    complete, or of another configuration, are replaced only on request.

    Args:
        folder: folder of the results, which exists.
        configuration: name of the command and its options.
        results: names of the result files of the command, one of which is there when it has ended.
        partial: names of the files that it writes before.
        force: True to replace any results.
        resume: True to replace results of the same configuration; None for a command that stores no trainings.
        free: options that may change, because the results are made anew from what the folder stores.
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
    present = [name for name in (*partial, *results) if (folder / name).exists()]
    is_complete = bool(set(present) - set(partial))
    if not present and is_claimed and not isinstance(_command(stored), str):
        raise ValueError(f"{file} was not written by lcjax. Choose another folder with --output, or pass --force.")
    if not present and is_claimed and _command(stored) != current["command"]:
        present = sorted(path.name for path in folder.iterdir() if path.name != FILE and not path.name.startswith("."))
    if present and not force and _without(stored, free) != _without(current, free):
        reason = f"{folder} holds {present[0]} of " + _difference(_without(stored, free), _without(current, free))
        raise ValueError(f"{reason}. Choose another folder with --output, or pass --force to replace the results.")
    if is_complete and not force and not resume:
        remedies = ["choose another folder with --output", "pass --force to replace the results"]
        if resume is not None:
            remedies.insert(1, "pass --resume to continue from the trainings in it")
        raise ValueError(f"{folder} holds {present[-1]} of this command; {', or '.join(remedies)}.")
    if write and stored != current:
        write_json(file, current)


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
