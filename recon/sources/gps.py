"""Where a photo was taken, by the GPS entries of its EXIF (CIPA DC-008, 4.6.6)."""

from __future__ import annotations

import math
from typing import Any

from PIL import Image

from recon.geometry.geodesy import GeoPosition

_GPS_IFD = 0x8825
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE, _ALTITUDE_REF, _ALTITUDE = range(1, 7)
_POSITIONING_ERROR = 31
_BELOW = (1, 3)
"""References that say an altitude is below the sea, or (since version 3 of the standard) below the ellipsoid."""
_HIGHEST = 20_000.0
"""Metres: what is said to be higher, or deeper, was not measured."""


def gps_position(image: Image.Image) -> GeoPosition | None:
    """The position that EXIF says; None where it says none, or none that there is on earth.

    Zero degrees both ways is what cameras write that have no fix: it counts as absent.
    """
    try:
        entries = image.getexif().get_ifd(_GPS_IFD)
    except (SyntaxError, ValueError, TypeError):
        return None
    latitude = _degrees(entries.get(_LATITUDE), entries.get(_LATITUDE_REF), "S")
    longitude = _degrees(entries.get(_LONGITUDE), entries.get(_LONGITUDE_REF), "W")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    if latitude == longitude == 0:
        return None
    altitude = _altitude(entries.get(_ALTITUDE), entries.get(_ALTITUDE_REF))
    return GeoPosition(latitude, longitude, altitude, _accuracy(entries.get(_POSITIONING_ERROR)))


def _degrees(parts: Any, reference: Any, negative: str) -> float | None:
    """Of degrees, minutes and seconds; some cameras leave out the last ones."""
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError, ArithmeticError):  # a rational number may have the denominator 0
        return None
    if not numbers or not all(math.isfinite(number) for number in numbers):
        return None
    value = sum(number / 60**place for place, number in enumerate(numbers[:3]))
    letter = reference.decode("ascii", "replace") if isinstance(reference, bytes) else str(reference)
    return -value if letter.strip("\0 ").upper().startswith(negative) else value


def _altitude(value: Any, reference: Any) -> float | None:
    try:
        metres = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not math.isfinite(metres) or abs(metres) > _HIGHEST:
        return None
    number = reference[0] if isinstance(reference, bytes) and reference else reference
    return -metres if number in _BELOW else metres


def _accuracy(value: Any) -> float | None:
    try:
        metres = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return metres if math.isfinite(metres) and metres > 0 else None
