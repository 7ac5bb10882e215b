"""Videos as a kind of source."""

from __future__ import annotations

from pathlib import Path

from recon.choices import SourceOptions
from recon.sources.formats import GIF, detect_format
from recon.sources.kind import SourceKind
from recon.sources.source import Source

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".ogv"}
)
"""Of files that are videos where their content tells nothing."""


def _is_video(path: Path) -> bool:
    """Also a GIF that moves."""
    try:
        found = detect_format(path) if path.is_file() else None
        if found is GIF:
            return _moves(path)
        if found is not None:
            return found.kind == "video" or (found.kind == "text" and path.suffix.lower() in VIDEO_SUFFIXES)
        return path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES
    except OSError:
        return False


def _moves(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1) > 1
    except Exception:  # decoders raise almost anything on a damaged file
        return False


def _open_video(path: Path, options: SourceOptions) -> Source:
    from recon.sources.video import VideoSource

    return VideoSource(path, options)


VIDEO = SourceKind(
    "video",
    "a video",
    _is_video,
    _open_video,
    heeds=frozenset({"every", "limit", "ordered", "fps", "frames", "start", "end", "sharpest"}),
)
"""Some of its frames, in order."""
