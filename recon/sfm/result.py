"""What structure from motion finds: cameras, lenses and points, and how far they can be relied on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recon.geometry.similarity import Similarity
from recon.geometry.sparse_points import SparsePoints
from recon.messages import listed
from recon.sfm.certainty import Certainty
from recon.sfm.focal import FAR_FROM_EXIF
from recon.sfm.georeference import Georeference
from recon.sfm.joining import Join
from recon.sfm.lens_choice import LensChoice
from recon.sfm.lenses import Lenses
from recon.sfm.mapping_trials import MappingTrial
from recon.sfm.pairs import Pairing
from recon.sources.lenses import Lens, pinhole_view, to_pinhole
from recon.types.cameras import Cameras, CameraScale

STILL_THINGS = "what stands still in the pictures (text or a logo over the photos, a frame, a background that stays)"
_USUAL_FOCALS = (0.4, 4.0)
"""In units of the longer side, 14 to 144 mm on 35 mm film: others are what a camera that hardly moves ends in too."""


@dataclass(frozen=True)
class CameraChanges:
    """How far refining has moved M cameras that were given, in their frame."""

    degrees: NDArray[np.float64]
    """(M,)"""
    distances: NDArray[np.float64]
    """(M,) of the centres, in the unit of the cameras."""
    kept: tuple[str, ...] = ()
    """Names of the photos that share too little with the others: their cameras are as given."""


@dataclass(frozen=True)
class SfmResult:
    """Cameras of the M registered photos, out of N given, and sparse points; frame and scale are free, unless `scale`
    says otherwise."""

    image_names: tuple[str, ...]
    """N names of all photos given."""
    registered: NDArray[np.intp]
    """(M,) indices of the photos with cameras, ascending; everything per view is in this order."""
    cameras: Cameras
    """Extrinsics (M, 4, 4) world-to-camera and pinhole intrinsics (M, 3, 3), in pixels of the *undistorted* upright
    originals (`undistort`), which have the size of the originals."""
    lenses: Lenses
    """Intrinsics and distortion of the originals as they are."""
    sparse: SparsePoints
    """Triangulated points, in the frame of the cameras; errors in pixels of the originals."""
    reprojection_errors: NDArray[np.float64]
    """(M,) mean reprojection error of each view, in pixels of the originals."""
    doubtful: bool = False
    """Errors are so large, or points so few, that the cameras may be wrong as a whole."""
    assumed_lens: bool = False
    """The focal length is a guess: two photos do not tell it, and EXIF does not either."""
    still_matches: float = 0.0
    """Share of all matches left out because they stand still in the pictures: an overlay, or a still background."""
    exif_focals: NDArray[np.float64] | None = None
    """(M,) focal lengths by EXIF, in pixels of the originals; NaN where it does not say. None: not known."""
    other_models: tuple[tuple[str, ...], ...] = ()
    """Names of the unregistered photos of each further model: groups that do not connect with the one used."""
    lens_choices: tuple[LensChoice, ...] = ()
    """What was made of each lens, and why."""
    certainty: Certainty | None = None
    """Of each registered camera; None where there are too many to tell."""
    scale: CameraScale = "free"
    """What the unit of length is: anything, that of cameras that were given and refined, or a metre."""
    changes: CameraChanges | None = None
    """Of cameras that were given and refined."""
    georeference: Georeference | None = None
    """What GPS says of frame and scale; None where no photo has a position, or none is asked for."""
    pairing: Pairing | None = None
    """Which pairs of photos were matched, and why those."""
    attempts: tuple[MappingTrial, ...] = ()
    """Which mappers were tried, and why."""
    joins: tuple[Join, ...] = ()
    """Groups of photos, by their indices, that were joined to the model used, or not."""
    fisheyes: tuple[Lens | None, ...] = ()
    """Of each of the N photos, the fisheye lens that it was found to be taken with, if any: then everything here is of
    its pinhole photo (`recon.sources.lenses.pinhole_view`), but the reprojection errors. Empty: there is none."""

    @property
    def registered_names(self) -> tuple[str, ...]:
        """M names of the photos with cameras."""
        return tuple(self.image_names[index] for index in self.registered)

    @property
    def registered_fisheyes(self) -> tuple[Lens | None, ...]:
        """Of each of the M photos with cameras, the fisheye lens that it was found to be taken with, if any."""
        return tuple(self.fisheyes[index] if self.fisheyes else None for index in self.registered.tolist())

    @property
    def unregistered_names(self) -> tuple[str, ...]:
        """Names of the photos without a camera in the model used."""
        placed = set(self.registered.tolist())
        return tuple(name for index, name in enumerate(self.image_names) if index not in placed)

    @property
    def against_exif(self) -> tuple[str, ...]:
        """Names of the registered photos whose focal length is far from what EXIF says."""
        if self.exif_focals is None:
            return ()
        ratio = np.abs(np.log(self.lenses.intrinsics[:, 0, 0] / self.exif_focals))
        return tuple(self.registered_names[view] for view in np.flatnonzero(ratio > np.log(FAR_FROM_EXIF)).tolist())

    @property
    def unusual_focals(self) -> tuple[float, float] | None:
        """Shortest and longest focal length, in units of the longer side, if EXIF is silent and few lenses have it."""
        if self.lens_choices and all(choice.lens == "held" for choice in self.lens_choices):
            return None
        silent = np.ones(len(self.registered), bool) if self.exif_focals is None else np.isnan(self.exif_focals)
        silent &= np.array([lens is None for lens in self.registered_fisheyes])
        focals = (self.lenses.intrinsics[:, 0, 0] / self.lenses.sizes.max(axis=1))[silent]
        if len(focals) == 0 or (focals.min() >= _USUAL_FOCALS[0] and focals.max() <= _USUAL_FOCALS[1]):
            return None
        return float(focals.min()), float(focals.max())

    @property
    def original_cameras(self) -> Cameras:
        """Of the registered photos as they were taken, lens included."""
        bends = self.lenses.distortion.any()
        return Cameras(
            self.cameras.world_to_camera,
            self.lenses.intrinsics,
            self.lenses.sizes,
            self.lenses.distortion if bends else None,
            origin="sfm",
            scale=self.scale,
        )

    def moved(self, similarity: Similarity, scale: CameraScale) -> SfmResult:
        """Cameras, points and what is said of them in another world, whose unit of length is `scale`."""
        return replace(
            self,
            cameras=self.cameras.moved(similarity, scale),
            sparse=replace(self.sparse, points=similarity.apply(self.sparse.points)),
            certainty=None if self.certainty is None else self.certainty.scaled(similarity.scale),
            scale=scale,
        )

    def undistort(self, view: int, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The upright original of registered view `view`, (H, W, 3), as `cameras` describe it.

        Returned as it is where the lens bends nothing to speak of. Raises InputError for a photo of another size.
        """
        fisheye = self.registered_fisheyes[view]
        if fisheye is not None:
            return np.asarray(to_pinhole(pixels, fisheye, self.lenses.intrinsics[view]), np.uint8)
        return self.lenses.undistort(view, pixels)

    def warnings(self) -> tuple[str, ...]:
        """One line on each thing that a careful user wants to know, beside which photos have no camera."""
        lines = (
            []
            if self.changes is None or not self.changes.kept
            else [
                "cameras are kept as given, for the photos share too little with the others: "
                + listed(self.changes.kept)
            ]
        )
        lines += [
            f"{len(names)} photos form a group apart from the {len(self.registered)} used, and are left out: "
            f"{listed(names)}; photos that show both would join them"
            for names in self.other_models
        ]
        lines += [
            _fisheye_line(lens, self.registered_fisheyes) for lens in dict.fromkeys(self.registered_fisheyes) if lens
        ]
        if self.still_matches:
            lines.append(
                f"{100 * self.still_matches:.2g} % of the matches are left out: they show {STILL_THINGS}; "
                "the cameras are those of what moves against it"
            )
        if self.assumed_lens:
            lines.append(
                "the focal length is assumed, for 2 photos without EXIF do not tell it: depth may be stretched; "
                "give a third photo"
            )
        if self.against_exif:
            views = [self.registered_names.index(name) for name in self.against_exif]
            assert self.exif_focals is not None
            ratio = float(np.median(self.lenses.intrinsics[views, 0, 0] / self.exif_focals[views]))
            lines.append(
                f"EXIF and the photos disagree: the focal length is {ratio:.2g} times what EXIF says of "
                f"{listed(self.against_exif)}; the photos are cropped, or EXIF is wrong; theirs is used, not EXIF's"
            )
        unusual = self.unusual_focals
        if unusual is not None:
            shortest, longest = unusual
            lines.append(
                "the cameras are doubtful: their focal length came out at "
                f"{shortest:.2g} to {longest:.2g} times the longer side, which few cameras have; "
                "photos from places further apart, or with EXIF, would settle it"
            )
        elif self.doubtful:
            lines.append(
                f"the cameras are doubtful: {len(self.sparse)} points support them, off by "
                f"{np.nanmean(self.reprojection_errors):.1f} pixels on average; too few details, too little parallax "
                "or something that moves do this"
            )
        return (*lines, *(() if self.georeference is None else self.georeference.warnings()))


def _fisheye_line(lens: Lens, lenses: Sequence[Lens | None]) -> str:
    """What became of the photos of one fisheye."""
    view = pinhole_view(lens)
    own = "180° or more" if view.lens_degrees is None else f"{view.lens_degrees:.0f}°"
    params = ",".join(f"{value:.5g}" for value in lens.params)
    return (
        f"{lenses.count(lens)} photos are of a fisheye lens ({lens.model} {params}), "
        f"which explains photos left out of its estimate better; they become pinhole photos, which show "
        f"{view.degrees:.0f}° of its {own}: {view.share_cut:.0%} of their pixels are cut"
    )
