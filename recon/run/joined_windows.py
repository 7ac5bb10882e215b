"""What a run says of the windows that a long input went through, and of how they were joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


def stretch(first: str, last: str) -> str:
    """Of views, in words."""
    return f"at {first}" if first == last else f"from {first} to {last}"


@dataclass(frozen=True)
class WindowJoint:
    """How two windows lie to each other."""

    first: int
    second: int
    """Their numbers, from 0."""
    names: tuple[str, str]
    """Of the first and the last view that both have."""
    views: int
    """That both have."""
    points: int
    """That were compared."""
    residual: float | None
    """Median distance between the two places of a point, relative to its depth; None without points."""
    scale: float
    """Of the second window's unit, in the first one's."""
    rotation_from: str
    """`points`, or `cameras` where those leave it open, or `given` where the cameras of both are known."""

    @property
    def entry(self) -> dict[str, Any]:
        """What `run.json` says."""
        return {
            "windows": [self.first, self.second],
            "from": self.names[0],
            "to": self.names[1],
            "views": self.views,
            "points": self.points,
            "residual": self.residual,
            "scale": self.scale,
            "rotation_from": self.rotation_from,
        }


@dataclass(frozen=True)
class WindowLoop:
    """Two views of different windows that show one place."""

    names: tuple[str, str]
    matches: int
    """Points that both see and that agree."""
    holds: bool
    """Whether it agrees with the rest; otherwise two places only look alike, and it is left out."""

    @property
    def entry(self) -> dict[str, Any]:
        """What `run.json` says."""
        return {"views": list(self.names), "matches": self.matches, "holds": self.holds}


@dataclass(frozen=True)
class JoinedWindows:
    """The windows of a run."""

    size: int
    """Views in each, at most."""
    overlap: int
    """Views that neighbours have in common, at least."""
    count: int
    parts: tuple[tuple[str, str], ...]
    """Names of the first and the last view of each part whose windows could be joined; more than one where the views
    say nothing of how they lie to each other."""
    joints: tuple[WindowJoint, ...]
    loops: tuple[WindowLoop, ...] = ()
    """That were found, those that do not hold included."""

    @property
    def residual(self) -> float | None:
        """The median over the joints."""
        found = [joint.residual for joint in self.joints if joint.residual is not None]
        return float(np.median(found)) if found else None

    @property
    def entry(self) -> dict[str, Any]:
        """What `run.json` says."""
        return {
            "size": self.size,
            "overlap": self.overlap,
            "count": self.count,
            "residual": self.residual,
            "parts": [{"from": first, "to": last} for first, last in self.parts],
            "joints": [joint.entry for joint in self.joints],
            "loops": [loop.entry for loop in self.loops],
        }

    @property
    def text(self) -> str:
        """One line."""
        said = f"{self.count} windows of up to {self.size} views"
        told = [joint for joint in self.joints if joint.residual is not None]
        if told:
            worst = max(told, key=lambda joint: joint.residual or 0.0)
            said += f"; what neighbours share differs by {self.residual:.2%} of the depth (median)"
            if len(told) > 1:
                said += f", at most {worst.residual:.2%} {stretch(*worst.names)}"
        held = sum(loop.holds for loop in self.loops)
        if held:
            said += f"; places seen again bring them together in {held} pair{'s' if held > 1 else ''} of views"
        return said
