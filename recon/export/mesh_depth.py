"""The depth that a mesh is made of: of a prediction in memory at once, of a long run some views at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recon.choices import Device
from recon.export.mesh_fusion import Fusion, choose_fusion
from recon.export.points import KeptPieces, PixelOptions, kept_pixels
from recon.geometry.mesh_colors import ColorSums
from recon.geometry.tsdf import Field, fuse
from recon.geometry.tsdf_pieces import Maps, fuse_pieces
from recon.geometry.view_agreement import depth_maps, typical_difference
from recon.types import FloatArray, Prediction
from recon.types.mapped import is_mapped

PIXELS, MOST_PIXELS = 2.0, 4.0
"""Voxels are as large as the first of these pixels are wide at the depth that three quarters of all do not exceed, and
at most as the second at the median depth: of a scene before a far background, what is near decides."""
PRECISION = 2.0
"""Voxels are at least as large as this many times what views differ by in the median, at that depth."""
_SAMPLED = 2_000_000
"""Of a long run, about so many pixels decide the size of voxels."""


class DepthToFuse(Protocol):
    """Depth maps with their cameras and photos."""

    @property
    def threshold(self) -> float | None:
        """The confidence that each pixel reaches; None where no threshold was set."""

    @property
    def voxel(self) -> float:
        """Side of a voxel for what the depth can tell, in its units.

        Two pixels' width at the upper quartile of depth, at most four at its median; more where views differ by more.
        """

    def fuse(self, voxel: float, truncation: float, most_blocks: int) -> Field:
        """As `recon.geometry.tsdf.fuse`."""

    def colors(self, points: NDArray[np.float32], normals: NDArray[np.float32], tolerance: float) -> NDArray[np.uint8]:
        """As `recon.geometry.mesh_colors.colors_from_photos`."""


def depth_to_fuse(prediction: Prediction, options: PixelOptions, device: Device) -> DepthToFuse:
    """The chosen pixels of a prediction with cameras. Raises InputError as `recon.export.points.check_cloud`."""
    if is_mapped(prediction.depth):
        return _InPieces(KeptPieces.of(prediction, options))
    chosen, threshold = kept_pixels(prediction, options)
    depth = np.where(chosen, prediction.depth, 0).astype(np.float32)
    return _Whole(prediction, chosen, depth, threshold, choose_fusion(device))


@dataclass(frozen=True)
class _Whole:
    prediction: Prediction
    chosen: NDArray[np.bool_]
    """(N, H, W)."""
    depth: NDArray[np.float32]
    """(N, H, W), 0 where it is not chosen."""
    threshold: float | None
    fusion: Fusion

    @cached_property
    def voxel(self) -> float:
        return voxel_size(self.prediction, self.chosen)

    def fuse(self, voxel: float, truncation: float, most_blocks: int) -> Field:
        assert self.prediction.intrinsics is not None
        assert self.prediction.extrinsics is not None
        return fuse(
            self.depth, self.prediction.intrinsics, self.prediction.extrinsics, voxel, truncation,
            most_blocks=most_blocks, integrator=self.fusion,
        )  # fmt: skip

    def colors(self, points: NDArray[np.float32], normals: NDArray[np.float32], tolerance: float) -> NDArray[np.uint8]:
        assert self.prediction.intrinsics is not None
        assert self.prediction.extrinsics is not None
        return self.fusion.colors(
            points, normals, self.prediction.processed_images, self.depth, self.prediction.intrinsics,
            self.prediction.extrinsics, tolerance,
        )  # fmt: skip


@dataclass(frozen=True)
class _InPieces:
    kept: KeptPieces

    @property
    def threshold(self) -> float | None:
        return self.kept.threshold

    @cached_property
    def voxel(self) -> float:
        intrinsics = self.kept.prediction.intrinsics
        assert intrinsics is not None
        step = max(self.kept.prediction.depth.size // _SAMPLED, 1)
        sample, differences = [], []
        for piece, chosen in self.kept:
            sample.append(piece.depth[chosen][::step])
            if len(piece.depth) > 1 and piece.intrinsics is not None and piece.extrinsics is not None:
                found = typical_difference(depth_maps(piece.depth, chosen, piece.intrinsics, piece.extrinsics))
                differences += [] if found is None else [found]
        return _voxel(np.concatenate(sample), intrinsics, float(np.median(differences)) if differences else None)

    def _maps(self) -> Iterator[Maps]:
        for piece, chosen in self.kept:
            assert piece.intrinsics is not None
            assert piece.extrinsics is not None
            yield np.where(chosen, piece.depth, 0).astype(np.float32), piece.intrinsics, piece.extrinsics

    def fuse(self, voxel: float, truncation: float, most_blocks: int) -> Field:
        # Sums of weights are kept beside the distances, so that a block takes twice as much.
        return fuse_pieces(self._maps, voxel, truncation, most_blocks // 2)

    def colors(self, points: NDArray[np.float32], normals: NDArray[np.float32], tolerance: float) -> NDArray[np.uint8]:
        sums = ColorSums(points, normals)
        for piece, chosen in self.kept:
            assert piece.intrinsics is not None
            assert piece.extrinsics is not None
            depth = np.where(chosen, piece.depth, 0).astype(np.float32)
            sums.add(piece.processed_images, depth, piece.intrinsics, piece.extrinsics, tolerance)
        return sums.colors


def voxel_size(prediction: Prediction, chosen: NDArray[np.bool_]) -> float:
    """As `DepthToFuse.voxel`, of the chosen pixels (N, H, W) of a prediction with cameras."""
    assert prediction.intrinsics is not None
    assert prediction.extrinsics is not None
    difference = None
    if len(prediction.depth) > 1:
        maps = depth_maps(prediction.depth, chosen, prediction.intrinsics, prediction.extrinsics)
        difference = typical_difference(maps)
    return _voxel(prediction.depth[chosen], prediction.intrinsics, difference)


def _voxel(depth: FloatArray, intrinsics: FloatArray, difference: float | None) -> float:
    """For depth (P,) of chosen pixels, and what views differ by, relative."""
    focal = np.sqrt(intrinsics[:, 0, 0].astype(np.float64) * intrinsics[:, 1, 1])
    middle, upper = np.quantile(depth.astype(np.float64), [0.5, 0.75]).tolist()
    far = min(upper, middle * MOST_PIXELS / PIXELS)
    return float(far * max(PIXELS / float(np.median(focal)), PRECISION * (difference or 0.0)))
