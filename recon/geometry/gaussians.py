"""Move Gaussians from one world to another."""

from __future__ import annotations

import numpy as np

from recon.geometry import quaternions
from recon.geometry.similarity import Similarity
from recon.geometry.spherical_harmonics import rotation_matrices
from recon.types import Gaussians


def transform_gaussians(gaussians: Gaussians, similarity: Similarity) -> Gaussians:
    """The same Gaussians in the target world of `similarity`, in their own dtypes; opacities are shared.

    Centres and scales follow the similarity, orientations and colours its rotation.

    Raises:
        ValueError: the spherical harmonics are of a degree above 3.
    """
    means, scales = gaussians.means, gaussians.scales
    turn = quaternions.from_matrix(similarity.rotation)
    turn_harmonics = rotation_matrices(similarity.rotation, gaussians.sh_degree)  # (K, K)
    rotations = quaternions.normalise(quaternions.multiply(turn, gaussians.rotations.astype(np.float64)))
    harmonics = gaussians.harmonics @ turn_harmonics.T.astype(gaussians.harmonics.dtype)  # (G, 3, K)
    return Gaussians(
        means=similarity.apply(means).astype(means.dtype),
        scales=(scales * similarity.scale).astype(scales.dtype),
        rotations=rotations.astype(gaussians.rotations.dtype),
        harmonics=harmonics,
        opacities=gaussians.opacities,
    )
