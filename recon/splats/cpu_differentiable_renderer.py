"""Splatting on the CPU with derivatives, for fitting splats and cameras to photos.

Projection, tiles and order are those of `cpu_renderer`, in float64; pixels are blended in float32. Splats and tiles are
cut into ranges that do not depend on the number of threads, and each range adds up on its own: the same bytes come out
for any number of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.splats.cpu_blending import DEPTH_ALPHA_MIN
from recon.splats.cpu_differentiable_blending import LIGHT, PAIR_FIELDS, PLANES, blend_backward, blend_forward
from recon.splats.cpu_projection import DEPTH
from recon.splats.cpu_projection_gradients import (
    CAMERA_FIELDS,
    HARMONICS,
    MEAN,
    OPACITY,
    ROTATION,
    SCALE,
    gaussian_gradients,
)
from recon.splats.cpu_renderer import CpuRenderer, Range, Splats
from recon.splats.cpu_slots import fill_slots
from recon.splats.cpu_tiles import TILE, count_pairs, sort_pairs
from recon.splats.rasterizer import Gradients, RenderedView, RenderSettings
from recon.types import Gaussians

_PARTS = 64
"""Ranges each stage is cut into, for any number of threads."""
_MAX_PAIRS = 1 << 27
"""Pairs of splats and tiles, of which each takes 60 bytes."""


@dataclass(frozen=True)
class Drawn:
    """One view that has been drawn, and what its derivatives need. Valid until the next one is drawn."""

    image: NDArray[np.float32]
    """(PLANES, H, W): red, green, blue and depth, each summed, without a background, and the light that is left."""
    last_counted: NDArray[np.int32]
    """(H, W) see `blend_forward`."""
    world_to_camera: NDArray[np.float64]
    """(4, 4)."""
    centre: NDArray[np.float64]
    """(3,) of the camera in the world."""
    intrinsics: NDArray[np.float64]
    """(3, 3) pixels."""
    splats: Splats
    starts: NDArray[np.int64]
    """(tiles + 1,) where the pairs of each tile begin."""
    tile_parts: list[Range]
    """Ranges of tiles with about equally many pairs."""


class CpuDifferentiableRenderer(CpuRenderer):
    """Draws views of the same Gaussians, and carries derivatives back; memory is reused from view to view.

    The arrays of the Gaussians are read anew for each view where they are float32 and contiguous, so that an optimiser
    can change them in place.
    """

    def __init__(self, gaussians: Gaussians, settings: RenderSettings) -> None:
        super().__init__(gaussians, settings)
        self._splat_slots = np.empty((len(gaussians), 2), np.int64)
        self._slot_splats = np.empty(0, np.int32)
        self._slot_rows = np.empty((0, PAIR_FIELDS), np.float32)
        self._drawn: Drawn | None = None

    def render(self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> RenderedView:
        """See `CpuRenderer.render`."""
        image = self.draw(world_to_camera, intrinsics).image
        light = image[LIGHT]
        color = image[:3].transpose(1, 2, 0) + light[:, :, None] * self._background.astype(np.float32)
        depth = None if self._mode == "RGB" else image[3].copy()
        if self._mode == "RGB+ED" and depth is not None:
            depth /= np.maximum(1 - light, np.float32(DEPTH_ALPHA_MIN))
        return RenderedView(color, depth, 1 - light)

    def backward(self, gradient: RenderedView) -> Gradients:
        """See `recon.splats.rasterizer.DifferentiableRenderer`."""
        drawn = self._last()
        light = drawn.image[LIGHT]
        planes = np.zeros_like(drawn.image)
        planes[:3] = gradient.color.transpose(2, 0, 1)
        planes[LIGHT] = gradient.color @ self._background.astype(np.float32) - gradient.alpha
        if gradient.depth is not None and self._mode == "RGB+D":
            planes[3] = gradient.depth
        elif gradient.depth is not None and self._mode == "RGB+ED":
            alpha = np.maximum(1 - light, np.float32(DEPTH_ALPHA_MIN))
            planes[3] = gradient.depth / alpha
            planes[LIGHT] += np.where(1 - light > DEPTH_ALPHA_MIN, planes[3] * drawn.image[3] / alpha, 0)
        self.blend_back(planes)
        rows = np.zeros((len(self._means), HARMONICS + 3 * self._harmonics.shape[2]), np.float32)
        of_camera = self.carry_back(gaussian_gradients, rows)
        background = (gradient.color.astype(np.float64) * light[:, :, None]).sum(axis=(0, 1))
        return Gradients(self._as_gaussians(rows), *of_camera, background)

    def draw(self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> Drawn:
        """One view without background; arguments as for `render`.

        Raises:
            InputError: more pairs of splats and tiles than memory is allowed for.
        """
        splats = self.project(world_to_camera, intrinsics)
        tiles = -(-self._height // TILE) * -(-self._width // TILE)
        counts = np.zeros((len(splats.ranges), tiles), np.int64)

        def count(part: int) -> None:
            visible = splats.ranges[part]
            count_pairs(splats.geometry, visible.first, visible.last, self._height, self._width, counts[part])

        self.spread(count, range(len(splats.ranges)))
        # Tile by tile, and within a tile range by range, so that its pairs are in the order of the Gaussians.
        ends = np.cumsum(counts.T).reshape(tiles, len(counts))
        starts = np.concatenate([[0], ends[:, -1]])
        places = np.ascontiguousarray(ends.T - counts)
        first_slots = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
        pairs = self._room_for_slots(int(starts[-1]))
        depth_bits = splats.colors.view(np.uint32)[:, DEPTH]

        def fill(part: int) -> None:
            visible = splats.ranges[part]
            fill_slots(
                splats.geometry,
                depth_bits,
                visible.first,
                visible.last,
                self._height,
                self._width,
                int(first_slots[part]),
                places[part],
                pairs,
                self._slot_splats,
                self._splat_slots,
            )

        self.spread(fill, range(len(splats.ranges)))
        image = np.empty((PLANES, self._height, self._width), np.float32)
        last_counted = np.empty((self._height, self._width), np.int32)
        parts = _equal_parts(starts)

        def blend(part: Range) -> None:
            sort_pairs(pairs, starts, part.first, part.last)
            blend_forward(
                splats.geometry,
                splats.colors,
                pairs,
                self._slot_splats,
                starts,
                part.first,
                part.last,
                image,
                last_counted,
            )

        self.spread(blend, parts)
        centre = np.linalg.inv(world_to_camera)[:3, 3].astype(np.float64)
        self._drawn = Drawn(image, last_counted, world_to_camera, centre, intrinsics, splats, starts, parts)
        return self._drawn

    def blend_back(self, gradient: NDArray[np.float32]) -> None:
        """What the pixels of the view drawn last say to its splats, kept for `carry_back`.

        Args:
            gradient: (PLANES, H, W) derivatives of a loss by the image.
        """
        drawn = self._last()

        def run(part: Range) -> None:
            blend_backward(
                drawn.splats.geometry,
                drawn.splats.colors,
                self._pairs,
                self._slot_splats,
                drawn.starts,
                part.first,
                part.last,
                drawn.image,
                drawn.last_counted,
                gradient,
                self._slot_rows,
            )

        self.spread(run, drawn.tile_parts)

    def carry_back(self, kernel: Callable[..., None], *outputs: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """From what the pixels of the view drawn last say, as `blend_back` left it, to Gaussians and camera.

        Args:
            kernel: takes the arguments of `gaussian_gradients` up to `of_camera`, for a range of splats, and `outputs`.

        Returns:
            Derivatives by (4, 4) world-to-camera and (3, 3) intrinsics.
        """
        drawn = self._last()
        ranges = drawn.splats.ranges
        of_camera = np.zeros((len(ranges), CAMERA_FIELDS))

        def run(part: int) -> None:
            kernel(
                self._means,
                self._scales,
                self._rotations,
                self._harmonics,
                self._opacities,
                self._indices,
                ranges[part].first,
                ranges[part].last,
                drawn.splats.geometry,
                drawn.splats.colors,
                self._splat_slots,
                self._slot_rows,
                drawn.world_to_camera,
                drawn.centre,
                drawn.intrinsics,
                self._height,
                self._width,
                of_camera[part],
                *outputs,
            )

        self.spread(run, range(len(ranges)))
        return _camera_gradients(of_camera.sum(axis=0), drawn)

    def _as_gaussians(self, rows: NDArray[np.float32]) -> Gaussians:
        return Gaussians(
            means=rows[:, MEAN:SCALE],
            scales=rows[:, SCALE:ROTATION],
            rotations=rows[:, ROTATION:OPACITY],
            harmonics=rows[:, HARMONICS:].reshape(self._harmonics.shape),
            opacities=rows[:, OPACITY],
        )

    def _last(self) -> Drawn:
        if self._drawn is None:
            raise ValueError("derivatives are those of the view rendered last, and none has been rendered")
        return self._drawn

    def _cut(self, whole: Range, smallest: int = 1) -> list[Range]:
        """`whole` in consecutive parts of about equal length, the same for any number of threads."""
        length = whole.last - whole.first
        parts = max(1, min(_PARTS, length // max(1, smallest // 4)))
        ends = [whole.first + length * part // parts for part in range(parts + 1)]
        return [Range(first, last) for first, last in itertools.pairwise(ends)]

    def _room_for_slots(self, count: int) -> NDArray[np.uint64]:
        if count > _MAX_PAIRS:
            raise InputError(
                f"{len(self._means)} splats cover {count} tiles of this view, and there is room for {_MAX_PAIRS}: "
                "use fewer splats, smaller ones or a smaller picture"
            )
        if len(self._slot_splats) < count:
            room = count + count // 4
            self._slot_splats = np.empty(room, np.int32)
            self._slot_rows = np.empty((room, PAIR_FIELDS), np.float32)
            self._pairs = np.empty(room, np.uint64)
        return self._pairs


def _camera_gradients(of_camera: NDArray[np.float64], drawn: Drawn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From (CAMERA_FIELDS,) sums to derivatives by the entries of (4, 4) world-to-camera and (3, 3) intrinsics.

    The centre is -R⁻¹ t, as of any matrix: derivatives are by all entries as if they were independent.
    """
    rotation = drawn.world_to_camera[:3, :3]
    of_centre = np.linalg.solve(rotation.T, of_camera[16:19])
    world_to_camera = np.zeros((4, 4))
    world_to_camera[:3, :3] = of_camera[:9].reshape(3, 3) - np.outer(of_centre, drawn.centre)
    world_to_camera[:3, 3] = of_camera[9:12] - of_centre
    intrinsics = np.zeros((3, 3))
    intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]] = of_camera[12:16]
    return world_to_camera, intrinsics


def _equal_parts(starts: NDArray[np.int64]) -> list[Range]:
    """All tiles in consecutive ranges with about equally many pairs each.

    Args:
        starts: (tiles + 1,) where the pairs of each tile begin.
    """
    tiles = len(starts) - 1
    wanted = np.linspace(0, starts[-1] + tiles, _PARTS + 1)
    ends = np.searchsorted(starts + np.arange(tiles + 1), wanted)  # a tile without pairs is work, too
    ends[0], ends[-1] = 0, tiles
    return [Range(int(first), int(last)) for first, last in itertools.pairwise(ends) if last > first]
