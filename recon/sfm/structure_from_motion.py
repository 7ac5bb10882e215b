"""Cameras from the photos themselves: features, matches, incremental mapping (COLMAP), as one recipe.

    photos = load_each(folder, prepare_photo).photos
    result = structure_from_motion(photos)
    pinhole_photo = result.undistort(0, original_pixels)     # goes with result.cameras

Schönberger and Frahm, Structure-from-Motion Revisited, CVPR 2016.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.files import temporary_folder
from recon.geometry.cameras import camera_centres
from recon.geometry.sparse_points import SparsePoints
from recon.options import Options, option
from recon.progress import TellPart
from recon.sfm.certainty import Certainty, certainty_of
from recon.sfm.colmap import colmap_seed
from recon.sfm.features import extract_features, write_cameras
from recon.sfm.focal import FAR_FROM_EXIF
from recon.sfm.lens_choice import LensChoice
from recon.sfm.lenses import Lenses
from recon.sfm.mapping import LENS_FROM, LensesAre, Mapped, build_models
from recon.sfm.merit import groups_apart, photos_of
from recon.sfm.model import SfmModel, read_model
from recon.sfm.overlaps import Overlaps, read_overlaps
from recon.sfm.pairs import choose_pairs, match_pairs, verify_pairs
from recon.sfm.photos import SfmPhoto, prepare_photo
from recon.sfm.rigs import rig_lenses, rig_poses
from recon.sfm.still_matches import move_with_the_scene, restore, take_out_still_matches
from recon.sources.colmap_log import quiet_colmap
from recon.types.cameras import Cameras

__all__ = ["CameraModel", "SfmOptions", "SfmPhoto", "SfmResult", "prepare_photo", "structure_from_motion"]

CameraModel = Literal["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"]

_STILL_THINGS = "what stands still in the pictures (text or a logo over the photos, a frame, a background that stays)"
_PARALLAX = "move it sideways from photo to photo, or take a network (as model da3-base), which needs no parallax"
_USUAL_FOCALS = (0.4, 4.0)
"""In units of the longer side, 14 to 144 mm on 35 mm film: others are what a camera that hardly moves ends in too."""
_FEWEST_FEATURES = 50
"""A photo with fewer features cannot be matched."""


@dataclass(frozen=True, kw_only=True)
class SfmOptions(Options):
    """How cameras are found."""

    ordered: bool = option(
        False,
        help="The photos are frames of a video, in order: match neighbours in time, and look-alikes to close loops.",
    )
    shared_intrinsics: bool = option(
        True,
        help="Photos of one size and EXIF focal length share a camera; otherwise each photo has its own.",
    )
    camera_model: CameraModel = option(
        "SIMPLE_RADIAL",
        help="COLMAP's name of the lens to begin with; with any but the pinhole ones, photos are to be undistorted.",
    )
    refine_intrinsics: bool = option(False, help="Refine intrinsics that are known; otherwise they are held.")
    max_features: int = option(8192, help="Per photo; the largest ones stay.", least=_FEWEST_FEATURES)
    exhaustive_up_to: int = option(
        60,
        help="Largest unordered set in which every photo is matched with every other.",
        least=2,
    )
    neighbours: int = option(20, help="Look-alikes that each photo of a larger set is matched with.", least=1)
    overlap: int = option(10, help="Neighbours in time that each frame of a video is matched with.", least=1)
    seed: int = option(0, help="Of everything random.", least=0, most=2**63 - 1)
    threads: int | None = option(None, help="CPU threads; None takes all.", least=1)


@dataclass(frozen=True)
class SfmResult:
    """Cameras of the M registered photos, out of N given, and sparse points; frame and scale are free."""

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

    @property
    def registered_names(self) -> tuple[str, ...]:
        """M names of the photos with cameras."""
        return tuple(self.image_names[index] for index in self.registered)

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
        silent = np.ones(len(self.registered), bool) if self.exif_focals is None else np.isnan(self.exif_focals)
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
            scale="free",
        )

    def undistort(self, view: int, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The upright original of registered view `view`, (H, W, 3), as `cameras` describe it.

        Returned as it is where the lens bends nothing to speak of. Raises InputError for a photo of another size.
        """
        return self.lenses.undistort(view, pixels)

    def warnings(self) -> tuple[str, ...]:
        """One line on each thing that a careful user wants to know, beside which photos have no camera."""
        lines = [
            f"{len(names)} photos form a group apart from the {len(self.registered)} used, and are left out: "
            f"{_listed(names)}; photos that show both would join them"
            for names in self.other_models
        ]
        if self.still_matches:
            lines.append(
                f"{100 * self.still_matches:.2g} % of the matches are left out: they show {_STILL_THINGS}; "
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
                f"{_listed(self.against_exif)}; the photos are cropped, or EXIF is wrong; theirs is used, not EXIF's"
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
        return tuple(lines)


def structure_from_motion(
    photos: Sequence[SfmPhoto],
    options: SfmOptions = SfmOptions(),
    progress: TellPart | None = None,
) -> SfmResult:
    """Find the cameras of photos of one scene.

    Args:
        photos: N photos, from `prepare_photo`; their order matters for videos, and names neighbours in large sets.
        options: see `SfmOptions`.
        progress: told how far each part (`features`, `matches`, `mapping`) is, a few times a second, in the calling
            thread.

    Returns:
        The model with most photos. The same input gives the same result on the same machine with the same number of
        threads, as far as COLMAP's bundle adjustment does.

    Raises:
        InputError: fewer than 2 photos; photos that are all the same, lack texture, do not overlap, or were taken from
            one place.
    """
    _check_photos(photos)
    lenses = _lenses_are(photos, options)
    threads = options.threads or os.cpu_count() or 1
    tell = progress or (lambda stage, done, total: None)
    count = len(photos)
    with quiet_colmap(), temporary_folder("recon-sfm-") as folder:
        database = folder / "database.db"
        write_cameras(database, photos, options.camera_model, options.shared_intrinsics)

        tell("features", 0, count)
        features = extract_features(
            database, photos, folder, options.max_features, threads, lambda done: tell("features", done, count)
        )
        _check_features(features)

        pairs = choose_pairs(
            database,
            count,
            options.ordered,
            options.exhaustive_up_to,
            options.neighbours,
            options.overlap,
            options.seed,
        )
        tell("matches", 0, len(pairs))
        seed = colmap_seed(options.seed)
        match_pairs(database, pairs, folder, threads, lambda done: tell("matches", done, len(pairs)))

        def verify() -> None:
            verify_pairs(database, seed, threads, lambda: tell("matches", len(pairs), len(pairs)))

        still = take_out_still_matches(database, photos, pairs)
        verify()
        if still.count and move_with_the_scene(database, photos, still):
            restore(database, still)
            verify()
        overlaps = read_overlaps(database, photos)
        _check_overlaps(overlaps, count, still.share)

        tell("mapping", 0, count)
        mapped = build_models(
            database,
            folder,
            overlaps,
            count,
            seed,
            threads,
            lambda done: tell("mapping", done, count),
            free_lenses=all(photo.rig is None for photo in photos),  # views of a rig are cut to measure
            lenses=lenses,
        )
        models = mapped.models
        if not models:
            raise InputError(
                f"cameras cannot be found: {len(overlaps.pairs)} pairs of the {count} photos overlap, but no model of "
                "them makes sense: the camera may hardly move sideways, or zoom, or what it shows may move by itself; "
                "give more photos, in smaller steps around a scene that stands still"
            )
        model = read_model(models[0], photos, still.share)
        others = groups_apart(models)
        choices = _lens_choices(photos, mapped, lenses)
        known = models[0].cameras if lenses == "held" or count < LENS_FROM else ()
        certainty = certainty_of(models[0], mapped.centres, set(known))

    result = replace(_result(photos, model, others), lens_choices=choices, certainty=certainty)
    return _on_rigs(result, photos)


def _lenses_are(photos: Sequence[SfmPhoto], options: SfmOptions) -> LensesAre:
    known = [photo.intrinsics is not None for photo in photos]
    if any(known) and not all(known):
        raise InputError(
            f"intrinsics are known of {sum(known)} of {len(photos)} photos, but not of "
            f"'{photos[known.index(False)].name}'; give them for all or none"
        )
    return "unknown" if not known[0] else "start" if options.refine_intrinsics else "held"


def _lens_choices(photos: Sequence[SfmPhoto], mapped: Mapped, lenses: LensesAre) -> tuple[LensChoice, ...]:
    of_start = "middle" if lenses == "unknown" else "given"
    model, found = mapped.models[0], []
    for camera_id, camera in sorted(model.cameras.items()):
        own = [index for index in photos_of(model) if model.images[index + 1].camera_id == camera_id]
        if own:
            found.append(
                LensChoice(
                    tuple(photos[index].name for index in own),
                    camera.model_name,
                    "estimated" if camera_id in mapped.centres else of_start,
                    {"unknown": "estimated", "start": "refined", "held": "held"}[lenses],
                    tuple(one.magnified(1 / photos[own[0]].scale) for one in mapped.trials.get(camera_id, ())),
                )
            )
    return tuple(found)


def _result(photos: Sequence[SfmPhoto], model: SfmModel, others: list[list[int]]) -> SfmResult:
    names = tuple(photo.name for photo in photos)
    exif = [photo.exif_focal for photo in (photos[index] for index in model.registered.tolist())]
    result = SfmResult(
        image_names=names,
        registered=model.registered,
        cameras=Cameras(model.extrinsics, model.lenses.pinhole_intrinsics),
        lenses=model.lenses,
        sparse=model.sparse,
        reprojection_errors=model.reprojection_errors,
        doubtful=model.doubtful,
        still_matches=model.still_matches,
        exif_focals=np.array(exif),
        assumed_lens=len(photos) < LENS_FROM and not any(photo.focal_is_known for photo in photos),
        other_models=tuple(tuple(names[index] for index in indices) for indices in others),
    )
    return result if result.unusual_focals is None else replace(result, doubtful=True)


def _on_rigs(result: SfmResult, photos: Sequence[SfmPhoto]) -> SfmResult:
    """With one pose for the views of each rig, and cameras for those of its views that had none; points only go
    along with the unit of length."""
    if all(photo.rig is None for photo in photos):
        return result
    assert result.cameras.world_to_camera is not None
    poses = rig_poses(photos, result.registered.tolist(), result.cameras.world_to_camera)
    chosen = sorted(poses)
    row = {index: view for view, index in enumerate(result.registered.tolist())}
    rows = [row.get(index) for index in chosen]
    lenses = rig_lenses(photos, chosen, result.lenses, rows)
    observed = tuple(np.zeros(0, np.intp) if at is None else result.sparse.observed[at] for at in rows)
    places = result.sparse.pixels
    pixels = None if places is None else tuple(np.zeros((0, 2)) if at is None else places[at] for at in rows)
    exif = [photo.exif_focal for photo in (photos[index] for index in chosen)]
    placed = np.stack([poses[index] for index in chosen])
    unit = _spread(placed)  # mapping may have begun with two views of one place, and taken their distance for the unit
    placed[:, :3, 3] /= unit
    return replace(
        result,
        registered=np.array(chosen, np.intp),
        cameras=Cameras(placed, lenses.pinhole_intrinsics),
        lenses=lenses,
        sparse=SparsePoints(result.sparse.points / unit, observed, result.sparse.errors, pixels),
        reprojection_errors=np.array([np.nan if at is None else result.reprojection_errors[at] for at in rows]),
        exif_focals=np.array(exif),
        certainty=None if result.certainty is None else result.certainty.rows(rows).scaled(1 / unit),
    )


def _spread(world_to_camera: NDArray[np.float64]) -> float:
    """Mean distance of the camera centres from their middle; 1 where all are in one place."""
    centres = camera_centres(world_to_camera)
    spread = float(np.linalg.norm(centres - centres.mean(axis=0), axis=1).mean())
    return spread if spread > 1e-9 * max(1.0, float(np.abs(centres).max())) else 1.0


def _check_photos(photos: Sequence[SfmPhoto]) -> None:
    if len(photos) < 2:
        raise InputError(
            f"cameras cannot be found from {len(photos)} photo{'' if len(photos) == 1 else 's'}: give at least 2, "
            "better 10 or more, of one scene from different places"
        )
    first = photos[0].gray
    if all(np.array_equal(photo.gray, first) for photo in photos[1:]):
        raise InputError(
            f"cameras cannot be found from the same picture {len(photos)} times: "
            "give photos of one scene from different places"
        )


def _check_features(features: NDArray[np.int64]) -> None:
    usable = int((features >= _FEWEST_FEATURES).sum())
    if usable < 2:
        raise InputError(
            f"cameras cannot be found: {usable} of {len(features)} photos show enough texture; "
            "give sharp, well exposed photos with more than blank walls or sky"
        )


def _check_overlaps(overlaps: Overlaps, count: int, still_matches: float) -> None:
    beside = "" if not still_matches else f", beside {_STILL_THINGS}"
    if not overlaps.pairs:
        raise InputError(
            f"cameras cannot be found: no two of the {count} photos show enough of the same things{beside}; "
            "give photos that overlap by half or more"
        )
    if not overlaps.with_parallax:
        raise InputError(
            f"cameras cannot be found: the {count} photos overlap{beside}, but differ as if the camera had stood still "
            f"or only turned on the spot; {_PARALLAX}"
        )
    if not overlaps.beyond_zoom:
        raise InputError(
            f"cameras cannot be found: the {count} photos overlap{beside}, but differ as if the camera had only turned "
            f"on the spot and zoomed; {_PARALLAX}"
        )


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
