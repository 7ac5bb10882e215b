"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; rename it to `path` when the block ends without an exception.

    The temporary name keeps the suffix, from which many writers choose the format. Missing folders are made. Whatever
    ends the block, Ctrl-C included, no temporary file is left. Raises InputError naming `path` where the machine
    refuses: a read-only folder, a full disk, a file in place of a folder.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


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
