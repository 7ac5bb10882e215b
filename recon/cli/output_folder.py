"""Where results go that nobody chose a folder for: under `outputs`, never among the results of another input."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from recon.cli.report import say
from recon.files import read_json
from recon.run.folder_names import name_of_inputs

OUTPUTS = Path("outputs")


def default_folder(inputs: Sequence[Path], ending: str = "") -> Path:
    """The folder for the results of `inputs`: one of their own, and the same one whenever they are given again.

    It is called after the folder, that of a pattern, the photo, or the folder that all the photos are in; one called
    `images`, or the like, is called after what it is in, unless that is the working folder. Where another input has its
    results in the folder of that name, a number is added, which is said on stderr. `ending` is added to the name, for a
    command with results of its own.
    """
    name = f"{name_of_inputs(inputs)}{ending}"
    numbered = (OUTPUTS / (name if number == 1 else f"{name}-{number}") for number in itertools.count(1))
    found = next(folder for folder in numbered if _is_for(folder, inputs))
    if found.name != name:
        say(f"{OUTPUTS / name} holds the results of another input; these go to {found}")
    return found


def _is_for(folder: Path, inputs: Sequence[Path]) -> bool:
    """Whether the results in `folder` are of these inputs, as its `run.json` says, or nobody's."""
    try:
        record = read_json(folder / "run.json")
        recorded = record["settings"]["inputs"]
        return [_place(Path(text)) for text in recorded] == [_place(path) for path in inputs]
    except FileNotFoundError:
        return True
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _place(path: Path) -> str:
    return os.path.realpath(path.expanduser())
