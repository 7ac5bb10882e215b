"""By what the exports of capture apps are recognised; apart, so that the kinds of sources are known at once."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from recon.sources.names import natural_key

POLYCAM_MARKS = ("keyframes/",)
RECORD3D_MARKS = ("metadata", "rgbd/")
STRAY_SCANNER_MARKS = ("rgb.mp4", "odometry.csv", "camera_matrix.csv")
"""What the top folder of each app's exports has: files, and folders with `/` at the end."""


def has_marks(path: Path, marks: Sequence[str]) -> bool:
    """Whether all marks are in the folder, or in one folder of the archive, at `path`."""
    try:
        if path.is_dir():
            return all((path / mark).is_dir() if mark.endswith("/") else (path / mark).is_file() for mark in marks)
        if not (path.is_file() and zipfile.is_zipfile(path)):
            return False
        with zipfile.ZipFile(path) as archive:
            return top_folder(archive.namelist(), marks) is not None
    except (OSError, zipfile.BadZipFile):
        return False


def top_folder(names: Sequence[str], marks: Sequence[str]) -> str | None:
    """The folder, with `/` at its end, that has all marks; the one nearest to the top. None: there is none."""
    inside = [name for name in names if not name.startswith("__MACOSX/")]
    folders = {f"{parent}/" for name in inside for parent in PurePosixPath(name).parents if parent.name}
    have = {*inside, *folders}
    tops = [top for top in ("", *folders) if all(f"{top}{mark}" in have for mark in marks)]
    return min(tops, key=lambda top: (top.count("/"), natural_key(top)), default=None)
