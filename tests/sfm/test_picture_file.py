from __future__ import annotations

import tempfile

import numpy as np
import pytest

from recon.sfm.photos import SfmPhoto
from recon.sfm.picture_file import PictureFile
from tests.seeds import numpy_random


def photo(index: int) -> SfmPhoto:
    gray = numpy_random(index).integers(0, 256, (37, 53), dtype=np.uint8)
    return SfmPhoto(f"{index}.png", gray, (53, 37), 1.0)


def test_pictures_beyond_the_room_in_memory_are_the_same_from_the_file() -> None:
    pictures = PictureFile(in_memory=2 * 37 * 53)
    photos = [photo(index) for index in range(6)]
    kept = [pictures.keep(one) for one in photos]
    assert kept[0] is photos[0]
    assert kept[1] is photos[1]
    del pictures
    for one, other in zip(photos[2:], kept[2:], strict=True):
        assert other.gray is not one.gray
        assert other.gray.base is not None
        np.testing.assert_array_equal(other.gray, one.gray)
        assert other.name == one.name


def test_a_full_disk_leaves_them_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    one = photo(1)
    assert PictureFile(in_memory=0).keep(one) is one
