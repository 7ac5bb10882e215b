"""Where photos were taken, by EXIF that Pillow writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from recon.sources.open_source import open_source

BERLIN: dict[int, Any] = {1: "N", 2: (52.0, 30.0, 36.0), 3: "E", 4: (13.0, 22.0, 30.0), 5: b"\x00", 6: 34.5}


def position(folder: Path, entries: dict[int, Any], suffix: str = ".jpg") -> Any:
    image = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = Image.Exif()
    exif[0x8825] = entries
    path = folder / f"photo{suffix}"
    image.save(path, exif=exif.tobytes())
    return open_source(path).read(0).gps


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_position_is_read_of_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    found = position(tmp_path, BERLIN, suffix)
    assert (found.latitude, found.longitude, found.altitude) == pytest.approx((52.51, 13.375, 34.5))


def test_south_west_and_below_the_sea_are_negative(tmp_path: Path) -> None:
    found = position(tmp_path, BERLIN | {1: "S", 3: "W", 5: b"\x01"})
    assert (found.latitude, found.longitude, found.altitude) == pytest.approx((-52.51, -13.375, -34.5))


@pytest.mark.parametrize(
    "entries",
    [
        {2: (IFDRational(0, 0), 30.0, 36.0)},
        {2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
        {2: (95.0, 0.0, 0.0)},
        {4: (181.0, 0.0, 0.0)},
    ],
)
def test_a_position_that_there_is_not_counts_as_absent(tmp_path: Path, entries: dict[int, Any]) -> None:
    assert position(tmp_path, BERLIN | entries) is None


def test_a_position_without_a_believable_altitude_has_none(tmp_path: Path) -> None:
    for altitude in (IFDRational(0, 0), 1e9):
        found = position(tmp_path, BERLIN | {6: altitude})
        assert found is not None
        assert found.altitude is None


@pytest.mark.parametrize(("entry", "metres"), [({31: 4.75}, 4.75), ({}, None), ({31: IFDRational(0, 0)}, None)])
def test_how_exact_a_position_is(tmp_path: Path, entry: dict[int, Any], metres: float | None) -> None:
    assert position(tmp_path, BERLIN | entry).accuracy == metres


def test_a_photo_without_exif_has_no_position(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "plain.png")
    assert open_source(tmp_path / "plain.png").read(0).gps is None
