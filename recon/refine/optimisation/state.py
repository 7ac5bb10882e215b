"""Everything that changes while splats are fitted to photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.quaternions import normalise
from recon.refine.optimisation.camera_corrections import CorrectedCameras
from recon.refine.optimisation.exposures import Exposures
from recon.splats.coverage import LEAST_OPACITY
from recon.splats.cpu_projection_gradients import HARMONICS
from recon.types import Gaussians

_START_OPACITIES = 1e-4, 0.999
_FIELDS = tuple(Gaussians.__dataclass_fields__)


@dataclass
class AdamSplats:
    """G splats, and what Adam remembers of each; all float32, in rows, and changed in place."""

    gaussians: Gaussians
    moments: NDArray[np.float32]
    """(G, 2 D) first and second moments of the D derivatives in the order of `cpu_projection_gradients`."""
    steps: NDArray[np.int32]
    """(G,) how often each has moved."""

    @staticmethod
    def of(gaussians: Gaussians, sh_degree: int) -> AdamSplats:
        """Before the first step: neither invisible nor opaque for good, with harmonics of `sh_degree`."""
        count = len(gaussians)
        coefficients = (sh_degree + 1) ** 2
        harmonics = np.zeros((count, 3, coefficients), np.float32)
        known = gaussians.harmonics[:, :, :coefficients]
        harmonics[:, :, : known.shape[2]] = known
        parameters = Gaussians(
            means=np.array(gaussians.means, np.float32, order="C"),
            scales=np.maximum(gaussians.scales, 1e-8).astype(np.float32, order="C"),
            rotations=np.array(normalise(gaussians.rotations), np.float32, order="C"),
            harmonics=harmonics,
            opacities=np.clip(gaussians.opacities, *_START_OPACITIES).astype(np.float32),
        )
        return AdamSplats.unmoved(parameters)

    @staticmethod
    def unmoved(gaussians: Gaussians) -> AdamSplats:
        """With nothing to remember, in these arrays."""
        count, numbers = len(gaussians), HARMONICS + 3 * gaussians.harmonics.shape[2]
        moments = np.zeros((count, 2 * numbers), np.float32)
        return AdamSplats(gaussians, moments, np.zeros(count, np.int32))

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> AdamSplats:
        """From what `arrays` gives."""
        gaussians = Gaussians(**{name: arrays[name] for name in _FIELDS})
        splats = AdamSplats(gaussians, arrays["moments"], arrays["steps"])
        if len(splats.moments) != len(gaussians) or splats.moments.shape[1] != 2 * (
            HARMONICS + 3 * splats.coefficients
        ):
            raise ValueError(f"moments of shape {splats.moments.shape} are not those of {len(gaussians)} splats")
        return splats

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that changes, by name."""
        gaussians = {name: getattr(self.gaussians, name) for name in _FIELDS}
        return {**gaussians, "moments": self.moments, "steps": self.steps}

    @property
    def coefficients(self) -> int:
        """Harmonics of each channel."""
        return int(self.gaussians.harmonics.shape[2])

    @property
    def sh_degree(self) -> int:
        """Of the harmonics."""
        return self.gaussians.sh_degree

    def with_degree(self, sh_degree: int) -> AdamSplats:
        """With harmonics of a higher degree, the new ones 0; Adam goes on with the others."""
        old, new = self.coefficients, (sh_degree + 1) ** 2
        count = len(self.gaussians)
        harmonics = np.zeros((count, 3, new), np.float32)
        harmonics[:, :, :old] = self.gaussians.harmonics
        moments = np.zeros((count, 2, HARMONICS + 3 * new), np.float32)
        before = self.moments.reshape(count, 2, -1)
        moments[:, :, :HARMONICS] = before[:, :, :HARMONICS]
        of_harmonics = moments[:, :, HARMONICS:].reshape(count, 2, 3, new)
        of_harmonics[..., :old] = before[:, :, HARMONICS:].reshape(count, 2, 3, old)
        moments[:, :, HARMONICS:] = of_harmonics.reshape(count, 2, -1)
        gaussians = replace(self.gaussians, harmonics=harmonics)
        return AdamSplats(gaussians, moments.reshape(count, -1), self.steps)

    def visible(self) -> Gaussians:
        """Without those that can be seen no more, with quaternions of length 1."""
        found = self.gaussians
        rows = [getattr(found, name).reshape(len(found), -1) for name in _FIELDS]
        kept = (found.opacities >= LEAST_OPACITY) & np.isfinite(np.concatenate(rows, axis=1)).all(axis=1)
        kept = kept if kept.any() else np.ones(len(found), bool)
        chosen = {name: getattr(found, name)[kept] for name in _FIELDS}
        return Gaussians(**{**chosen, "rotations": normalise(chosen["rotations"])})


@dataclass(frozen=True)
class Best:
    """What was found, as it was when the photos held out were most like their views."""

    score: float
    gaussians: Gaussians
    world_to_camera: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    exposures: NDArray[np.float64]

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything but the score, by name."""
        gaussians = {name: getattr(self.gaussians, name) for name in _FIELDS}
        others = {name: getattr(self, name) for name in ("world_to_camera", "intrinsics", "exposures")}
        return {**gaussians, **others}


@dataclass
class FitState:
    """All that decides how it goes on."""

    splats: AdamSplats
    cameras: CorrectedCameras
    exposures: Exposures
    rng: np.random.Generator
    done: int = 0
    """Steps."""
    seconds: float = 0.0
    """That they took."""
    order: tuple[int, ...] = ()
    """Photos still to be looked at before all are looked at again; the last is next."""
    rounds: int = 0
    """In which splats have become more."""
    best: Best | None = None
    """Where photos held out say when to stop."""
    worse: int = 0
    """How many times in a row they were no better."""

    @property
    def beside(self) -> dict[str, NDArray[Any]]:
        """What changes beside the splats, by name; to be changed in place."""
        return {
            **{f"cameras.{name}": array for name, array in self.cameras.arrays.items()},
            **{f"exposures.{name}": array for name, array in self.exposures.arrays.items()},
        }

    def as_best(self, score: float) -> Best:
        """A copy of what has been found."""
        splats = {name: getattr(self.splats.gaussians, name).copy() for name in _FIELDS}
        cameras = self.cameras
        return Best(
            score,
            Gaussians(**splats),
            cameras.world_to_camera.copy(),
            cameras.intrinsics.copy(),
            self.exposures.values.copy(),
        )

    def return_to(self, best: Best) -> None:
        """Go back to what had been found then; Adam begins anew."""
        self.splats = AdamSplats.unmoved(best.gaussians)
        self.cameras.world_to_camera[:] = best.world_to_camera
        self.cameras.intrinsics[:] = best.intrinsics
        self.exposures.values[:] = best.exposures
