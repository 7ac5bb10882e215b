"""A model about its estimate as linear least squares: how sure it is, and what it would be without some photos.

Everything is robust: an observation off by r weighs w = 1 / (1 + |r|² / s²) in the gradient (Cauchy's loss of scale s),
and w² in the curvature, which is the mean over all directions of the loss's second derivative.

Triggs et al., Bundle Adjustment: A Modern Synthesis, 1999: reduced camera system (6.1), gauge (9.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pycolmap

POSE = 6
"""Parameters of a pose: a turn in the axes of the camera, in radians, and a step of its centre in the world."""
_STEP = 1e-5
"""Relative, of numerical derivatives of lenses: they are smooth."""
_DAMPING = 1e-8
"""Share of each parameter's own curvature that is added, for the system of a model free to move is singular."""
_LEAST_FREEDOM = 1e-3
"""Share of the observations that are more than are needed: what is left of fewer says nothing of their errors."""
_DENSE = 0.1
"""Share of the entries of a matrix from which on an array is faster than a sparse one."""
_POINT_ROUNDS = 6
"""Reweighted solutions for points whose cameras are held."""
_POSE_ROUNDS = 5
"""Reweighted solutions for the pose of a photo whose lens and points are held."""


@dataclass(frozen=True)
class HeldOut:
    """What photos of a model say about a lens that was estimated without them."""

    cost: NDArray[np.float64]
    """(M,) robust cost of each photo, with its pose alone fitted to the lens and the points of the others."""
    count: NDArray[np.int64]
    """(M,) observations in it."""
    lens: NDArray[np.float64]
    """(G, K) change of the lens parameters without the photos of each group."""


@dataclass(frozen=True)
class Linearised:
    """Residuals of the n observations of a model with M photos and P points, and their derivatives."""

    image_ids: tuple[int, ...]
    """M, ascending."""
    scale: float
    """Of the loss, in pixels."""
    image: NDArray[np.intp]
    """(n,) row of the photo."""
    point: NDArray[np.intp]
    """(n,) row of the point."""
    residual: NDArray[np.float64]
    """(n, 2) projected less observed, in pixels."""
    by_pose: NDArray[np.float64]
    """(n, 2, 6)"""
    by_lens: NDArray[np.float64]
    """(n, 2, K) by all lens parameters that are free."""
    by_point: NDArray[np.float64]
    """(n, 2, 3)"""
    rotations: NDArray[np.float64]
    """(M, 3, 3) world-to-camera."""
    centres: NDArray[np.float64]
    """(M, 3)"""

    @staticmethod
    def of(model: pycolmap.Reconstruction, scale: float, free: Mapping[int, Sequence[int]]) -> Linearised:
        """About the estimate that `model` holds.

        Args:
            model: with at least two photos.
            scale: of the loss, in pixels.
            free: by id of the camera, the indices of its parameters that are free.
        """
        ids = tuple(sorted(model.reg_image_ids()))
        rows = {point_id: row for row, point_id in enumerate(model.points3D)}
        places = np.array([model.points3D[point_id].xyz for point_id in rows]).reshape(-1, 3)
        first, count = {}, 0
        for camera_id in sorted(free):
            first[camera_id], count = count, count + len(free[camera_id])
        parts: list[tuple[NDArray[Any], ...]] = []
        rotations, centres = np.zeros((len(ids), 3, 3)), np.zeros((len(ids), 3))
        for view, image_id in enumerate(ids):
            image = model.images[image_id]
            matrix = np.asarray(image.cam_from_world().matrix(), np.float64)
            rotations[view], centres[view] = matrix[:, :3], -matrix[:, :3].T @ matrix[:, 3]
            seen = image.get_observation_points2D()
            if not seen:
                continue
            point = np.array([rows[one.point3D_id] for one in seen], np.intp)
            in_camera = places[point] @ matrix[:, :3].T + matrix[:, 3]  # (n, 3)
            camera = model.cameras[image.camera_id]
            projected, by_place, by_own = _derivatives(camera, in_camera, free.get(image.camera_id, ()))
            by_lens = np.zeros((len(point), 2, count))
            at = first.get(image.camera_id, 0)
            by_lens[:, :, at : at + by_own.shape[2]] = by_own
            by_turn = by_place @ -_skew(in_camera)
            by_world = by_place @ matrix[:, :3]
            parts.append(
                (
                    np.full(len(point), view, np.intp),
                    point,
                    projected - np.array([one.xy for one in seen]),
                    np.concatenate([by_turn, -by_world], axis=2),
                    by_lens,
                    by_world,
                )
            )
        stacked = [np.concatenate(part) for part in zip(*parts, strict=True)]
        usable = np.isfinite(stacked[2]).all(axis=1)
        image_rows, point_rows, residual, by_pose, lenses, by_point = (part[usable] for part in stacked)
        return Linearised(ids, scale, image_rows, point_rows, residual, by_pose, lenses, by_point, rotations, centres)

    @property
    def lens_count(self) -> int:
        """K, free parameters of lenses."""
        return self.by_lens.shape[2]

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """(n,) of each observation in the gradient."""
        return _weight(self.residual, self.scale)

    @cached_property
    def variance(self) -> float:
        """Of one coordinate of an observation where weights are 1, by what is left of it."""
        squared = float((self.weight**2 * (self.residual**2).sum(axis=1)).sum())
        known = POSE * len(self.image_ids) + 3 * len(np.unique(self.point)) + self.lens_count - 7
        freedom = max(_LEAST_FREEDOM, 1 - known / (2 * len(self.residual)))
        return squared / (2 * float((self.weight**2).sum())) / freedom

    def covariance(self) -> NDArray[np.float64]:
        """(6 M + K, 6 M + K) of poses and lenses, where the observations are independent of each other.

        The whole model may be moved, turned and scaled freely; what is left is the uncertainty against the other
        photos (inner constraints), in units in which their centres are one away from their middle on average.
        """
        system = self._reduced(np.ones(len(self.image), bool))
        unit = self.spread
        scale = np.ones(len(system.matrix))
        for axis in range(3, POSE):
            scale[axis : POSE * len(self.image_ids) : POSE] = unit
        matrix = system.matrix * scale[:, None] * scale
        unseen = np.flatnonzero(np.diag(matrix) <= 0)
        matrix[unseen, unseen] = _DAMPING * np.median(np.diag(matrix))
        gauge = self._gauge() / scale[:, None]
        gauge = np.linalg.qr(gauge)[0]
        weight = float(np.median(np.diag(matrix)))
        inverse = np.linalg.inv(matrix + weight * gauge @ gauge.T) - gauge @ gauge.T / weight
        return self.variance * inverse

    @cached_property
    def spread(self) -> float:
        """Mean distance of the camera centres from their middle."""
        return float(np.linalg.norm(self.centres - self.centres.mean(axis=0), axis=1).mean()) or 1.0

    def without(self, groups: Sequence[Sequence[int]]) -> HeldOut:
        """What lens and points are without the photos of each group of rows, and how these then explain them.

        One step of Newton's method from the estimate with all photos.
        """
        cost, count = np.zeros(len(self.image_ids)), np.zeros(len(self.image_ids), np.int64)
        changes = np.zeros((len(groups), self.lens_count))
        for number, group in enumerate(groups):
            left_out = np.isin(self.image, group)
            seen = np.bincount(self.point[~left_out], minlength=int(self.point.max()) + 1)
            enough = seen[self.point] >= 2
            system = self._reduced(~left_out & enough)
            change = system.solution()
            changes[number] = change[POSE * len(self.image_ids) :]
            moved = system.points(change)
            for view in group:
                own = (self.image == view) & enough
                left = (
                    self.residual[own]
                    + self.by_lens[own] @ changes[number]
                    + np.einsum("nij,nj->ni", self.by_point[own], moved[self.point[own]])
                )
                cost[view], count[view] = _cost_of_pose(left, self.by_pose[own], self.scale), own.sum()
        return HeldOut(cost, count, changes)

    def points_alone(self, count: int) -> NDArray[np.float64]:
        """(count, 3) change of each of the points that explains its observations best, with all cameras held."""
        change = np.zeros((count, 3))
        for _ in range(_POINT_ROUNDS):
            left = self.residual + np.einsum("nij,nj->ni", self.by_point, change[self.point])
            weighted = self.by_point * _weight(left, self.scale)[:, None, None]
            blocks = _summed(weighted.swapaxes(1, 2) @ self.by_point, self.point, count)
            right = _summed(np.einsum("nij,ni->nj", weighted, self.residual), self.point, count)
            seen = blocks[:, range(3), range(3)].min(axis=1) > 0
            blocks[:, range(3), range(3)] *= 1 + _DAMPING
            change[seen] = -np.linalg.solve(blocks[seen], right[seen, :, None])[:, :, 0]
        return change

    def _reduced(self, used: NDArray[np.bool_]) -> _Reduced:
        image, weight = self.image[used], self.weight[used][:, None, None]
        rows, point = np.unique(self.point[used], return_inverse=True)
        by_pose, by_lens, by_point = (weight * part[used] for part in (self.by_pose, self.by_lens, self.by_point))
        blocks = _summed(by_point.swapaxes(1, 2) @ by_point, point, len(rows))
        blocks[:, range(3), range(3)] *= 1 + _DAMPING
        factor = np.linalg.cholesky(np.linalg.inv(blocks))  # (P, 3, 3)
        whitened = by_point @ factor[point]  # (n, 2, 3): of the points, after which their curvature is 1
        by_camera = np.concatenate([by_pose, by_lens], axis=2)  # (n, 2, 6 + K)
        residual = self.residual[used]
        poses, lenses = POSE * len(self.image_ids), self.lens_count
        matrix, slope = np.zeros((poses + lenses, poses + lenses)), np.zeros(poses + lenses)
        ends = np.searchsorted(image, np.arange(len(self.image_ids) + 1))  # observations are in the order of photos
        for view in range(len(self.image_ids)):
            at = np.concatenate([POSE * view + np.arange(POSE), poses + np.arange(lenses)])
            own = by_camera[ends[view] : ends[view + 1]].reshape(-1, len(at))
            matrix[np.ix_(at, at)] += own.T @ own
            slope[at] += own.T @ residual[ends[view] : ends[view + 1]].ravel()
        cross = self._cross(image, point, by_camera.swapaxes(1, 2) @ whitened, len(rows))
        # The gradient has one factor of the weight, not two.
        by_points = _summed(np.einsum("nij,ni->nj", whitened, residual), point, len(rows)).ravel()
        product = cross @ cross.T
        matrix -= product if isinstance(product, np.ndarray) else product.toarray()
        return _Reduced(
            matrix, -(slope - cross @ by_points), cross, -by_points, factor, rows, int(self.point.max()) + 1
        )

    def _cross(self, image: NDArray[np.intp], point: NDArray[np.intp], blocks: NDArray[np.float64], count: int) -> Any:
        """(6 M + K, 3 P) curvature of cameras with points, from that (n, 6 + K, 3) of each observation.

        An array where photos share most points, for products of these are faster; otherwise sparse.
        """
        from scipy.sparse import coo_array

        poses, lenses = POSE * len(self.image_ids), self.lens_count
        camera_rows = np.concatenate(
            [POSE * image[:, None] + np.arange(POSE), np.broadcast_to(poses + np.arange(lenses), (len(image), lenses))],
            axis=1,
        )
        rows = np.broadcast_to(camera_rows[:, :, None], blocks.shape).ravel()
        columns = np.broadcast_to((3 * point[:, None] + np.arange(3))[:, None], blocks.shape).ravel()
        shape = (poses + lenses, 3 * count)
        found = coo_array((blocks.ravel(), (rows.astype(np.int32), columns.astype(np.int32))), shape).tocsr()
        return found.toarray() if found.nnz > _DENSE * shape[0] * shape[1] else found

    def _gauge(self) -> NDArray[np.float64]:
        """(6 M + K, 7) changes of the parameters that move, turn and scale the model as a whole."""
        from_middle = self.centres - self.centres.mean(axis=0)
        gauge = np.zeros((POSE * len(self.image_ids) + self.lens_count, 7))
        for axis in range(3):
            turn = np.eye(3)[axis]
            for view, centre in enumerate(from_middle):
                at = POSE * view
                gauge[at + 3 + axis, axis] = 1
                gauge[at : at + 3, 3 + axis] = -self.rotations[view] @ turn
                gauge[at + 3 : at + 6, 3 + axis] = np.cross(turn, centre)
                gauge[at + 3 : at + 6, 6] = centre
        return gauge


@dataclass(frozen=True)
class _Reduced:
    """The system of poses and lenses that is left when points are eliminated."""

    matrix: NDArray[np.float64]
    right: NDArray[np.float64]
    cross: Any
    """(6 M + K, 3 P) sparse or not, of cameras with whitened points."""
    points_right: NDArray[np.float64]
    """(3 P,) of the whitened points."""
    factor: NDArray[np.float64]
    """(P, 3, 3) from whitened points to points."""
    rows: NDArray[np.intp]
    """(P,) of the points in it."""
    point_count: int

    def solution(self) -> NDArray[np.float64]:
        """(6 M + K,) change of poses and lenses; nothing for what no observation is about."""
        diagonal = np.diag(self.matrix)
        scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        scaled = self.matrix * scale[:, None] * scale
        scaled[np.diag_indices_from(scaled)] = 1 + _DAMPING
        return np.asarray(scale * np.linalg.solve(scaled, scale * self.right), np.float64)

    def points(self, change: NDArray[np.float64]) -> NDArray[np.float64]:
        """(all points, 3) change of the points with that of the cameras; 0 for those that are not in the system."""
        whitened = (self.points_right - self.cross.T @ change).reshape(-1, 3)
        moved = np.zeros((self.point_count, 3))
        moved[self.rows] = np.einsum("pij,pj->pi", self.factor, whitened)
        return moved


def _derivatives(
    camera: pycolmap.Camera, in_camera: NDArray[np.float64], free: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Pixels (n, 2) of points (n, 3) in the camera's frame; their derivatives (n, 2, 3) by the points, and
    (n, 2, len(free)) by parameters of the lens."""
    import pycolmap

    def pixels(of: pycolmap.Camera, at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(of.img_from_cam(np.ascontiguousarray(at)), np.float64)

    step = _STEP * np.linalg.norm(in_camera, axis=1, keepdims=True)
    by_place = np.zeros((len(in_camera), 2, 3))
    for axis in range(3):
        offset = step * np.eye(3)[axis]
        by_place[:, :, axis] = (pixels(camera, in_camera + offset) - pixels(camera, in_camera - offset)) / (2 * step)
    by_lens = np.zeros((len(in_camera), 2, len(free)))
    for column, index in enumerate(free):
        value = float(camera.params[index])
        step_of = _STEP * max(1.0, abs(value))
        both = []
        for sign in (1, -1):
            changed = pycolmap.Camera(camera.todict())
            parameters = np.array(camera.params)
            parameters[index] = value + sign * step_of
            changed.params = parameters.tolist()
            both.append(pixels(changed, in_camera))
        by_lens[:, :, column] = (both[0] - both[1]) / (2 * step_of)
    return pixels(camera, in_camera), by_place, by_lens


def _summed(values: NDArray[np.float64], rows: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """(count, ...) sums of those values (n, ...) that have the same row (n,)."""
    flat = values.reshape(len(values), -1)
    sums = [np.bincount(rows, weights=flat[:, column], minlength=count) for column in range(flat.shape[1])]
    return np.stack(sums, axis=1).astype(np.float64, copy=False).reshape(count, *values.shape[1:])


def _skew(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3, 3) matrices that take the cross product of each vector with another."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([np.stack(row, axis=1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))], axis=1)


def _weight(residual: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    return 1 / (1 + (residual**2).sum(axis=1) / scale**2)


def _cost_of_pose(residual: NDArray[np.float64], by_pose: NDArray[np.float64], scale: float) -> float:
    """Robust cost of observations (n, 2), with derivatives (n, 2, 6), after the pose is fitted to them."""
    if len(residual) < POSE:
        return 0.0
    left = residual
    for _ in range(_POSE_ROUNDS):
        root = np.sqrt(_weight(left, scale))[:, None]
        change = np.linalg.lstsq((root[:, :, None] * by_pose).reshape(-1, POSE), (root * residual).ravel(), rcond=None)[
            0
        ]
        left = residual - by_pose @ change
    return float((scale**2 * np.log1p((left**2).sum(axis=1) / scale**2)).sum() / 2)
