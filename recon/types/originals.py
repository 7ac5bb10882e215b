"""The photos behind a prediction, at their own resolution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Originals(Protocol):
    """The upright originals of the N views of a prediction, decoded as they are wanted."""

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """The file of each view's photo; None for one that has none of its own."""

    @property
    def changes(self) -> tuple[Mapping[str, Any] | None, ...]:
        """What was done to each view's photo when it was opened, as `photo_change` in `run.json`; None: nothing."""

    def read(self, view: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """RGB (H, W, 3) of the photo as it was taken, lens included; and (H, W) True where it may be used, or None
        where it has no mask. Several views may be read at once, in threads. Raises InputError where the photo can no
        longer be read."""
