"""The pictures of very many photos: in a temporary file instead of memory, which they are mapped from."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from dataclasses import replace
from typing import IO

import numpy as np
from numpy.typing import NDArray

from recon.sfm.photos import SfmPhoto

IN_MEMORY = 256_000_000
"""Bytes of pictures that stay in memory; those that come later go to the file."""


class PictureFile:
    """Keeps the pictures of photos. The file has no name, and is gone with the process, however that ends."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._lock = threading.Lock()
        self._left = in_memory
        self._file: IO[bytes] | None = None

    def keep(self, photo: SfmPhoto) -> SfmPhoto:
        """The photo, its picture in memory where there is room, or no disk for it; else mapped from the file."""
        with self._lock:
            size = photo.gray.nbytes + (0 if photo.rgb is None else photo.rgb.nbytes)
            if size <= self._left:
                self._left -= size
                return photo
            try:
                rgb = None if photo.rgb is None else self._mapped(photo.rgb)
                return replace(photo, gray=self._mapped(photo.gray), rgb=rgb)
            except OSError:  # a full disk: memory may do
                return photo

    def _mapped(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="recon-sfm-")  # noqa: SIM115 (kept open)
        start = -(-self._file.seek(0, os.SEEK_END) // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        self._file.seek(start)
        self._file.write(pixels.tobytes())
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), pixels.nbytes, access=mmap.ACCESS_READ, offset=start)
        return np.frombuffer(mapped, np.uint8).reshape(pixels.shape)
