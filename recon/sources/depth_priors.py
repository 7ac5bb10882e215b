"""Depth images that the user has beside the photos: along the camera's axis, of whole photos, at any resolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.errors import InputError, MissingExtraError, why
from recon.messages import warn
from recon.sources.depth_resize import fit_depths
from recon.sources.fitting import DepthPrior, Views
from recon.sources.named_files import FileKind, find_named_files
from recon.types.lens import is_negligible

_OPTION = "depth_prior"
_NO_NUMBER = 65535
"""Of 16 bits: what sensors write where they saw nothing, beside 0."""


def with_priors(views: Views, folders: Sequence[Path], unit: float | None) -> Views:
    """The views with the depth images in each of the `folders`, which are named like the photos.

    Args:
        views: with the cameras that undistorted them.
        folders: as `recon.sources.named_files.find_named_files` has them; the file itself where there is one photo.
        unit: metres of a value 1 in the files; None: unknown, but one for all.

    Raises:
        InputError: a folder without a depth image of any photo, or a file that is none or of another shape.
    """
    priors = []
    for folder in folders:
        files = _files(folder, views.names)
        maps = [_depth_of(views, view, path) for view, path in enumerate(files)]
        depth = fit_depths(maps, views)
        if not np.isfinite(depth).any():
            raise InputError(f"{_OPTION}: '{folder}' holds no depth: all values are 0, negative or not finite")
        priors.append(DepthPrior(depth if unit is None else depth * np.float32(unit), unit is not None))
    return replace(views, priors=tuple(priors))


def check_priors(folders: Sequence[Path], names: Sequence[str]) -> None:
    """Raise InputError for those of the `folders` that are none, or hold nothing for photos of these `names`."""
    for folder in folders:
        _files(folder, names, say_without=False)  # said when it is known which photos are used


def _files(place: Path, names: Sequence[str], *, say_without: bool = True) -> tuple[Path | None, ...]:
    """Of each photo; a file is that of a single photo, whatever it is called."""
    if len(names) != 1 or not place.is_file():
        return find_named_files(place, names, _KIND, say_without=say_without)
    if place.suffix.lower() not in _READERS:
        raise InputError(f"{_OPTION}: '{place}' is no depth image; these end in {', '.join(_READERS)}")
    return (place,)


def _depth_of(views: Views, view: int, path: Path | None) -> NDArray[np.float32]:
    """(h, w) of the photo as it was undistorted."""
    width, height = views.original_sizes[view].tolist()
    if path is None:
        return np.zeros((1, 1), np.float32)
    depth = read_depth_image(path)
    shape = depth.shape
    if abs(shape[1] * height - shape[0] * width) > max(width, height, *shape):
        turned = "; it lies on its side" if abs(shape[0] * height - shape[1] * width) <= max(width, height) else ""
        raise InputError(
            f"{_OPTION}: '{path}' is {shape[1]}×{shape[0]} and the upright photo '{views.names[view]}' "
            f"{width}×{height}: they must have one shape{turned}"
        )
    if not (np.isfinite(depth) & (depth > 0)).any():
        warn(f"{_OPTION}: '{path}' holds no depth: all values are 0, negative or not finite")
    return _undistorted(depth, views, view)


def _undistorted(depth: NDArray[np.float32], views: Views, view: int) -> NDArray[np.float32]:
    """As the photo has been: each pixel has the depth of the nearest one that the lens saw."""
    camera = views.original_cameras[[view]]
    if camera.distortion is None:
        return depth
    assert camera.intrinsics is not None
    size = (int(views.original_sizes[view, 0]), int(views.original_sizes[view, 1]))
    if is_negligible(camera.intrinsics[0], camera.distortion[0], size):
        return depth
    pinhole = replace(camera, sizes=views.original_sizes[[view]]).pinhole().intrinsics
    assert pinhole is not None
    height, width = depth.shape
    scale = np.diag([width / size[0], height / size[1], 1.0])
    source, target = scale @ camera.intrinsics[0], scale @ pinhole[0]
    source[:2, 2] -= 0.5  # OpenCV's first pixel centre is (0, 0)
    target[:2, 2] -= 0.5
    x, y = cv2.initUndistortRectifyMap(source, camera.distortion[0], None, target, (width, height), cv2.CV_32FC1)
    return np.asarray(cv2.remap(depth, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0))


def read_depth_image(path: Path) -> NDArray[np.float32]:
    """(h, w) values of a file as they stand there; 0 where a picture of 16 bits holds 65535.

    PNG of 16 bits, TIFF of 16 bits or of floating-point numbers, OpenEXR (channel Z, Y, R or the only one), .npy, and
    .npz with the array `depth` or a single one.

    Raises:
        InputError: naming the file, where it cannot be read, or is no map of depth.
        MissingExtraError: OpenEXR, which is not installed.
    """
    try:
        values = _READERS[path.suffix.lower()](path)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        reason = why(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"{_OPTION}: '{path}' cannot be read: {reason}") from error
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    if values.ndim != 2 or values.dtype.kind not in "fiu" or 0 in values.shape:
        raise InputError(
            f"{_OPTION}: '{path}' must hold numbers of shape (height, width), not {values.dtype} {values.shape}"
        )
    if values.dtype.kind in "iu" and values.dtype.itemsize == 1:
        raise InputError(f"{_OPTION}: '{path}' has 8 bits, too few for depth; give 16 bits or floating-point numbers")
    if values.dtype == np.uint16:
        values = np.where(values == _NO_NUMBER, 0, values)
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _picture(path: Path) -> NDArray[Any]:
    with Image.open(path) as picture:
        picture.load()
        return np.asarray(picture)


def _numbers(path: Path) -> NDArray[Any]:
    return np.asarray(np.load(path, allow_pickle=False))


def _archive(path: Path) -> NDArray[Any]:
    import zipfile

    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = arrays.files
            if "depth" not in names and len(names) != 1:
                raise ValueError(f"it has the arrays {', '.join(names) or 'of none'}; one called depth is needed")
            return np.asarray(arrays["depth" if "depth" in names else names[0]])
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error


def _open_exr(path: Path) -> NDArray[Any]:
    try:
        import OpenEXR
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"'{path}', an OpenEXR picture,", "openexr", "exr") from error
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except Exception as error:  # its errors have no common class
        raise ValueError(str(error)) from error
    for name in ("Z", "depth", "Y", "R", *channels):
        if name in channels:
            return np.asarray(channels[name])
    raise ValueError("it has no channels")


_READERS: dict[str, Callable[[Path], NDArray[Any]]] = {
    ".png": _picture,
    ".tif": _picture,
    ".tiff": _picture,
    ".exr": _open_exr,
    ".npy": _numbers,
    ".npz": _archive,
}
_KIND = FileKind(_OPTION, "depth image", "depth image", "depth images", tuple(_READERS), ".png", "which goes without")
