"""What GPS makes of the cameras that structure from motion finds: metres east, north and up of an origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recon.geometry.geodesy import GeoPosition
from recon.geometry.georeferencing import FEWEST, PositionFit
from recon.messages import listed

Frame = Literal["east-north-up", "metres", "free"]
"""Of the cameras: x east, y north, z up of the origin in metres; as structure from motion left it, but in metres; as
structure from motion left it."""


@dataclass(frozen=True)
class Georeference:
    """How cameras were brought to GPS positions, or why they were not."""

    frame: Frame
    names: tuple[str, ...]
    """K names of the photos with a position that have a camera."""
    photos: int
    """Of all photos with a camera."""
    origin: GeoPosition | None = None
    """Of the frame; None where no fit was tried."""
    altitudes: bool = True
    """Whether the positions have altitudes; otherwise the photos are taken to be of one height."""
    upright: bool = False
    """Whether the photos stand on a line, about which the cameras' own up says how they are turned."""
    used: NDArray[np.bool_] | None = None
    """(K,) False for photos that are left out of the fit; None where there was none."""
    residuals: NDArray[np.float64] | None = None
    """(K,) metres from the positions to the cameras after the fit; None where there was none."""
    scale: float | None = None
    """Metres to a unit of structure from motion."""
    scale_uncertainty: float | None = None
    """Relative standard deviation that the scatter of the positions leaves."""
    north_uncertainty: float | None = None
    """Degrees, likewise, of the turn about the vertical."""
    tilt_uncertainty: float | None = None
    """Degrees, likewise, of the vertical."""
    extent: float | None = None
    """Metres: root mean square of how far the positions are from their middle; None where no fit was tried."""
    accuracy: float | None = None
    """Metres that positions are said to be within, the median, or the usual where EXIF does not say; likewise."""
    together: bool = False
    """Whether all positions are within their error of one place, which says nothing of the scale."""

    @staticmethod
    def of(fit: PositionFit, names: tuple[str, ...], photos: int, origin: GeoPosition, altitudes: bool) -> Georeference:
        """Of a fit to the positions of the photos of these names."""
        frame: Frame = "free" if fit.similarity is None else "east-north-up" if fit.turn_known else "metres"
        return Georeference(
            frame=frame,
            names=names,
            photos=photos,
            origin=origin,
            altitudes=altitudes,
            upright=fit.upright,
            used=fit.used,
            residuals=fit.residuals,
            scale=None if fit.similarity is None else fit.similarity.scale,
            scale_uncertainty=_finite(fit.scale_uncertainty),
            north_uncertainty=_finite(fit.north_uncertainty) if fit.turn_known else None,
            tilt_uncertainty=_finite(fit.tilt_uncertainty) if fit.turn_known else None,
            extent=fit.extent,
            accuracy=fit.accuracy,
            together=fit.together,
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the photos whose positions do not go with those of the others."""
        if self.frame == "free" or self.used is None:
            return ()
        return tuple(name for name, used in zip(self.names, self.used.tolist(), strict=True) if not used)

    @property
    def entry(self) -> dict[str, Any]:
        """What `run.json` says."""
        origin = self.origin
        residuals: list[dict[str, Any]] = []
        if self.residuals is not None and self.used is not None:
            columns = zip(self.names, self.residuals.tolist(), self.used.tolist(), strict=True)
            residuals = [{"name": name, "metres": metres, "used": used} for name, metres, used in columns]
        return {
            "frame": self.frame,
            "origin": None
            if origin is None
            else {"latitude": origin.latitude, "longitude": origin.longitude, "altitude": origin.altitude},
            "photos_with_position": len(self.names),
            "left_out": list(self.left_out),
            "altitudes": self.altitudes,
            "upright_cameras": self.upright,
            "scale": self.scale,
            "scale_uncertainty": self.scale_uncertainty,
            "north_uncertainty": self.north_uncertainty,
            "tilt_uncertainty": self.tilt_uncertainty,
            "extent": self.extent,
            "accuracy": self.accuracy,
            "residuals": residuals,
        }

    @property
    def text(self) -> str:
        """One line for the summary; empty where GPS ought to have told more, which `warnings` says."""
        if self.frame == "free" and self.together:
            return (
                f"GPS leaves the unit of length free: its {len(self.names)} positions are within some "
                f"{self.extent or 0:.2g} m of one place, and exact to some {self.accuracy or 0:.2g} m"
            )
        if self.frame == "free" or self.used is None or self.residuals is None or self.origin is None:
            return ""
        axes = f"; x is east, y north, z up of {self.origin.text}" if self.frame == "east-north-up" else ""
        turns = {"north": self.north_uncertainty, "up": self.tilt_uncertainty}
        sure = "".join(f", {name} to {degrees:.2g}°" for name, degrees in turns.items() if degrees is not None)
        return (
            f"metres by the GPS of {int(self.used.sum())} of {self.photos} photos{axes}; their positions are "
            f"{np.median(self.residuals[self.used]):.2g} m off (median), which tells the scale to "
            f"{100 * (self.scale_uncertainty or 0):.2g} %{sure}"
        )

    def warnings(self) -> tuple[str, ...]:
        """One line on each thing that a careful user wants to know."""
        lines = []
        if self.left_out and self.used is not None and self.residuals is not None:
            farthest = float(self.residuals[~self.used].max())
            distance = f"{farthest / 1000:.0f} km" if farthest >= 10_000 else f"{farthest:.0f} m"
            lines.append(
                f"the GPS positions of some photos are up to {distance} from where the others say they were taken, and "
                f"are left out: {listed(self.left_out)}"
            )
        if self.used is None:
            lines.append(
                f"GPS does not tell the scale: {len(self.names)} of {self.photos} photos have a position, and it takes "
                f"{FEWEST}; the unit of length stays free"
            )
        elif self.frame == "free" and not self.together:
            lines.append(
                "GPS does not tell the scale: its positions scatter too much for how far apart the photos were taken; "
                "the unit of length stays free"
            )
        elif self.frame == "metres":
            lines.append(
                "GPS tells the scale, but not where north and up are: the photos were taken on a line, or close to one "
                "another; the frame is free, the unit a metre"
            )
        elif self.upright:
            lines.append(
                "the photos were taken on a line: GPS tells the scale and where north is, and up is as the cameras "
                "were held"
            )
        if self.frame == "east-north-up" and not self.altitudes:
            lines.append("EXIF has no altitudes: the cameras are taken to be of one height, which is 0")
        return tuple(lines)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
