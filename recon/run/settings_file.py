"""Settings from a YAML file, or from one of those that come with the package under a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from recon.errors import InputError, why
from recon.files import configs_folder, read_text
from recon.options import Options, meant, options_of


def read_settings_file(name_or_path: str, settings: type[Options], *, part: bool = False) -> dict[str, Any]:
    """What a YAML file, or the file of that name in configs/run, says of the options of a command.

    Where `settings` are but a `part` of those that the command has read from it, other keys are passed over.

    Keys are the names of the options as files have them; relative paths in it count from the working folder. Raises
    `InputError` naming the file and the key for an unknown key, a value that its option does not take, or a file that
    cannot be read.
    """
    path = _find(name_or_path)
    try:
        text = read_text(path)
        node, values = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a YAML file ({str(error).splitlines()[0]})") from error
    _refuse_repeated_keys(node, path)
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise InputError(f"{path}: expected `key: value` lines, found a {type(values).__name__}")
    options = options_of(settings)
    known = {one.key_in_files or name: one for name, one in options.items() if one.in_files}
    for key in values:
        if key in known or part:
            continue
        if key in options and options[key].key_in_files is None:
            raise InputError(f"{path}: {key} belongs on the command line, as {options[key].flag}")
        raise InputError(f"{path}: unknown key '{key}'; {meant(key, known)}")
    return {known[key].name: known[key].read(value, f"{path}: {key}") for key, value in values.items() if key in known}


def _refuse_repeated_keys(node: yaml.Node | None, path: Path) -> None:
    """Raise InputError for a key that is there twice, of which YAML takes the last."""
    lines: dict[str, int] = {}
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode) and lines.setdefault(key.value, line) != line:
            raise InputError(f"{path}: {key.value} is given twice, in lines {lines[key.value]} and {line}")


def settings_names() -> tuple[str, ...]:
    """Names that `--config` understands without a path."""
    return tuple(sorted(path.stem for path in (configs_folder() / "run").glob("*.yaml")))


def _find(name_or_path: str) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.name == name_or_path and not path.suffix:
        bundled = configs_folder() / "run" / f"{name_or_path}.yaml"
        if bundled.is_file():
            return bundled
    raise InputError(f"--config {name_or_path}: no such file; settings known by name: {', '.join(settings_names())}")
