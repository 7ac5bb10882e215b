"""What is around a camera: how near the splats are, and whether they block its view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.geometry import quaternions
from recon.geometry.unprojection import project_points
from recon.splats.camera_path import CameraPath
from recon.types import FloatArray, Gaussians

NEAR_PERCENT = 5
"""Percentile of the depth in view that counts as near: less would be ruled by stray splats."""
_MOST_SPLATS = 50_000
_LEAST_OPACITY = 0.1
"""Splats that hide less than this are no surface."""
_RAYS = (12, 16)
"""Rows and columns of rays that sample a view."""


@dataclass(frozen=True)
class SplatSample:
    """P splats that stand for a scene, as balls; a sample of the scene's, so each stands in for its neighbours too."""

    centres: FloatArray
    """(P, 3) in the world."""
    radii: FloatArray
    """(P,)"""

    @staticmethod
    def of(gaussians: Gaussians) -> SplatSample:
        """A fixed random sample of at most 50,000 splats that can be seen."""
        visible = np.flatnonzero(gaussians.opacities >= _LEAST_OPACITY)
        chosen = np.random.default_rng(0).permutation(visible)[:_MOST_SPLATS]
        extents = np.sort(gaussians.scales[chosen].astype(np.float32), axis=1)
        area = extents[:, 1] * extents[:, 2]  # of a splat seen from its flat side
        share = len(chosen) / max(len(visible), 1)
        return SplatSample(gaussians.means[chosen].astype(np.float32), np.sqrt(area / max(share, 1e-9)))

    def depth_percentiles(self, path: CameraPath, size: tuple[int, int], percents: tuple[float, ...]) -> FloatArray:
        """(F, len(percents)) percentiles of the depth in view of each frame, whose height and width are `size`.

        Where nothing is in view, of the distances of all splats; 1 where there are none.
        """
        cameras = path.cameras()
        assert cameras.world_to_camera is not None
        found = np.ones((len(path), len(percents)))
        for frame, (intrinsics, world_to_camera) in enumerate(
            zip(path.intrinsics, cameras.world_to_camera, strict=True)
        ):
            pixels, depth = project_points(self.centres[None], intrinsics[None], world_to_camera[None])
            inside = (depth > 0) & ((pixels >= 0) & (pixels < size[::-1])).all(axis=-1)
            values = depth[inside] if inside.any() else np.linalg.norm(self.centres - path.centres[frame], axis=1)
            if len(values) and values.max() > 0:
                found[frame] = np.percentile(values, percents)
        return found

    def covered(self, path: CameraPath, size: tuple[int, int], within: float) -> FloatArray:
        """(F,) share of each frame, of height and width `size`, that splats nearer than `within` cover."""
        from recon.splats.cover_kernel import mark_hits  # compiled: the command line is to answer at once

        y, x = ((np.arange(count) + 0.5) / count * side for count, side in zip(_RAYS, size, strict=True))
        pixels = np.stack([*(side.ravel() for side in np.meshgrid(x, y)), np.ones(len(x) * len(y))])  # (3, R)
        rays = np.linalg.solve(path.intrinsics, pixels)[:, :2].astype(np.float32)  # (F, 2, R) x and y at depth 1
        camera_to_world = quaternions.to_matrix(path.rotations).astype(np.float32)
        hits = np.zeros((len(path), pixels.shape[1]), bool)
        mark_hits(self.centres, self.radii, path.centres.astype(np.float32), camera_to_world, rays, within, hits)
        return hits.mean(axis=1)
