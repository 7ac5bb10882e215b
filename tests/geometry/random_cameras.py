"""Seeded random rotations, similarities and captures that the tests of several modules draw from."""

from __future__ import annotations

import numpy as np

from recon.geometry.cameras import invert_rigid
from recon.geometry.similarity import Similarity


def random_rotations(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """(*shape, 3, 3) proper rotations, uniform: orthonormalised normal matrices."""
    q, r = np.linalg.qr(generator.normal(size=(*shape, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    return q * np.sign(np.linalg.det(q))[..., None, None]


def small_rotations(generator: np.random.Generator, count: int, degrees: float) -> np.ndarray:
    """(count, 3, 3) rotations by normal angles of this standard deviation about random axes (Rodrigues)."""
    axes = generator.normal(size=(count, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.radians(degrees) * generator.normal(size=(count, 1, 1))
    x, y, z = axes.T
    zero = np.zeros(count)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(count, 3, 3)
    return np.eye(3) + np.sin(angles) * cross + (1 - np.cos(angles)) * cross @ cross


def random_similarity(generator: np.random.Generator) -> Similarity:
    return Similarity(float(generator.uniform(0.1, 10)), random_rotations(generator), generator.normal(size=3) * 5)


def rigid(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """(..., 4, 4) rotation and translation in one matrix."""
    matrix = np.zeros((*rotation.shape[:-2], 4, 4))
    matrix[..., :3, :3], matrix[..., :3, 3], matrix[..., 3, 3] = rotation, translation, 1
    return matrix


def random_extrinsics(generator: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4, 4) cameras anywhere, turned anyhow."""
    return rigid(random_rotations(generator, count), generator.normal(size=(count, 3)) * 2)


def cameras_at(centres: np.ndarray, camera_to_world_rotations: np.ndarray) -> np.ndarray:
    """(N, 4, 4) world to camera."""
    return invert_rigid(rigid(np.broadcast_to(camera_to_world_rotations, (len(centres), 3, 3)), centres))


def upright_cameras(centres: np.ndarray, viewing: np.ndarray) -> np.ndarray:
    """(N, 4, 4) world to camera of cameras that look along `viewing` (N, 3), without roll, in a world with z up."""
    forward = viewing / np.linalg.norm(viewing, axis=1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return cameras_at(centres, np.stack([right, np.cross(forward, right), forward], axis=2))
