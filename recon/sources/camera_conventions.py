"""The ways to read the numbers of cameras: camera-to-world, axes of other programs, intrinsics of other images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import invert_rigid
from recon.sources.fitting import Views

_SCALE_STEP = 2.0**0.25
_SCALES = tuple(_SCALE_STEP**k for k in range(-16, 17) if k)
"""Sizes of other images, relative to the photos, that the intrinsics may be of."""
_EXTREME = 0.2
"""Principal points nearer to two borders than this share of the sides are those of another image."""


@dataclass(frozen=True)
class Reading:
    """One way to read the numbers given."""

    name: str
    """What is to be said of it; empty: as they are."""
    world_to_camera: NDArray[np.float64]
    """(N, 4, 4)"""
    intrinsics: NDArray[np.float64]
    """(N, 3, 3) in pixels of the views."""
    scale: float = 1.0
    """Size of the images that the intrinsics given are of, relative to the photos."""
    whole: Reading | None = None
    """The same reading of the extrinsics with the intrinsics as given; None: this one."""

    @property
    def form(self) -> Reading:
        """The same reading of the extrinsics with the intrinsics as given."""
        return self if self.whole is None else self.whole


def usual_lenses(pixels: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Guesses of the intrinsics (N, 3, 3) of views, from wide-angle to telephoto lenses."""
    count, height, width = pixels.shape[:3]
    guesses = []
    for focal in np.geomspace(0.5, 3, 8) * max(height, width):
        matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        guesses.append(np.tile(matrix, (count, 1, 1)))
    return guesses


def another_size(intrinsics: NDArray[np.float64], sizes: NDArray[np.int64]) -> str | None:
    """One line where intrinsics (N, 3, 3) can hardly be of images of `sizes` (N, 2), by themselves; else None."""
    if are_normalised(intrinsics, sizes):
        return f"the intrinsics are normalised, not in pixels: {_PIXELS}"
    places = intrinsics[:, :2, 2] / sizes  # (N, 2), about 0.5 each
    place = np.median(places, axis=0)
    at_border = (place < _EXTREME).all() or (place > 1 - _EXTREME).all()
    if at_border and abs(place[0] - place[1]) < 0.1 * place.max():
        return _of_size(float(place.mean() * 2), sizes)
    return None


_OPENGL = "in axes of OpenGL (x right, y up, z backward)"
_AXES: dict[tuple[tuple[int, int], ...], str] = {
    ((0, 1), (1, 1), (2, 1)): "",
    ((0, 1), (1, -1), (2, -1)): _OPENGL,
    ((0, -1), (1, -1), (2, 1)): "in axes of PyTorch3D (x left, y up, z forward)",
    ((1, 1), (0, 1), (2, -1)): "in axes of LLFF (x down, y right, z backward)",
    ((1, -1), (2, -1), (0, 1)): "in axes of ROS (x forward, y left, z up)",
}
"""For OpenCV's x, y and z: which axis of the camera it is, and with which sign."""
_COMMON_FORMS = 3
"""After those as given: the usual mistakes, first in `_forms`."""


def _forms(given: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Every reading of extrinsics (N, 4, 4): what they may be, and world-to-camera in OpenCV's axes; the given one and
    the usual ones first."""
    inverted = invert_rigid(given)
    centre, turned = given.copy(), given.copy()
    centre[:, :3, 3] = -(given[:, :3, :3] @ given[:, :3, 3:])[..., 0]
    turned[:, :3, :3] = given[:, :3, :3].swapaxes(1, 2)
    kinds = {
        "": given,
        "camera-to-world": inverted,
        "world-to-camera rotations with the positions of the cameras": centre,
        "camera-to-world rotations with world-to-camera translations": turned,
    }
    axes = sorted(_all_axes(), key=lambda choice: list(_AXES).index(choice) if choice in _AXES else len(_AXES))
    order = [(kind, choice) for choice in axes for kind in kinds]
    usual = [("", axes[0]), ("camera-to-world", axes[0]), ("", axes[1]), ("camera-to-world", axes[1])]
    for kind, choice in [*usual, *(entry for entry in order if entry not in usual)]:
        to_opencv = np.zeros((4, 4))
        to_opencv[3, 3] = 1
        for row, (column, sign) in enumerate(choice):
            to_opencv[row, column] = sign
        what = _AXES.get(choice, "in other camera axes than OpenCV's")
        described = " ".join(part for part in (kind, what) if part)
        remedy = _remedy(kind, what)
        yield (f"they are {described}: {remedy}" if described else ""), to_opencv @ kinds[kind]


def readings(views: Views, lenses: Sequence[NDArray[np.float64]]) -> Iterator[Reading]:
    """Every reading of the cameras given for `views`, which have extrinsics; the usual mistakes first.

    `lenses` are the intrinsics (N, 3, 3) of the views: those given, or else guesses.
    """
    given = views.cameras.world_to_camera
    assert given is not None
    sized = views.cameras.intrinsics is not None
    for index, (name, extrinsics) in enumerate(_forms(given)):
        if index == _COMMON_FORMS and sized:
            yield from _before_turning(views)
        for intrinsics in lenses:
            form = Reading(name, extrinsics, intrinsics)
            yield form
            if index <= _COMMON_FORMS and sized:
                yield from _other_sizes(form, views)


def finer_sizes(reading: Reading, views: Views) -> list[Reading]:
    """The same reading with intrinsics of images a little smaller, up to a little larger."""
    steps = np.geomspace(reading.scale / _SCALE_STEP, reading.scale * _SCALE_STEP, 17).tolist()
    return [_of_another_size(reading.form, views, scale) for scale in steps]


def _before_turning(views: Views) -> list[Reading]:
    """Cameras, or their intrinsics alone, of the photos as they lie in their files, a quarter turn from upright."""
    given, extrinsics = views.original_cameras.intrinsics, views.cameras.world_to_camera
    assert given is not None
    assert extrinsics is not None
    to_processed = np.linalg.inv(views.processed_to_original)
    found = []
    for sign in (1, -1):  # upright by a turn to the right, to the left
        turn = np.array([[0.0, -sign, 0], [sign, 0, 0], [0, 0, 1]])
        to_upright = np.tile(turn, (len(given), 1, 1))
        if sign > 0:
            to_upright[:, 0, 2] = views.original_sizes[:, 0]
        else:
            to_upright[:, 1, 2] = views.original_sizes[:, 1]
        intrinsics = to_processed @ to_upright @ given @ turn.T
        turned = np.eye(4)
        turned[:3, :3] = turn
        for what, matrices in (("they are", turned @ extrinsics), ("the intrinsics are", extrinsics)):
            name = f"{what} of the photos before EXIF turns them: give those of the upright photos"
            found.append(Reading(name, matrices, intrinsics))
    return found


def _all_axes() -> list[tuple[tuple[int, int], ...]]:
    """The 24 ways to call right-handed axes."""
    found = []
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            if np.linalg.det(matrix) > 0:
                found.append(tuple(zip(order, signs, strict=True)))
    return found


def _remedy(kind: str, axes: str) -> str:
    steps = []
    if kind == "camera-to-world":
        steps.append("invert them")
    elif kind:
        steps.append("give [R | t] of world-to-camera matrices")
    if axes == _OPENGL:
        steps.append("negate the second and third row of the world-to-camera matrix")
    elif axes:
        steps.append("turn the camera to x right, y down, z forward")
    return ", then ".join(steps)


_PIXELS = "multiply them by the width and height of the photos"


def are_normalised(intrinsics: NDArray[np.float64], sizes: NDArray[np.int64]) -> bool:
    """Whether nothing of them is larger than a few pixels."""
    return bool(np.abs(intrinsics[:, :2]).max() < 0.05 * sizes.min())


def _of_size(scale: float, sizes: NDArray[np.int64]) -> str:
    width, height = (sizes[0] * scale).round().astype(int).tolist()
    return (
        f"the intrinsics are of images {scale:.3g} times the size of the photos, about {width}×{height} pixels: "
        f"divide them by {scale:.3g}"
    )


def _other_sizes(form: Reading, views: Views) -> list[Reading]:
    """Readings of the intrinsics: normalised, or of images of another size."""
    given, sizes = views.original_cameras.intrinsics, views.original_sizes.astype(np.float64)
    assert given is not None
    to_processed = np.linalg.inv(views.processed_to_original)
    joint = " and " if form.name else ""
    prefix = form.name + joint
    unit = np.zeros((len(given), 3, 3))
    unit[:, 0, 0], unit[:, 1, 1], unit[:, 2, 2] = sizes[:, 0], sizes[:, 1], 1
    centred = unit / [[2], [2], [1]]
    centred[:, 0, 2], centred[:, 1, 2] = sizes[:, 0] / 2, sizes[:, 1] / 2
    if are_normalised(given, views.original_sizes):
        readings = []
        for matrix, span in ((unit, "0 to 1"), (centred, "-1 to 1")):
            name = f"{prefix}the intrinsics are normalised ({span}), not in pixels: {_PIXELS}"
            readings.append(replace(form, name=name, intrinsics=to_processed @ matrix @ given))
        return readings
    return [_of_another_size(form, views, scale) for scale in _SCALES]


def _of_another_size(form: Reading, views: Views, scale: float) -> Reading:
    """The intrinsics are of images `scale` times as large as the photos."""
    given = views.original_cameras.intrinsics
    assert given is not None
    scaled = np.linalg.inv(views.processed_to_original) @ np.diag([1 / scale, 1 / scale, 1]) @ given
    name = " and ".join(part for part in (form.name, _of_size(scale, views.original_sizes)) if part)
    return Reading(name, form.world_to_camera, scaled, scale, form)
