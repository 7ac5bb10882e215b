"""Results must not replace what a run did not write: photos, and the files of others that go by the same names."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from recon.errors import InputError
from recon.export import EXPORTERS
from recon.files import is_temporary
from recon.run.record import JOURNAL_NAME, listed_files, read_record
from recon.sources.images import check_folders_apart


def check_outputs(folder: Path, formats: Sequence[str], photo_folders: Iterable[Path] = ()) -> None:
    """Refuse formats whose files or folders would lie where others are that no run of ours wrote.

    Args:
        folder: of the results; it need not exist.
        formats: names of export formats.
        photo_folders: that hold the photos.

    Raises:
        InputError: naming what is in the way.
    """
    photo_folders = tuple(photo_folders)
    outputs = {output: name for name in formats for output in EXPORTERS[name].outputs}
    found = [output for output in outputs if _holds_something(folder / output)]
    own = _own(folder) if found else set()
    for output in found:
        path = folder / output
        if path.is_dir():
            check_folders_apart(photo_folders, path)
        if output not in own:
            raise InputError(
                f"{path} is there already, and no run of recon wrote it: the format {outputs[output]} would replace "
                "it; choose another folder"
            )


def _holds_something(path: Path) -> bool:
    """Whether there is a file, or a folder with more than what a run left that was killed as it began to write."""
    if path.is_dir() and not path.is_symlink():
        return any(not one.is_dir() and not is_temporary(one.name) for one in path.rglob("*"))
    return path.exists()


def _own(folder: Path) -> set[str]:
    """First part of the path of each file that the runs into `folder` have written, as far as they noted them."""
    names: list[str] = []
    with contextlib.suppress(InputError, AttributeError, KeyError, TypeError):
        record: dict[str, Any] | None = read_record(folder)
        while record is not None:
            names += [file["path"] for file in listed_files(record)]
            record = record.get("earlier")
    with contextlib.suppress(OSError):
        for line in (folder / JOURNAL_NAME).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # the last line may be cut short
                names.append(str(json.loads(line)["path"]))
    return {PurePosixPath(name).parts[0] for name in names if name}
