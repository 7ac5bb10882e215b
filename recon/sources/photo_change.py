"""What was done to a photo when it was opened, so that the cameras of a run find their way back to the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recon.errors import InputError
from recon.sources.lenses import Lens

UPRIGHT = 1
"""EXIF's orientation of a photo that its file stores upright."""


@dataclass(frozen=True)
class PhotoChange:
    """From the upright photo of a file to the one that a run sees: turned back first, then made a pinhole photo."""

    lens: Lens | None = None
    """What it is undistorted by (`recon.sources.lenses.pinhole_view`); None: it is not."""
    orientation: int = UPRIGHT
    """EXIF's, 1 to 8, that is undone, for its camera is of the photo as the file stores it."""

    def __bool__(self) -> bool:
        """Whether anything was done."""
        return self.lens is not None or self.orientation != UPRIGHT

    @property
    def entry(self) -> dict[str, Any]:
        """As `run.json` has it: `lens` (COLMAP's model, params and size) and `orientation`, where they apply."""
        lens = self.lens
        return {
            **({} if lens is None else {"lens": {"model": lens.model, "params": lens.params, "size": lens.size}}),
            **({} if self.orientation == UPRIGHT else {"orientation": self.orientation}),
        }

    @staticmethod
    def of_entry(entry: Any, label: str) -> PhotoChange:
        """What `entry` says, or nothing where it is None. Raises InputError, beginning with `label`, for another layout
        and for a lens that is none."""
        try:
            entry = {} if entry is None else entry
            orientation, lens = entry.get("orientation", UPRIGHT), None
            if (found := entry.get("lens")) is not None:
                width, height = found["size"]
                params = tuple(float(value) for value in found["params"])
                lens = Lens(str(found["model"]), params, (int(width), int(height)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{label}: what was done to the photo (photo_change) cannot be read; give the scene "
                "again that the run was given"
            ) from error
        if orientation not in range(1, 9):
            raise InputError(f"{label}: orientation must be 1 to 8, not {orientation!r}")
        if lens is not None:
            lens.check(label)
        return PhotoChange(lens, orientation)


def with_change(entry: Mapping[str, Any], change: PhotoChange) -> dict[str, Any]:
    """An entry of `recon.sources.camera_entries.CamerasFile` whose camera is of a photo that was changed so."""
    lens = {} if change.lens is None else {"lens": change.lens}
    return {**entry, **lens, **({} if change.orientation == UPRIGHT else {"orientation": change.orientation})}
