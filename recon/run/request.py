"""What can be known to fail before anything is loaded: the input, the wishes, the formats and the folder of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.estimate.estimator import Profile
from recon.run.wishes import wishes_of
from recon.sources.images import PhotoSource, check_folders_apart, list_images

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})


def check_request(
    profile: Profile, image: PhotoSource, options: InferenceOptions, formats: Sequence[str], folder: Path | None
) -> None:
    """Refuse at once what can be known to fail before weights are loaded: input, wishes, formats, folder.

    Raises InputError.
    """
    _check_input(image)
    wishes_of(profile, options, formats)
    for name in ("render_cameras", "render_hw"):
        if getattr(options, name) is not None and "gs_video" not in formats:
            raise InputError(f"{name} is for the export format gs_video, which is not asked for")
    if folder is not None:
        _check_writable(folder)
        check_folders_apart(_paths(image), folder)


def _check_input(image: PhotoSource) -> None:
    """Say clearly what cannot be read yet, instead of that it is not an image, and what is not there at all."""
    supported = "photos and folders of photos are read"
    paths = _paths(image)
    for path in paths:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            raise InputError(
                f"{path}: a video; {supported}. Extract frames first, for example with "
                f"`ffmpeg -i {path.name} -vf fps=2 frames/%04d.jpg`"
            )
        if path.suffix.lower() == ".json":
            raise InputError(
                f"{path}: a scene file; {supported}. Give its folder of images, and cameras with --cameras"
            )
        if any((path / f"images{suffix}").is_file() for suffix in (".bin", ".txt")):
            raise InputError(
                f"{path}: a COLMAP model; {supported}. Give the folder of its images, and cameras with --cameras"
            )
        if path.is_dir():
            list_images(path)
        elif len(paths) == 1 and not path.exists():
            raise InputError(f"{path} does not exist; give an image file or a folder of images")


def _paths(image: PhotoSource) -> list[Path]:
    """The files and folders among the images given."""
    sources = list(image) if isinstance(image, (list, tuple)) else [image]
    return [Path(source).expanduser() for source in sources if isinstance(source, (str, Path))]


def _check_writable(folder: Path) -> None:
    """Raise InputError unless files can be made in `folder`, or in the nearest folder above it that exists."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"cannot write to {folder}: {existing} is not a folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            return
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
