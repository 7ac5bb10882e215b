"""What the user brings, whatever it is: names first, photos as they are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from recon.geometry.sparse_points import SparsePoints
from recon.sources.in_flight import Admit
from recon.sources.photo import Photo
from recon.types.cameras import Cameras


@runtime_checkable
class Source(Protocol):
    """N photos, and what is known of them beside their pixels."""

    @property
    def names(self) -> tuple[str, ...]:
        """N names, by which cameras and results are found; one picture given twice has its name twice."""

    @property
    def ordered(self) -> bool:
        """Whether they follow each other in time, as the frames of a video do."""

    @property
    def cameras(self) -> Cameras | None:
        """Of the N upright originals as they were taken, lens included; None: unknown."""

    @property
    def points(self) -> SparsePoints | None:
        """Of the scene, in the frame of the cameras."""

    @property
    def depths(self) -> Sequence[NDArray[Any]] | None:
        """Measured depth of each photo, in the scale of the cameras; None: unknown."""

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """The file of each photo; None for one that was given as pixels."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where photos were looked for, or lie: no place for results."""

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Of each photo that was there and is none of the N, its name and why; those that nobody asked for are not."""

    def content(self, index: int) -> str:
        """Hash of what photo number `index` is decoded from, which need not be decoded for it; several may be asked
        for at once, in threads. One that cannot be read has one too."""

    def read(self, index: int, admit: Admit = lambda pixels: None) -> Photo:
        """Decode photo number `index`; several may be read at once, in threads.

        `admit` waits until there is room for so many pixels. Raises InputError where the photo cannot be used,
        MissingExtraError where a package is missing that its format needs.
        """
