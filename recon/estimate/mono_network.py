"""A torch network as a `SingleViewModel`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recon.estimate.mono_predict import DepthMaps
from recon.models.conventions import Conventions, conventions_of
from recon.models.memory import reuse_freed_memory
from recon.models.precision import resolve_precision
from recon.models.ready import ReadyModel
from recon.models.single_view import SKY_THRESHOLD
from recon.sources.fitting import normalise
from recon.types import DepthKind


class NetworkModel:
    """Photos as scenes of one view each, so that none learns of another; see `SingleViewModel`."""

    fixed_size = None
    kind: DepthKind = "network"

    def __init__(self, model: ReadyModel) -> None:
        """Raises InputError for an any-view network."""
        self.conventions: Conventions = conventions_of(model.preset)
        self._model = model

    @property
    def name(self) -> str:
        """Of the preset."""
        return self._model.name

    @property
    def warnings(self) -> Sequence[str]:
        """Of making the network ready."""
        return self._model.warnings

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        return self._model.describe()

    def depth_maps(self, images: NDArray[np.uint8]) -> DepthMaps:
        """As `SingleViewModel.depth_maps`."""
        device = self._model.device
        with torch.inference_mode(), reuse_freed_memory(device):
            scenes = torch.from_numpy(normalise(images))[:, None].to(device)  # (B, 1, 3, H, W)
            output = self._model.network(scenes, encoder_dtype=resolve_precision(self._model.precision, device))
            depth = output.depth[:, 0].float().cpu().numpy()
            sky = None if output.sky is None else output.sky[:, 0].float().cpu().numpy() >= SKY_THRESHOLD
        return DepthMaps(depth, sky)
