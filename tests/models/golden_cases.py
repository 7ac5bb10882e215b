"""Inputs of the golden files: outputs of the reference package, kept for machines that do not have it.

`python -m tests.reference.make_golden` writes the files anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recon.models.networks import Network
from tests.models.tiny import cameras, images, tiny_network

FOLDER = Path(__file__).parent / "golden"
HEIGHT, WIDTH = 28, 42


@dataclass(frozen=True)
class GoldenCase:
    """One network and one input."""

    kind: str
    views: int
    scenes: int = 1
    posed: bool = False
    infer_gs: bool = False
    feature_layers: tuple[int, ...] = ()
    ref_view_strategy: str = "saddle_balanced"

    @property
    def name(self) -> str:
        parts = [self.kind, f"{self.scenes}x{self.views}", self.ref_view_strategy]
        parts += ["posed"] * self.posed + ["gaussians"] * self.infer_gs + ["features"] * bool(self.feature_layers)
        return "-".join(parts)

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.npz"

    def network(self) -> Network:
        return tiny_network(self.kind)

    def arguments(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Images, and cameras where the case has them."""
        size = {"scenes": self.scenes, "height": HEIGHT, "width": WIDTH}
        extrinsics, intrinsics = cameras(self.views, **size) if self.posed else (None, None)
        return images(self.views, **size), extrinsics, intrinsics


CASES = [
    *(GoldenCase("any_view", views, posed=posed) for views in (1, 2, 3, 5) for posed in (False, True)),
    *(GoldenCase("any_view", 5, ref_view_strategy=name) for name in ("first", "middle", "saddle_sim_range")),
    GoldenCase("any_view", 3, scenes=2),
    GoldenCase("any_view", 3, scenes=2, posed=True),
    GoldenCase("any_view", 2, feature_layers=(1, 5)),
    GoldenCase("giant", 2, infer_gs=True),
    GoldenCase("single_view", 2),
    GoldenCase("nested", 3),
    GoldenCase("nested", 2, posed=True),
]


def fingerprint(network: Network) -> float:
    """One number that changes when the random weights do."""
    flat = torch.cat([parameter.detach().double().flatten() for parameter in network.parameters()])
    return float(flat @ torch.arange(1, len(flat) + 1, dtype=torch.float64))
