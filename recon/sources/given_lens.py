"""Intrinsics given apart from the places of the cameras: as numbers, or in a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError, why
from recon.files import read_text
from recon.messages import warn
from recon.types.lens import COEFFICIENTS

_FORMS = "FX,FY,CX,CY, with K1,K2,P1,P2[,K3[,K4,K5,K6]] behind them for a lens that bends"
_FILES = "a file with these numbers or a 3×3 matrix, KITTI's calib.txt, or .npy of shape (3, 3) or (N, 3, 3)"


_SAME_SHAPE = 0.1
"""Relative difference of the factors across and down that a photo and a resized one differ by."""
_OWN_SIZE = (0.7, 1.4)
"""Twice the principal point, in units of the photo's size: others are of another size."""


@dataclass(frozen=True)
class GivenLens:
    """Intrinsics of all photos, or one for each."""

    intrinsics: NDArray[np.float64]
    """(1, 3, 3) or (N, 3, 3) in pixels of the upright originals."""
    distortion: NDArray[np.float64] | None = None
    """(1, 8) OpenCV's coefficients."""

    def for_images(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """(count, 3, 3) and (count, 8). Raises InputError where there are intrinsics for another number of images."""
        if len(self.intrinsics) not in (1, count):
            raise InputError(f"intrinsics: {len(self.intrinsics)} given for {count} cameras; give one, or one for each")
        matrices = np.broadcast_to(self.intrinsics, (count, 3, 3)).copy()
        return matrices, None if self.distortion is None else np.repeat(self.distortion, count, axis=0)


def read_lens(text: str) -> GivenLens:
    """The lens that `--intrinsics` says: numbers joined with commas or spaces, or the path of a file.

    Raises InputError: no such file, or anything but the forms named in the message.
    """
    numbers = _numbers(text)
    if numbers is not None:
        return _of_numbers(np.array(numbers), "intrinsics")
    path = Path(text).expanduser()
    if not path.is_file():
        raise InputError(f"intrinsics must be {_FORMS}, in pixels, or {_FILES}; got {text!r}")
    label = f"intrinsics in '{path}'"
    if path.suffix.lower() == ".npy":
        try:
            array = np.asarray(np.load(path, allow_pickle=False), np.float64)
        except (ValueError, OSError, EOFError, TypeError) as error:
            raise InputError(f"{label} cannot be read as a NumPy array: {why(error)}") from error
        return _of_matrices(array, label)
    try:
        content = read_text(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{label} cannot be read: {why(error)}") from error
    lines = [line.split("#")[0].strip() for line in content.splitlines()]
    projections = [line.partition(":")[2] for line in lines if re.match(r"P\w*:", line)]
    values = _numbers(" ".join(projections[:1] or lines))
    if values is None:
        raise InputError(f"{label} must be numbers: {_FORMS}, or {_FILES}")
    array = np.array(values)
    if projections:
        if len(array) != 12:
            raise InputError(f"{label}: a projection matrix has 12 numbers, not {len(array)}")
        return _of_matrices(array.reshape(3, 4)[:, :3], label)
    return _of_numbers(array, label)


def check_size_of_lenses(intrinsics: NDArray[np.float64], sizes: NDArray[np.int64], names: Sequence[str]) -> None:
    """Refuse intrinsics (N, 3, 3) that cannot be of photos of `sizes` (N, 2), called `names`; warn of doubtful ones.

    The principal point says what size they are of: it lies about in the middle. One that lies elsewhere in the photo,
    and would be the middle of one of another size, may be that of photos that were cropped: then a warning says both.

    Raises:
        InputError: a principal point outside its photo.
    """
    doubtful = []
    for matrix, (width, height), name in zip(intrinsics, sizes.tolist(), names, strict=True):
        across, down = 2 * matrix[0, 2] / width, 2 * matrix[1, 2] / height
        factor = (across + down) / 2
        inside, one_shape = 0 < across < 2 and 0 < down < 2, abs(across - down) < _SAME_SHAPE * factor
        if inside and (not one_shape or _OWN_SIZE[0] < factor < _OWN_SIZE[1]):
            continue
        fx, fy, cx, cy = matrix[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
        meant = ""
        if factor > 0 and one_shape:
            scaled = ",".join(f"{value / factor:.6g}" for value in (fx, fy, cx, cy))
            meant = (
                f"; if they are of the same photos at about {width * factor:.0f}×{height * factor:.0f}, give {scaled}"
            )
        point = f"intrinsics of '{name}': the principal point ({cx:.6g}, {cy:.6g})"
        if inside:
            doubtful.append(f"{point} is far from the middle of {width}×{height} pixels, as of a cropped photo{meant}")
            continue
        outside = "" if meant else "; intrinsics of a cropped photo are those of the whole one, with the place of the "
        outside += "" if meant else "crop's left upper corner subtracted from CX and CY"
        raise InputError(f"{point} lies outside the photo of {width}×{height} pixels{meant}{outside}")
    if doubtful:
        others = f"; {len(doubtful) - 1} more photos are like it" if len(doubtful) > 1 else ""
        warn(f"{doubtful[0]}{others}")


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(part) for part in re.split(r"[,;\s]+", text.strip("[]() \t\n")) if part]
    except ValueError:
        return None


def _of_numbers(numbers: NDArray[np.float64], label: str) -> GivenLens:
    if len(numbers) == 9 and numbers[8] == 1 and not numbers[[3, 6, 7]].any():
        return _of_matrices(numbers.reshape(3, 3), label)
    if len(numbers) not in (4, 8, 9, 12):
        raise InputError(f"{label} must be {_FORMS}, in pixels, or {_FILES}; got {len(numbers)} numbers")
    fx, fy, cx, cy = numbers[:4].tolist()
    lens = _of_matrices(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), label)
    coefficients = np.zeros((1, COEFFICIENTS))
    coefficients[0, : len(numbers) - 4] = numbers[4:]
    if not np.isfinite(coefficients).all():
        raise InputError(f"{label}: distortion must be finite")
    return GivenLens(lens.intrinsics, coefficients if coefficients.any() else None)


def _of_matrices(matrices: NDArray[np.float64], label: str) -> GivenLens:
    matrices = matrices[None] if matrices.ndim == 2 else matrices
    if matrices.ndim != 3 or matrices.shape[1:] != (3, 3) or not len(matrices):
        raise InputError(f"{label} must be 3×3, or N of them, got shape {matrices.shape}")
    if not np.isfinite(matrices).all() or (matrices[:, [0, 1], [0, 1]] <= 0).any():
        raise InputError(f"{label} must be finite, with positive focal lengths")
    return GivenLens(matrices)
