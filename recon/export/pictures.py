"""Picture files, written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.files import atomic_write


def write_jpeg(path: Path, pixels: NDArray[np.uint8], quality: int = 95) -> None:
    """Write an (H, W, 3) RGB picture, atomically; above quality 95, its colours at full resolution."""
    _write(path, encode_jpeg(pixels, quality))


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 95) -> bytes:
    """The file that `write_jpeg` writes."""
    return _encoded(pixels, format="JPEG", quality=quality, subsampling=0 if quality > 95 else 2)


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) RGB or (H, W) grey picture without loss, atomically."""
    _write(path, _encoded(pixels, format="PNG", compress_level=3))


def write_png16(path: Path, values: NDArray[np.uint16]) -> None:
    """Write (H, W) values as a 16-bit greyscale PNG, atomically; harder compression would not make depth smaller."""
    _write(path, _encoded(values, format="PNG", compress_level=1))


def _encoded(pixels: NDArray[Any], **encoding: Any) -> bytes:
    """In memory: Pillow's own file output does not notice when a full disk takes only a part."""
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, **encoding)
    return encoded.getvalue()


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
