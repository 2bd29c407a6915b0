"""Folders of results, each of one configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["claim_folder"]

FILE = "command.json"


def claim_folder(folder: Path, configuration: Mapping[str, object], results: Sequence[str], *, force: bool) -> None:
    """Store the configuration of a command in its folder, unless the folder has results of another configuration.

    Args:
        folder: folder of the results, which exists.
        configuration: name of the command and its options.
        results: names of the result files of the command.
        force: True to replace results of another configuration.

    Raises:
        ValueError: the folder has results of another configuration, or of an unknown one.
    """
    from lcjax.files import read_json, write_json
    from lcjax.records import to_dict

    current = to_dict({name: _spell(value) for name, value in configuration.items()})
    file = folder / FILE
    present = [name for name in results if (folder / name).exists()]
    stored = read_json(file) if file.exists() and not force else None
    if present and not force and stored != current:
        reason = f"{folder} holds {present[0]} of " + _difference(stored, current)
        raise ValueError(f"{reason}. Choose another folder with --output, or pass --force to replace the results.")
    if stored != current:
        write_json(file, current)


def _spell(value: object) -> object:
    """Make paths absolute, because the same name in another folder is another file."""
    return str(value.resolve()) if isinstance(value, Path) else value


def _difference(stored: object, current: Mapping[str, object]) -> str:
    """Return the first option in which two configurations differ, in words."""
    if not isinstance(stored, Mapping):
        return f"an unknown configuration, as there is no valid {FILE}"
    if stored.get("command") != current["command"]:
        return f"another command, {stored.get('command')!r}"
    names = dict.fromkeys([*stored, *current])
    name = next(name for name in names if stored.get(name) != current.get(name))
    values = (repr(one.get(name, "not an option")) for one in (stored, current))
    return "another configuration, with --{}={} instead of {}".format(name.replace("_", "-"), *values)
