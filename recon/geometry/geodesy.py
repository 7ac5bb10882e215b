"""Latitude, longitude and height to metres east, north and up of an origin.

Of the ellipsoid WGS 84 (NIMA TR8350.2), by way of geocentric coordinates: EPSG Guidance Note 7-2, methods 9602
(geographic to geocentric) and 9837 (geographic to topocentric).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SEMI_MAJOR = 6378137.0
"""Metres."""
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY_SQUARED = _FLATTENING * (2 - _FLATTENING)


@dataclass(frozen=True)
class GeoPosition:
    """A place on the earth, in WGS 84."""

    latitude: float
    """Degrees, north positive."""
    longitude: float
    """Degrees, east positive."""
    altitude: float | None = None
    """Metres; None: not known. EXIF means above sea level, and many cameras write above the ellipsoid: the difference
    is the same everywhere in a scene."""
    accuracy: float | None = None
    """Metres that the position is said to be within; None: not said."""

    @property
    def text(self) -> str:
        """For people."""
        north, east = ("N" if self.latitude >= 0 else "S"), ("E" if self.longitude >= 0 else "W")
        height = "" if self.altitude is None else f", {self.altitude:.1f} m"
        return f"{abs(self.latitude):.6f}° {north}, {abs(self.longitude):.6f}° {east}{height}"


def geocentric(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) metres from the centre of the earth, of (..., 3) latitude and longitude in degrees, height in metres."""
    latitude, longitude = np.radians(positions[..., 0]), np.radians(positions[..., 1])
    height = positions[..., 2]
    radius = _SEMI_MAJOR / np.sqrt(1 - _ECCENTRICITY_SQUARED * np.sin(latitude) ** 2)
    across = (radius + height) * np.cos(latitude)
    polar = ((1 - _ECCENTRICITY_SQUARED) * radius + height) * np.sin(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), polar], axis=-1)


def east_north_up(positions: NDArray[np.float64], origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres (N, 3) east, north and up of `origin`, in the plane that touches the ellipsoid there.

    Args:
        positions: (N, 3) latitude and longitude in degrees, height in metres.
        origin: (3,) likewise.
    """
    latitude, longitude = np.radians(origin[:2])
    east = [-np.sin(longitude), np.cos(longitude), 0.0]
    north = [-np.sin(latitude) * np.cos(longitude), -np.sin(latitude) * np.sin(longitude), np.cos(latitude)]
    up = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    moved: NDArray[np.float64] = (geocentric(positions) - geocentric(origin)) @ np.array([east, north, up]).T
    return moved


def middle_of(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) medians of (N, 3) latitude, longitude and height, rounded to 1e-6 degrees and 0.1 m: an origin that a few
    positions elsewhere do not move, and that can be written down."""
    unwrapped = positions.copy()
    first = positions[0, 1]
    unwrapped[:, 1] = first + (positions[:, 1] - first + 180) % 360 - 180
    latitude, longitude, height = np.median(unwrapped, axis=0).tolist()
    return np.array([round(latitude, 6), round((longitude + 180) % 360 - 180, 6), round(height, 1)])
