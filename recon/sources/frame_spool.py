"""Pictures in a temporary file: a video is decoded once, and memory stays small."""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

_SHARE_OF_FREE = 0.25
"""Of the space that is free where temporary files are; what is beyond that is not kept."""


@dataclass(frozen=True)
class SpooledPicture:
    """Where a picture is in the file."""

    offset: int
    height: int
    width: int


class FrameSpool:
    """Pictures, uncompressed. The file is gone with this object, and with the process, however that ends."""

    def __init__(self, most_bytes: int | None = None) -> None:
        """`most_bytes`: of the file [a quarter of what is free]."""
        self._lock = threading.Lock()
        self._end = 0
        self._file: IO[bytes] | None = None
        try:
            self._file = tempfile.TemporaryFile(prefix="recon-frames-", buffering=0)  # noqa: SIM115 (kept open)
            free = shutil.disk_usage(tempfile.gettempdir()).free
        except OSError:
            free = 0
        self._most = int(free * _SHARE_OF_FREE) if most_bytes is None else most_bytes

    def add(self, pixels: NDArray[np.uint8]) -> SpooledPicture | None:
        """Keep (H, W, 3) pixels; None where there is no room for them."""
        with self._lock:
            if self._file is None or self._end + pixels.nbytes > self._most:
                return None
            content = np.ascontiguousarray(pixels).data.cast("B")
            try:
                self._file.seek(self._end)
                while content:
                    content = content[self._file.write(content) :]
            except OSError:  # the disk is full after all
                return None
            place = SpooledPicture(self._end, pixels.shape[0], pixels.shape[1])
            self._end += pixels.nbytes
            return place

    def get(self, place: SpooledPicture) -> NDArray[np.uint8]:
        """(H, W, 3) as kept; several may be asked for at once, in threads."""
        assert self._file is not None
        pixels = np.empty((place.height, place.width, 3), np.uint8)
        target = pixels.data.cast("B")
        with self._lock:
            self._file.seek(place.offset)
            while target:
                read = self._file.readinto(target)  # type: ignore[attr-defined]
                if not read:
                    raise OSError("the temporary file of a video's frames was cut off")
                target = target[read:]
        return pixels
