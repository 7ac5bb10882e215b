"""What a run says of the quality of its own result, without any truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.geometry.depth_agreement import WITHIN, agreement_of, depth_differences
from recon.run.find_cameras import KnownCameras
from recon.types import MadeBy, Prediction
from recon.types.mapped import is_mapped
from recon.types.pieces import in_pieces

_NEIGHBOURS = 8
"""Views of a long run before and after those that are looked at, which these are compared with, too."""
_COMPARED, _KEPT = 10, 200
"""Pixels of each view of a long run that are, and differences to other views that count."""
_SHOWN = 3
"""Names that the summary lists."""


@dataclass(frozen=True)
class Quality:
    """The block `quality` of `run.json`; shares are of all pixels unless they say otherwise."""

    made_by: MadeBy | None
    """What made the depth."""
    made_by_shares: tuple[float, ...] | None
    """Share of the pixels that each of the parts of `made_by` gave; None where one made all."""
    valid: float
    """Share with depth that was found."""
    filled: float | None
    """Share with depth that was filled in."""
    sky: float | None
    """Share of the sky."""
    masked: float | None
    """Share left out by masks."""
    depth_difference: float | None
    """Median relative difference between a point's depth in another view and what that view sees there; None where no
    two views show the same, or there are no cameras."""
    depth_agreeing: float | None
    """Share of these comparisons that differ by at most 1 %."""
    depth_confirmed: float | None
    """Share of the pixels with depth that another view agrees on within 1 %, of those that another view sees."""
    reprojection_error: float | None
    """Mean over the views, in pixels of the originals, of the points that structure from motion found; None without."""
    camera_degrees: float | None
    """Median over the cameras that structure from motion found of the standard deviation of their turn."""
    camera_distance: float | None
    """The same of their centres, in the unit of the cameras."""
    weak_cameras: tuple[str, ...]
    """Names of the photos whose cameras are not sure."""
    views_apart: tuple[str, ...]
    """Names of views whose depth differs from that of the others far more than is usual, or that share nothing with
    them."""
    none_fits: bool = False
    """Whether these are all that have depth."""

    @staticmethod
    def of(prediction: Prediction, known: KnownCameras | None = None) -> Quality:
        """Of a prediction, over the pixels that cleaning has kept; `known` is what structure from motion found."""

        counts = _Counts()
        differences = []
        located = prediction.extrinsics is not None and prediction.intrinsics is not None
        whole = not is_mapped(prediction.depth)
        for _, own, piece in in_pieces(prediction, _NEIGHBOURS):
            counts.add(piece, own)
            if len(prediction.depth) > 1 and piece.extrinsics is not None and piece.intrinsics is not None:
                usable = piece.pixels_with_depth(cleaned=True)
                some = () if whole else (_COMPARED, _KEPT)
                maps = (piece.depth, usable, piece.intrinsics, piece.extrinsics)
                differences.append(depth_differences(*maps, range(len(usable))[own], *some))
                del usable
            del piece  # before the next one takes memory, too
        agreement = agreement_of(differences) if located and differences else None
        share = counts.share
        apart: tuple[str, ...] = ()
        if agreement is not None:
            names = prediction.image_names or tuple(f"view {view}" for view in range(len(prediction.depth)))
            apart = tuple(names[view] for view in agreement.apart)
        with_depth = sum(sum(part.has_depth) for part in differences)
        certainty = None if known is None or known.found is None else known.found.certainty
        return Quality(
            made_by=prediction.made_by,
            made_by_shares=counts.shares_of_parts(prediction.made_by),
            valid=share("valid") or 0.0,
            filled=share("filled"),
            sky=share("sky"),
            masked=share("masked"),
            depth_difference=None if agreement is None else agreement.median_difference,
            depth_agreeing=None if agreement is None else agreement.agreeing,
            depth_confirmed=None if agreement is None else agreement.confirmed,
            reprojection_error=None if known is None else known.reprojection_error,
            camera_degrees=_median(None if certainty is None else certainty.degrees),
            camera_distance=_median(None if certainty is None else certainty.distances),
            weak_cameras=() if known is None else known.weak_cameras,
            views_apart=apart,
            none_fits=bool(apart) and len(apart) == with_depth,
        )

    @property
    def entry(self) -> dict[str, Any]:
        """What `run.json` says."""
        names = {name: list(getattr(self, name)) for name in ("weak_cameras", "views_apart")}
        shares = None if self.made_by_shares is None else list(self.made_by_shares)
        entry = {**asdict(self), **names, "made_by_shares": shares}
        del entry["none_fits"]  # as the names tell
        return entry

    @property
    def text(self) -> str:
        """One line; empty where nothing can be said."""
        parts = []
        if self.depth_difference is not None and self.depth_agreeing is not None:
            parts.append(
                f"depth differs between views by {self.depth_difference:.2%} (median), {self.depth_agreeing:.0%} of "
                f"comparisons by at most {WITHIN:.0%}"
            )
        if self.reprojection_error is not None:
            parts.append(f"points of structure from motion are off by {self.reprojection_error:.2f} pixels")
        if self.weak_cameras:
            parts.append(f"cameras that are not sure: {_shown(self.weak_cameras)}")
        if self.none_fits:
            parts.append("no view fits another: each shares too little with the others, or differs from them")
        elif self.views_apart:
            parts.append(f"apart from the rest: {_shown(self.views_apart)}")
        if self.made_by is not None and self.made_by_shares is not None:
            parts += [
                f"{share:.0%} of the depth is by {part.name}"
                for part, share in zip(self.made_by.parts, self.made_by_shares, strict=True)
            ]
        return "; ".join(parts)


class _Counts:
    """Pixels of the photos of a prediction, counted piece by piece."""

    def __init__(self) -> None:
        self._photo = 0
        self._found: dict[str, int] = {}
        self._parts: NDArray[np.int64] | None = None

    def add(self, piece: Prediction, own: slice) -> None:
        """Count the views `own` of a piece."""
        photo = piece.photo_pixels[own]
        self._photo += int(photo.sum())
        masked = None if piece.mask is None else ~piece.mask
        maps = {"valid": piece.valid, "filled": piece.filled, "sky": piece.sky, "masked": masked}
        for name, found in maps.items():
            if found is not None:
                self._found[name] = self._found.get(name, 0) + int((found[own] & photo).sum())
        if piece.made_by_pixel is not None:
            counts = np.bincount(piece.made_by_pixel[own][photo], minlength=256)
            self._parts = counts if self._parts is None else self._parts + counts

    def share(self, name: str) -> float | None:
        """Of the pixels of photos; None for what the prediction has no map of."""
        return self._found[name] / self._photo if name in self._found else None

    def shares_of_parts(self, made_by: MadeBy | None) -> tuple[float, ...] | None:
        """Of each part of what made the depth."""
        if made_by is None or self._parts is None:
            return None
        return tuple(float(count) / self._photo for count in self._parts[: len(made_by.parts)])


def _shown(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _median(values: NDArray[np.float64] | None) -> float | None:
    """Of those that are known; None where none is."""
    known = None if values is None else values[np.isfinite(values)]
    return None if known is None or not len(known) else float(np.median(known))
