"""JSON files that describe scenes: reading them, and whose they are by what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recon.errors import InputError, why
from recon.files import read_json

_MOST_BYTES = 512 * 2**20
"""A file of a million frames has fewer."""


def check_length(path: Path) -> None:
    """Raise InputError for a file that is too large to be one of cameras, OSError where it cannot be looked at."""
    if (length := path.stat().st_size) > _MOST_BYTES:
        raise InputError(f"'{path}' has {length / 2**20:.0f} MiB, too large for a file of cameras")


def read_scene_json(path: Path) -> Any:
    """The content of a file. Raises InputError: unreadable, or too large for a scene."""
    try:
        check_length(path)
        return read_json(path)
    except (ValueError, OSError) as error:
        raise InputError(f"'{path}' is not a readable JSON file: {why(error)}") from error


def is_nerfstudio(content: Any) -> bool:
    """Whether it is a scene of nerfstudio's, Instant-NGP's or Blender's."""
    return _has_frames_with(content, "transform_matrix")


def is_own(content: Any) -> bool:
    """Whether it is a file of cameras of recon's."""
    return _has_frames_with(content, "image")


def _has_frames_with(content: Any, key: str) -> bool:
    frames = content.get("frames") if isinstance(content, dict) else None
    return isinstance(frames, list) and any(isinstance(one, dict) and key in one for one in frames)
