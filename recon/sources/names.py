"""Names of photos and folders: one form of each, the order that people count in, and what is no folder of photos."""

from __future__ import annotations

import re
import unicodedata

NO_PHOTO_FOLDERS = frozenset({"mask", "masks", "depth", "depths", "depth_maps", "depth_vis", "normal", "normals"})
"""Names (lower case) of sub-folders that hold pictures of something else than the scene."""


def normalise_name(name: str) -> str:
    """`name` with its accents composed (Unicode NFC).

    macOS writes file names decomposed, other systems as they were typed: the same name must find its camera on both.
    """
    return unicodedata.normalize("NFC", name)


def natural_key(name: str) -> list[str | int]:
    """Sort key that reads runs of digits as numbers and ignores case: img2 < IMG10 < img011."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]
