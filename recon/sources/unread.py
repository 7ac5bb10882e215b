"""Sources that cannot be read yet, each named for what it is, with what to do instead."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from recon.errors import InputError
from recon.files import read_json
from recon.sources.formats import PHOTO_SUFFIXES, ZIP, detect_format
from recon.sources.video_kind import VIDEO_SUFFIXES

_SUPPORTED = "photos and folders of photos are read"


def refuse_unread(path: Path, alone: bool) -> None:
    """Raise InputError where `path` is something that is known and not read, or is not there at all.

    Args:
        path: a file or folder that the user named.
        alone: it is all there is: then a file that is no photo by its content is refused whatever its name says;
            among others, such a file is a bad photo, and so is a link to nothing, as a pattern may name it.
    """
    if path.is_dir():
        reason = _unread_folder(path)
    elif not path.exists():
        if alone or not os.path.lexists(path):
            raise InputError(f"'{path}' does not exist; give an image file or a folder of images")
        return
    elif not path.is_file():
        reason = "a pipe or a device, which cannot be read as a file; save what comes from it, and give that file"
    else:
        reason = _unread_file(path, alone)
    if reason is not None:
        raise InputError(f"{path}: {reason}")


def unread_in(folder: Path) -> str | None:
    """What a folder without photos holds instead, for the end of a message; None where that is nothing known."""
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            return f"it holds a video, {path.name}; give that file"
        if zipfile.is_zipfile(path):
            what = _archive(path) or "an archive (ZIP) with photos; give that file"
            return f"it holds {path.name}, {what}"
    return None


def _unread_folder(folder: Path) -> str | None:
    if (folder / "run.json").is_file() and (folder / "exports").is_dir():
        return "the folder of a run, not of photos; `recon export` takes its exports/npz/results.npz"
    return None


def _unread_file(path: Path, alone: bool) -> str | None:
    suffix = path.suffix.lower()
    if suffix in PHOTO_SUFFIXES and not alone:
        return None
    try:
        found = detect_format(path)
    except OSError:
        return None  # reading it says why
    if found is ZIP:
        return _archive(path) if zipfile.is_zipfile(path) else None  # reading it says what is wrong
    if suffix == ".json":
        return _scene_file(path)
    if found is not None and found.remedy and suffix not in PHOTO_SUFFIXES:
        return found.refusal(path).removeprefix(f"'{path}' is ")
    return None


def _archive(path: Path) -> str | None:
    """What a ZIP file is by what it holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    except (zipfile.BadZipFile, OSError):
        return None  # reading it says so
    if names and all(name.endswith(".npy") for name in names):
        if "depth.npy" in names:
            return f"the result of a run; {_SUPPORTED}. `recon export` takes it"
        return f"an archive of NumPy arrays; {_SUPPORTED}. Load it with numpy and give the arrays in Python"
    files = {Path(name).name for name in names}
    photos = sum(Path(name).suffix.lower() in PHOTO_SUFFIXES for name in names)
    unpack = "Unpack it and give the folder of its photos"
    if "transforms.json" in files:
        return f"a nerfstudio scene in an archive (ZIP); {_SUPPORTED}. {unpack}"
    return None if photos else f"an archive (ZIP) without photos; {_SUPPORTED}"


def _scene_file(path: Path) -> str:
    """What a JSON file is by what it says."""
    try:
        content: Any = read_json(path)
    except (OSError, ValueError, json.JSONDecodeError):
        return f"not a photo, and no readable JSON either; {_SUPPORTED}"
    if isinstance(content, dict) and "exports" in content and "versions" in content:
        return f"the record of a run; {_SUPPORTED}. `recon export` takes exports/npz/results.npz beside it"
    return f"a JSON file, perhaps of a scene; {_SUPPORTED}. Give its folder of images, and cameras with --cameras"
