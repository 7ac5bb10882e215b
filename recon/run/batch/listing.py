"""The scenes that a user names: a list, a folder of folders, a pattern, or one by one."""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from recon.choices import RunOptions
from recon.errors import InputError, why
from recon.files import read_json, read_text
from recon.messages import listed, warn
from recon.options import meant, option, options_of
from recon.run.batch.names import names_of
from recon.run.batch.place import STATE_FOLDER
from recon.run.batch.scene import BatchScene, from_anywhere
from recon.sources.names import natural_key
from recon.sources.video_kind import VIDEO_SUFFIXES

LINES = (".txt",)
ENTRIES = (".yaml", ".yml", ".json")
_ARCHIVES = (".zip", ".r3d")
_COMMENT = "#"

ReadLine = Callable[[Sequence[str]], Mapping[str, Any]]
"""The options of `SceneOptions` that words, as on a command line, ask for. Raises InputError."""


@dataclass(frozen=True, kw_only=True)
class SceneOptions(RunOptions):
    """One scene of a list."""

    name: str | None = option(None, help="Of the folder for the results [after the input].", metavar="NAME")


@dataclass(frozen=True)
class _Named:
    """A scene as the user names it."""

    inputs: tuple[Path, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    where: str = ""
    """For errors: the list and the line."""


def scenes_of(
    given: Sequence[Path], common: RunOptions, out: str, read_line: ReadLine, config: str | None = None
) -> list[BatchScene]:
    """The scenes, in the order in which they are named, those of folders and patterns in natural order.

    Args:
        given: lists (.txt: on each line an input as `recon run` takes it, and behind it options of that scene and
            `--name`; .yaml or .json: a list of inputs or of objects with `inputs`, `name` and options; what is named is
            seen from the list's folder), patterns, or scenes; of one folder alone every folder, video and archive in
            it.
        common: options of all scenes; those of a list win.
        out: folder for the results, which is no scene.
        read_line: reads the options of a line.
        config: what `common` began from.

    Raises:
        InputError: nothing there, a list that cannot be read, two scenes that are the same, a name that is none.
    """
    named = [one for path in given for one in _named(path.expanduser(), read_line, alone=len(given) == 1, out=out)]
    named = _without_notes(named)
    if not named:
        raise InputError(f"no scenes in {listed([str(path) for path in given])}")
    names = names_of([(one.name, one.inputs, one.where) for one in named])
    return [
        BatchScene(name, _settings(common, one), None if config is None else _place(config))
        for name, one in zip(names, named, strict=True)
    ]


def _settings(common: RunOptions, named: _Named) -> RunOptions:
    try:
        return from_anywhere(replace(common, **{**named.options, "inputs": named.inputs}))
    except InputError as error:
        raise InputError(f"{named.where}: {error}" if named.where else str(error)) from None


def _place(config: str) -> str:
    return str(Path(config).absolute()) if Path(config).is_file() else config


def _named(path: Path, read_line: ReadLine, alone: bool, out: str) -> Sequence[_Named]:
    if path.is_file() and path.suffix.lower() in LINES:
        return list(_of_lines(path, read_line))
    if path.is_file() and path.suffix.lower() in ENTRIES:
        return list(_of_entries(path))
    if not path.exists() and glob.has_magic(str(path)):
        found = [_Named((one,)) for one in _sorted(Path(text) for text in glob.glob(str(path), recursive=True))]
        if not found:
            raise InputError(
                f"{str(path)!r} matches nothing; give a folder of scenes, a list, or a pattern like 'sites/*'"
            )
        return [one for one in _without_notes(found, say=False) if not _is_of_batch(one.inputs[0], out)]
    if not path.exists():
        raise InputError(f"'{path}' does not exist; give a list of scenes, a folder of folders, or a pattern")
    if not (alone and path.is_dir()):
        return [] if _is_of_batch(path, out) else [_Named((path,))]
    found = [_Named((one,)) for one in _sorted(path.iterdir()) if _may_be_scene(one) and not _is_of_batch(one, out)]
    if not found:
        raise InputError(
            f"'{path}' holds no folders, videos or archives, each a scene; if it is one itself: recon run {path}"
        )
    return found


def _sorted(paths: Iterator[Path] | Sequence[Path]) -> list[Path]:
    return sorted(paths, key=lambda one: (natural_key(one.as_posix()), one.as_posix()))


def _may_be_scene(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return path.is_dir() or path.suffix.lower() in (*VIDEO_SUFFIXES, *_ARCHIVES)


def _is_of_batch(path: Path, out: str) -> bool:
    """Whether it is for the results of a batch."""
    return path.is_dir() and ((path / STATE_FOLDER).is_dir() or path.absolute() == Path(out).absolute())


def _without_notes(named: Sequence[_Named], say: bool = True) -> list[_Named]:
    """Where folders, videos or archives are among what was named just so, single files beside them are none."""
    plain = [one for one in named if not one.where]
    if not any(_may_be_scene(one.inputs[0]) for one in plain):
        return list(named)
    left_out = [one for one in plain if not _may_be_scene(one.inputs[0])]
    if left_out and say:
        warn(f"no scenes, and passed over: {listed([str(one.inputs[0]) for one in left_out])}")
    return [one for one in named if one not in left_out]


def _of_lines(path: Path, read_line: ReadLine) -> Iterator[_Named]:
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read as a list of scenes: {why(error)}") from error
    for number, line in enumerate(lines, 1):
        line, where = line.strip(), f"{path}, line {number}"
        if not line or line.startswith(_COMMENT):
            continue
        if (path.parent / Path(line).expanduser()).exists():  # blanks and all
            yield _from_list(path, {"inputs": (Path(line),)}, where)
            continue
        try:
            yield _from_list(path, read_line(shlex.split(line)), where)
        except ValueError as error:  # InputError is one; the other is of quotes that are not closed
            raise InputError(f"{where}: {error}") from None


def _of_entries(path: Path) -> Iterator[_Named]:
    try:
        entries = read_json(path) if path.suffix.lower() == ".json" else yaml.safe_load(read_text(path))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"'{path}' cannot be read as a list of scenes: {why(error)}") from error
    if not isinstance(entries, list):
        raise InputError(f"'{path}' is no list of scenes; each entry is an input, or has `inputs`, `name` and options")
    known = options_of(SceneOptions)
    for number, entry in enumerate(entries, 1):
        where = f"{path}, entry {number}"
        values = dict(entry) if isinstance(entry, Mapping) else {"inputs": entry}
        if isinstance(values.get("inputs"), (str, Path)):
            values["inputs"] = [values["inputs"]]
        for name in values:
            if name not in known:
                raise InputError(f"{where}: unknown option {name!r}; {meant(name, known)}")
        yield _from_list(
            path, {name: known[name].read(value, f"{where}: {name}") for name, value in values.items()}, where
        )


def _from_list(path: Path, values: Mapping[str, Any], where: str) -> _Named:
    """What is named in a list is seen from its folder."""
    inputs = tuple(_seen_from(path.parent, one) for one in values.get("inputs", ()))
    if not inputs:
        raise InputError(f"{where}: no photos given; begin with a folder, a photo or a video")
    known = options_of(SceneOptions)
    options = {
        name: _of_option(path.parent, value, known[name].may_be_path)
        for name, value in values.items()
        if name not in ("inputs", "name")
    }
    return _Named(inputs, options, values.get("name"), where)


def _of_option(folder: Path, value: Any, may_be_path: bool) -> Any:
    if isinstance(value, tuple):
        return tuple(_of_option(folder, each, may_be_path) for each in value)
    if isinstance(value, Path):
        return _seen_from(folder, value)
    if may_be_path and isinstance(value, str) and (place := _seen_from(folder, Path(value))).exists():
        return str(place)
    return value


def _seen_from(folder: Path, path: Path) -> Path:
    return folder / path.expanduser()


_SHARD = re.compile(r"(\d+)/(\d+)")


def part_of_scenes(scenes: Sequence[BatchScene], shard: str | None) -> list[BatchScene]:
    """Part K of N, of a shard `K/N`: every Nth scene from the Kth on; all where there is none.

    Raises InputError for a shard that is none.
    """
    if shard is None:
        return list(scenes)
    found = _SHARD.fullmatch(shard.strip())
    part, parts = (int(found[1]), int(found[2])) if found is not None else (0, 0)
    if not 1 <= part <= parts:
        raise InputError(f"shard must be K/N with K from 1 to N, such as 3/16, got {shard!r}")
    return list(scenes[part - 1 :: parts])
