"""Photos with what is known of them, from wherever they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recon.types import FloatArray
from recon.types.cameras import Cameras

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Picture:
    """One photo, upright and without distortion."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    mask: NDArray[np.bool_] | None = None
    """(H, W) True where the photo shows what is wanted; None: everywhere."""


@dataclass(frozen=True)
class Labels:
    """What is known at the pixels of a part of a photo."""

    depth: NDArray[np.float32]
    """(H, W) z-depth; not finite, or not positive, where there is none."""
    sky: NDArray[np.bool_] | None = None
    """(H, W) True where the sky is; None where nobody knows."""


ReadPicture = Callable[[int], Picture]
ReadLabels = Callable[[int, Size, FloatArray], Labels]
"""Of photo number i: at the pixel centres of a picture of that size, whose pixels a map (3, 3) takes to the photo's."""


@dataclass(frozen=True)
class Scene:
    """M photos of one place, or, without cameras, of any number of places."""

    name: str
    """The path that it was read from, for messages."""
    photo_names: tuple[str, ...]
    """M names."""
    read_picture: ReadPicture
    """Raises InputError for a photo that cannot be used."""
    content: Callable[[int], str]
    """Hash of what photo number i is made from."""
    cameras: Cameras | None = None
    """Of the M photos, pinhole, with sizes; extrinsics in the unit of the depth. None: unknown."""
    read_labels: ReadLabels | None = None
    """None: nothing is known but the photos."""
    knows_sky: bool = False
    """Whether labels say where the sky is."""
    metric: bool = False
    """Whether the unit of depth is a metre."""

    def __len__(self) -> int:
        return len(self.photo_names)

    @property
    def posed(self) -> bool:
        """Whether cameras are complete and finite, so that views can be chosen that overlap."""
        cameras = self.cameras
        return cameras is not None and cameras.world_to_camera is not None and self.has_intrinsics

    @property
    def has_intrinsics(self) -> bool:
        """Whether all focal lengths are known."""
        matrices = None if self.cameras is None else self.cameras.intrinsics
        return matrices is not None and bool(np.isfinite(matrices).all())

    def label(self, index: int) -> str:
        """What a photo is called in messages."""
        return f"{self.name}: {self.photo_names[index]}"

    def select(self, indices: Sequence[int]) -> Scene:
        """Some of the photos, in this order."""
        chosen = list(indices)
        labels = self.read_labels
        return replace(
            self,
            photo_names=tuple(self.photo_names[index] for index in chosen),
            read_picture=lambda index: self.read_picture(chosen[index]),
            content=lambda index: self.content(chosen[index]),
            cameras=None if self.cameras is None else self.cameras[chosen],
            read_labels=None if labels is None else lambda index, size, to_photo: labels(chosen[index], size, to_photo),
        )
