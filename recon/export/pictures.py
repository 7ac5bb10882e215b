"""Picture files, written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.files import atomic_write


def write_jpeg(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) RGB picture at quality 95, atomically."""
    _write_image(path, pixels, format="JPEG", quality=95)


def write_png16(path: Path, values: NDArray[np.uint16]) -> None:
    """Write (H, W) values as a 16-bit greyscale PNG, atomically; harder compression would not make depth smaller."""
    _write_image(path, values, format="PNG", compress_level=1)


def _write_image(path: Path, pixels: NDArray[Any], **encoding: Any) -> None:
    """Encode in memory, then write: Pillow's own file output does not notice when a full disk takes only a part."""
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, **encoding)
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())
