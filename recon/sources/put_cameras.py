"""The cameras of a file put to the photos they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.messages import warn
from recon.sources.adapted_photos import AdaptedPhotos, photo_changes, stored_picture
from recon.sources.calibrated import CalibratedSource
from recon.sources.camera_entries import CamerasFile
from recon.sources.lenses import Lens, pinhole_view
from recon.sources.name_matches import NameMatches, few
from recon.sources.photo_change import UPRIGHT, PhotoChange
from recon.sources.source import Source
from recon.sources.thinned import passed_over
from recon.types.cameras import Cameras


@dataclass(frozen=True)
class PutCameras:
    """Photos with their cameras."""

    source: CalibratedSource
    """Those photos that have one."""
    dropped: tuple[tuple[str, str], ...]
    """Name of each other photo, and why it is left out."""


def put_cameras(photos: Source, file: CamerasFile, strict: bool, resize: bool = False) -> PutCameras:
    """Put the cameras of a file to photos, by name, by time, or in their order.

    Photos without a camera are left out and named, cameras without a photo are named. Photos taken with a lens that is
    no polynomial of OpenCV's become pinhole photos.

    Args:
        photos: whose own cameras, if any, do not count.
        file: see `CamerasFile`.
        strict: refuse photos without a camera and cameras without a photo.
        resize: let the cameras be of the same photos at another size, by which they are scaled.

    Raises:
        InputError: no photo has a camera; cameras that are none; what `strict` refuses.
    """
    names = photos.names
    matches = file.match(names)
    chosen = [index for index, camera in enumerate(matches.cameras) if camera is not None]
    entries = [camera for camera in matches.cameras if camera is not None]
    if not chosen:
        known = f"; they are called {few(file.names)}" if file.names else ""
        raise InputError(
            f"none of the {len(names)} photos ({few(names)}) has a camera among the {len(file.entries)} of "
            f"'{file.path}'{known}"
        )
    matches = _without(matches, file, passed_over(photos))
    dropped = _report(names, file, matches, strict)
    labels = [names[index] for index in chosen]
    cameras = _checked(file.cameras(entries, labels), file, labels)
    stated = cameras.sizes
    changes = _still_to_do(photos, labels, [file.entries[entry] for entry in entries], file.path)
    lenses = [change.lens for change in changes]
    source, cameras = _adapted(photos, chosen, cameras, changes, file.as_stored, resize)
    points = None if file.points is None else file.points.select_views(entries)
    if points is not None and points.pixels is not None:
        points = replace(points, pixels=_on_photos(points.pixels, stated, cameras.sizes, lenses))
    left_out = (*photos.left_out, *dropped)
    return PutCameras(CalibratedSource(source, tuple(chosen), cameras, points, left_out=left_out), dropped)


def _still_to_do(
    photos: Source, names: Sequence[str], entries: Sequence[Mapping[str, Any]], path: Path
) -> list[PhotoChange]:
    """What the cameras of `entries` ask for of the photos called `names`, less what is done to them already.

    Raises InputError for a photo that is changed already in another way, and one whose file is needed and not there.
    """
    done, files = photo_changes(photos), dict(zip(photos.names, photos.paths, strict=True))
    found = []
    for name, entry in zip(names, entries, strict=True):
        asked = PhotoChange(entry.get("lens"), entry.get("orientation", UPRIGHT))
        own = done.get(name)
        if asked and own == asked:
            asked = PhotoChange()
        elif asked and own is not None:
            raise InputError(
                f"'{path}' has a camera of the photo '{name}' as its file is, but the scene given has undistorted or "
                "turned it for a camera of its own; give the photos alone, or the scene without other cameras"
            )
        elif asked.orientation != UPRIGHT and files[name] is None:
            raise InputError(
                f"'{path}' has a camera of '{name}' as its file stores it (EXIF orientation {asked.orientation}), and "
                "it was given without its file; give the scene again that the run was given"
            )
        found.append(asked)
    return found


def _on_photos(
    pixels: Sequence[NDArray[np.float64]],
    stated: NDArray[np.int64] | None,
    sizes: NDArray[np.int64] | None,
    lenses: Sequence[Lens | None],
) -> tuple[NDArray[np.float64], ...] | None:
    """Pixels of images of the sizes `stated` (N, 2) in the photos of `sizes`; None where photos become others."""
    if stated is None or sizes is None or any(lens is not None for lens in lenses):
        return None
    return tuple(xy * (size / before) for xy, size, before in zip(pixels, sizes, stated, strict=True))


def _without(matches: NameMatches, file: CamerasFile, names: Sequence[str]) -> NameMatches:
    """`matches` with the cameras of photos that nobody wants, called `names`, no longer among those unused."""
    if not names or file.names is None or not matches.unused:
        return matches
    theirs = {PurePosixPath(name).name for name in names}
    unused = tuple(camera for camera in matches.unused if PurePosixPath(file.names[camera]).name not in theirs)
    return replace(matches, unused=unused)


def _report(names: Sequence[str], file: CamerasFile, matches: NameMatches, strict: bool) -> tuple[tuple[str, str], ...]:
    """Name what has no counterpart, in warnings or, with `strict`, in an error."""
    without = [name for name, camera in zip(names, matches.cameras, strict=True) if camera is None]
    lines = []
    if without:
        lines.append(f"left out: {len(without)} of {len(names)} photos have no camera in '{file.path}': {few(without)}")
    if matches.unused and file.names is not None:
        unused = few(file.names[camera] for camera in matches.unused)
        lines.append(f"{len(matches.unused)} of {len(file.entries)} cameras in '{file.path}' have no photo: {unused}")
    if lines and strict:
        raise InputError(f"{'; '.join(lines)}; without strict the run goes on without them")
    for line in lines:
        warn(line)
    return tuple((name, f"'{name}' has no camera in '{file.path}'") for name in without)


def _checked(cameras: Cameras, file: CamerasFile, labels: Sequence[str]) -> Cameras:
    try:
        checked = Cameras.from_arrays(cameras.world_to_camera, cameras.intrinsics, count=len(labels))
    except InputError as error:
        raise InputError(f"'{file.path}': {error} (counted along the photos: {few(labels)})") from error
    return replace(
        cameras,
        world_to_camera=checked.world_to_camera,
        intrinsics=checked.intrinsics,
        origin="given",
        scale="metric" if cameras.scale == "metric" else "given",
    )


def _adapted(
    photos: Source,
    chosen: Sequence[int],
    cameras: Cameras,
    changes: Sequence[PhotoChange],
    as_stored: bool,
    resize: bool,
) -> tuple[Source, Cameras]:
    """The photos as these cameras take them to be, and the cameras in pixels of the photos."""
    if cameras.sizes is None:
        return photos, cameras
    orientations = [UPRIGHT] * len(photos.names)
    lens_of: list[Lens | None] = [None] * len(photos.names)
    factors = np.ones((len(chosen), 2))
    sizes = cameras.sizes.copy()
    for row, index in enumerate(chosen):
        path = photos.paths[index]
        stored = None if path is None else stored_picture(path)
        lens, undone = changes[row].lens, changes[row].orientation
        if stored is not None:
            of_camera = (int(sizes[row, 0]), int(sizes[row, 1]))
            size = stored.upright_size
            if stored.orientation != UPRIGHT and (
                as_stored
                or undone == stored.orientation
                or (_same_shape(of_camera, stored.size) and not _same_shape(of_camera, size))
            ):
                orientations[index] = stored.orientation
                size = stored.size
            if resize and size != of_camera and _same_shape(size, of_camera):
                factors[row] = np.array(size) / of_camera
                sizes[row] = size
                lens = None if lens is None else lens.resized(size)
        lens_of[index] = lens
    if (factors != 1).any():
        changed = Counter((*cameras.sizes[row].tolist(), *sizes[row].tolist()) for row in range(len(chosen)))
        described = few(f"{w}×{h} to {x}×{y} ({count})" for (w, h, x, y), count in changed.items() if (w, h) != (x, y))
        warn(f"the cameras are of the photos at another size and are scaled with them: {described}")
        assert cameras.intrinsics is not None
        scaled = cameras.intrinsics.copy()
        scaled[:, :2] *= factors[..., None]
        cameras = replace(cameras, intrinsics=scaled, sizes=sizes)
    turned = [photos.names[index] for index in chosen if orientations[index] != UPRIGHT]
    if turned:
        warn(
            f"{len(turned)} photos are taken as their files store them, as their cameras do, not as EXIF says to turn "
            f"them: {few(turned)}"
        )
    bent = [index for index in chosen if lens_of[index] is not None]
    if bent:
        _tell_cut([lens for lens in lens_of if lens is not None])
    if not bent and not turned:
        return photos, cameras
    return AdaptedPhotos(photos, tuple(orientations), tuple(lens_of)), cameras


def _same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether one is the other at another size, each side rounded."""
    scale = second[0] / first[0], second[1] / first[1]
    return abs(first[1] * scale[0] - second[1]) <= max(1.0, scale[0]) and abs(first[0] * scale[1] - second[0]) <= max(
        1.0, scale[1]
    )


def _tell_cut(lenses: Sequence[Lens]) -> None:
    """Say what pinhole photos do not show of what the lenses see."""
    for lens in dict.fromkeys(lenses):
        view = pinhole_view(lens)
        own = "180° or more" if view.lens_degrees is None else f"{view.lens_degrees:.0f}°"
        count = sum(one == lens for one in lenses)
        warn(
            f"{count} photos of the lens {lens.model} become pinhole photos, which show {view.degrees:.0f}° of its "
            f"{own}: {view.share_cut:.0%} of their pixels are cut"
        )
