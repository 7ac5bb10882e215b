"""What the loop learns from: samples, batches of them, and where batches come from.

`recon.train.data` makes samples and hands out batches; the loop and the losses know nothing else of data. All samples
of a batch come from one data set and have the same size and number of views.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.choices import OutputKind
from recon.models.presets import PATCH_SIZE


@dataclass(frozen=True)
class Sample:
    """N views of one scene in numpy, as a data set makes them; the first is the reference view."""

    images: NDArray[np.float32]
    """(N, 3, H, W) ImageNet-normalised, sides multiples of 14; with augmentation, as the network is to see them"""
    names: tuple[str, ...]
    """(N,) data set and photo, for messages"""
    depth: NDArray[np.float32] | None = None
    """(N, H, W) true z-depth, anything where it is not valid; None for an unlabeled sample"""
    valid: NDArray[np.bool_] | None = None
    """(N, H, W) where depth is known; never in the sky"""
    world_to_camera: NDArray[np.float32] | None = None
    """(N, 4, 4) in units of the depth"""
    intrinsics: NDArray[np.float32] | None = None
    """(N, 3, 3) in pixels of these images"""
    sky: NDArray[np.bool_] | None = None
    """(N, H, W) where the sky is; None where nobody knows"""
    teacher: NDArray[np.float32] | None = None
    """(N, H, W) a teacher's map of the clean photos, NaN where there is none"""
    teacher_kind: OutputKind = "depth"
    """What the teacher's map holds, at an unknown scale and shift"""
    cameras_given: bool = False
    """Whether the network is told the cameras"""
    metric: bool = False
    """Whether depth is in metres"""
    exact: bool = False
    """Whether depth is without noise, as that of rendered scenes: normals can be learned from it"""


@dataclass(frozen=True)
class Batch:
    """B samples of N views as tensors; fields are those of `Sample` with an axis in front."""

    images: Tensor
    """(B, N, 3, H, W) float32"""
    names: tuple[tuple[str, ...], ...]
    """(B, N)"""
    depth: Tensor | None = None
    """(B, N, H, W) float32"""
    valid: Tensor | None = None
    """(B, N, H, W) bool"""
    world_to_camera: Tensor | None = None
    """(B, N, 4, 4) float32"""
    intrinsics: Tensor | None = None
    """(B, N, 3, 3) float32"""
    sky: Tensor | None = None
    """(B, N, H, W) bool"""
    teacher: Tensor | None = None
    """(B, N, H, W) float32"""
    teacher_kind: OutputKind = "depth"
    cameras_given: bool = False
    metric: bool = False
    exact: bool = False

    def __post_init__(self) -> None:
        b, n, channels, height, width = self.images.shape
        if channels != 3 or height % PATCH_SIZE or width % PATCH_SIZE:
            raise ValueError(
                f"images must be (B, N, 3, H, W) with sides multiples of {PATCH_SIZE}, got {tuple(self.images.shape)}"
            )
        if len(self.names) != b or any(len(names) != n for names in self.names):
            raise ValueError(f"names must be {b} × {n} as the images")
        shapes = dict.fromkeys(("depth", "valid", "sky", "teacher"), (b, n, height, width))
        shapes |= {"world_to_camera": (b, n, 4, 4), "intrinsics": (b, n, 3, 3)}
        for name, shape in shapes.items():
            value: Tensor | None = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise ValueError(f"{name} must have shape {shape}, got {tuple(value.shape)}")
        if (self.depth is None) != (self.valid is None):
            raise ValueError("depth and valid go together")
        if self.depth is None and self.teacher is None:
            raise ValueError("a batch needs depth, or a teacher's map")
        if self.cameras_given and (self.world_to_camera is None or self.intrinsics is None):
            raise ValueError("cameras_given needs world_to_camera and intrinsics")

    @property
    def unlabeled(self) -> bool:
        """Whether a teacher's map is all there is to learn from."""
        return self.depth is None

    @property
    def tokens(self) -> int:
        """Patches of all images."""
        b, n, _, height, width = self.images.shape
        return b * n * (height // PATCH_SIZE) * (width // PATCH_SIZE)

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return replace(self, **{name: value.to(device, non_blocking=True) for name, value in self._tensors().items()})

    def part(self, rank: int, ranks: int) -> Batch:
        """What process `rank` of `ranks` takes of a batch for all of them: every so many samples."""
        tensors = {name: value[rank::ranks] for name, value in self._tensors().items()}
        return replace(self, names=self.names[rank::ranks], **tensors)

    def _tensors(self) -> dict[str, Any]:
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def collate(samples: Sequence[Sample]) -> Batch:
    """One batch of samples that agree in size, number of views and in what they have."""
    arrays: dict[str, Any] = {}
    common: dict[str, Any] = {}
    for name in (one.name for one in fields(Sample)):
        values = [getattr(sample, name) for sample in samples]
        if name == "names":
            continue
        if all(isinstance(value, np.ndarray) for value in values):
            arrays[name] = torch.from_numpy(np.stack(values))
        elif any(isinstance(value, np.ndarray) or value != values[0] for value in values):
            raise ValueError(f"samples of one batch must agree in {name}")
        else:
            common[name] = values[0]
    return Batch(names=tuple(sample.names for sample in samples), **arrays, **common)


class Batches(Protocol):
    """An endless stream of batches that can be left and taken up again at the same place.

    What comes next depends on the seed and on how many batches came before, and on nothing else: a stream that is
    resumed gives the very batches that an undisturbed one would have given, whatever workers had prepared ahead.
    """

    def __iter__(self) -> Iterator[Batch]: ...

    def __next__(self) -> Batch: ...

    def state(self) -> dict[str, Any]:
        """Where the stream is behind the batch that it gave last: numbers and texts, lists and dicts of them."""

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on behind the batch that came before `state()` said this. The same data and seed are meant."""

    def close(self) -> None:
        """End what prepares batches ahead."""


class TrainingData(Protocol):
    """What a configuration's section `data` stands for.

    `recon.train.data.open_data(entries, of=...)` makes it of that section as YAML gives it; `of` is what errors name
    before the keys, as in `tiny.yaml: data.sets[0].weight must be above 0`.
    """

    def batches(self, seed: int, rank: int = 0, ranks: int = 1) -> Batches:
        """The stream for process `rank` of `ranks`: `Batch.part` of the batches that one process alone would get.

        So as many processes as there are learn the same, as long as the samples of a batch are shared out evenly.
        """

    def evaluation(self) -> Iterator[Batch]:
        """The batches that are kept for evaluation: the same in every call, without augmentation; each is labeled."""

    def describe(self) -> dict[str, Any]:
        """For `train.json`: sets with their sizes, and what was left out of them."""

    @property
    def skipped(self) -> Mapping[str, str]:
        """By name, samples that could not be used so far and why."""
