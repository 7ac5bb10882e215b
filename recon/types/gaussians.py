"""Gaussians: a set of splats."""

from __future__ import annotations

from dataclasses import dataclass

from recon.types.arrays import FloatArray
from recon.types.arrays import check_shape as _check


@dataclass(frozen=True)
class Gaussians:
    """G anisotropic 3D Gaussians in world space, the parameters of 3D Gaussian splatting (Kerbl et al. 2023)."""

    means: FloatArray
    """(G, 3) centres, in the units of the prediction."""
    scales: FloatArray
    """(G, 3) standard deviations along the local axes, in the units of the prediction; linear, not log."""
    rotations: FloatArray
    """(G, 4) unit quaternions (w, x, y, z), local axes to world."""
    harmonics: FloatArray
    """(G, 3, (degree + 1)²) spherical-harmonic coefficients per colour channel, in world directions."""
    opacities: FloatArray
    """(G,) in [0, 1]."""

    def __post_init__(self) -> None:
        _check(self.means, "means", (None, 3))
        count = len(self.means)
        _check(self.scales, "scales", (count, 3))
        _check(self.rotations, "rotations", (count, 4))
        _check(self.harmonics, "harmonics", (count, 3, None))
        _check(self.opacities, "opacities", (count,))
        bands = self.harmonics.shape[2]
        if bands == 0 or round(bands**0.5) ** 2 != bands:
            raise ValueError(f"harmonics must hold (degree + 1)² coefficients per channel, got {bands}")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics: 0 is a plain colour."""
        return round(self.harmonics.shape[2] ** 0.5) - 1
