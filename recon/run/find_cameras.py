"""Cameras of the photos of a run: given as arrays or in a file, or found by structure from motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.geometry.cameras import warn_if_float32_is_too_coarse
from recon.messages import warn
from recon.run.given_cameras import GivenCameras
from recon.sources.adapted_photos import with_lenses
from recon.sources.calibrated import CalibratedSource
from recon.sources.cameras_file import CameraReading, read_cameras_file
from recon.sources.given_lens import check_size_of_lenses, read_lens
from recon.sources.loading import load_each
from recon.sources.matrix_convention import MatrixConvention
from recon.sources.put_cameras import put_cameras
from recon.sources.source import Source
from recon.types import Prediction
from recon.types.cameras import Cameras

if TYPE_CHECKING:
    from recon.progress import TellPart
    from recon.sfm.georeference import Georeference
    from recon.sfm.options import SfmOptions
    from recon.sfm.photos import SfmPhoto
    from recon.sfm.result import SfmResult


@dataclass(frozen=True)
class FoundCameras:
    """What structure from motion made of the photos of a source."""

    result: SfmResult
    chosen: tuple[int, ...]
    """Of each photo with a camera, its index in the source."""
    dropped: tuple[tuple[str, str], ...]
    """Name of each photo left out, and why."""


@dataclass(frozen=True)
class KnownCameras:
    """The photos that have a camera, and what became of the others."""

    source: Source
    """Of those photos; its `cameras` are None where nothing was given."""
    dropped: tuple[tuple[str, str], ...] = ()
    """Name of each photo left out, and why."""
    found: SfmResult | None = None
    """Of structure from motion, where that found them."""

    @property
    def reprojection_error(self) -> float | None:
        """Mean over the views, in pixels of the originals, of the points that structure from motion found."""
        return None if self.found is None else float(np.nanmean(self.found.reprojection_errors))

    @property
    def weak_cameras(self) -> tuple[str, ...]:
        """Names of the photos whose cameras structure from motion is not sure of."""
        if self.found is None or self.found.certainty is None:
            return ()
        return tuple(self.found.registered_names[view] for view in self.found.certainty.weak.tolist())

    @property
    def georeference(self) -> Georeference | None:
        """What GPS says of the frame that structure from motion found; None where it says nothing."""
        return None if self.found is None else self.found.georeference

    def describe(self) -> dict[str, object]:
        """What `run.json` says of structure from motion; empty without."""
        result = self.found
        if result is None:
            return {}
        return {
            "registered": list(result.registered_names),
            "unregistered": list(result.unregistered_names),
            "other_models": [list(names) for names in result.other_models],
            "points": len(result.sparse.points),
            "mean_reprojection_error": self.reprojection_error,
            "doubtful": result.doubtful,
            "assumed_lens": result.assumed_lens,
            "still_matches": result.still_matches,
            "certainty": None if result.certainty is None else _certainty_entry(result),
            "changes": None
            if result.changes is None
            else {
                "degrees": result.changes.degrees,
                "distances": result.changes.distances,
                "kept": list(result.changes.kept),
            },
            "lenses": [choice.entry for choice in result.lens_choices],
            "georeference": None if result.georeference is None else result.georeference.entry,
            "pairs": None if result.pairing is None else asdict(result.pairing),
            "mapping": [asdict(attempt) for attempt in result.attempts],
            "joins": [
                {**asdict(join), "photos": [result.image_names[index] for index in join.photos]}
                for join in result.joins
            ],
        }


def _certainty_entry(result: SfmResult) -> list[dict[str, object]]:
    assert result.certainty is not None
    found = result.certainty
    columns = zip(
        result.registered_names, found.degrees.tolist(), found.distances.tolist(), found.points.tolist(), strict=True
    )
    return [
        {"name": name, "degrees": degrees, "distance": distance, "points": points}
        for name, degrees, distance, points in columns
    ]


def take_cameras(source: Source, given: GivenCameras, file: Path | None, options: InferenceOptions) -> KnownCameras:
    """Put the cameras that the user gives to the photos they belong to.

    Args:
        source: the photos; its own cameras count where none are given.
        given: see `recon.run.given_cameras.GivenCameras`.
        file: file or folder to read them from; None where there is none.
        options: `strict` refuses a photo without a camera and a camera without a photo; otherwise the first is left
            out. `convention` says what plain matrices are.

    Raises:
        InputError: cameras that are none, or not as many as the photos; a file with none for any photo.
    """
    lens = read_lens(given.intrinsics) if isinstance(given.intrinsics, str) else None
    if file is not None:
        put = put_cameras(source, read_cameras_file(file, CameraReading(options.convention, lens)), options.strict)
        known = KnownCameras(put.source, put.dropped)
    elif lens is not None:
        if source.cameras is not None and source.cameras.intrinsics is not None:
            raise InputError("intrinsics: the input brings cameras with their own; leave them out")
        intrinsics, distortion = lens.for_images(len(source.names))
        cameras = replace(source.cameras or Cameras(), intrinsics=intrinsics, distortion=distortion)
        known = KnownCameras(CalibratedSource(source, tuple(range(len(source.names))), cameras))
    elif given.extrinsics is not None or given.intrinsics is not None:
        cameras = Cameras.from_arrays(given.extrinsics, given.intrinsics, count=len(source.names))
        if cameras.world_to_camera is not None and options.convention is not None:
            convention = MatrixConvention.of(options.convention)
            cameras = replace(
                cameras, world_to_camera=convention.world_to_camera(cameras.world_to_camera, "extrinsics")
            )
        known = KnownCameras(CalibratedSource(source, tuple(range(len(source.names))), cameras))
    else:
        if options.convention is not None:
            raise InputError("convention is for matrices of cameras that are given, and none are")
        known = KnownCameras(source)
    found = known.source.cameras
    if found is not None and found.world_to_camera is not None:
        warn_if_float32_is_too_coarse(found.world_to_camera)
    return known


def kept_classes() -> tuple[type, ...]:
    """What `FoundCameras` consists of, for the store."""
    from recon.geometry.geodesy import GeoPosition
    from recon.geometry.sparse_points import SparsePoints
    from recon.sfm.certainty import Certainty
    from recon.sfm.georeference import Georeference
    from recon.sfm.joining import Join
    from recon.sfm.lens_choice import LensChoice, LensTrial
    from recon.sfm.lenses import Lenses
    from recon.sfm.mapping_trials import MappingTrial
    from recon.sfm.pairs import Pairing
    from recon.sfm.result import CameraChanges, SfmResult
    from recon.sources.lenses import Lens

    of_lenses = (Lens, Lenses, LensChoice, LensTrial)
    of_cameras = (CameraChanges, Certainty, Georeference, GeoPosition, SparsePoints, Cameras)
    of_mapping = (Join, MappingTrial, Pairing)
    return FoundCameras, SfmResult, *of_lenses, *of_cameras, *of_mapping


def photos_as_found(source: Source, found: FoundCameras) -> Source:
    """The photos of `source` that the cameras `found` are of: those of a fisheye become pinhole photos."""
    result = found.result
    lens_of = dict(zip(result.image_names, result.fisheyes, strict=False))
    lenses = tuple(lens_of.get(name) for name in source.names)
    return with_lenses(source, lenses)


def known_cameras(source: Source, found: FoundCameras) -> KnownCameras:
    """Put the cameras `found` to the photos of `source` that they belong to."""
    result = found.result
    calibrated = CalibratedSource(photos_as_found(source, found), found.chosen, result.original_cameras, result.sparse)
    return KnownCameras(calibrated, found.dropped, result)


def leave_out(source: Source, found: FoundCameras, strict: bool = False) -> KnownCameras:
    """`known_cameras`, and a warning for each photo without one.

    Raises InputError where `strict` does not let that pass.
    """
    without = found.result.unregistered_names
    if strict and without:
        names = ", ".join(without)
        raise InputError(f"the cameras of some photos could not be found: {names}; without strict they are left out")
    dropped = list(found.dropped)
    for name in without:
        reason = f"'{name}': its camera could not be found, it shares too little with the others"
        warn(f"left out: {reason}")
        dropped.append((name, reason))
    return replace(known_cameras(source, found), dropped=tuple(dropped))


def known_lenses(source: Source, given: GivenCameras) -> Cameras | None:
    """Intrinsics and distortion of all photos of `source` that structure from motion is to begin with; None: unknown.

    Those that the user gives; else those of a source that knows how its photos were taken, but not from where.
    Raises InputError for intrinsics that are none, or not as many as the photos.
    """
    count = len(source.names)
    if isinstance(given.intrinsics, str):
        intrinsics, distortion = read_lens(given.intrinsics).for_images(count)
        return Cameras(intrinsics=intrinsics, distortion=distortion)
    if given.intrinsics is not None:
        return Cameras.from_arrays(None, given.intrinsics, count=count)
    own = source.cameras
    return own if own is not None and own.world_to_camera is None and own.intrinsics is not None else None


def find_cameras(
    source: Source,
    options: InferenceOptions = InferenceOptions(),  # noqa: B008 (frozen)
    lenses: Cameras | None = None,
    progress: TellPart | None = None,
) -> FoundCameras:
    """Structure from motion of all usable photos.

    Args:
        source: the photos.
        options: `strict` stops at a photo that cannot be read; `seed`;
            `refine_intrinsics` refines `lenses`, which are held otherwise; `gps`.
        lenses: intrinsics and distortion of all photos of `source`; None: to be found.
        progress: told how far each of its stages is.

    Raises:
        InputError: as `structure_from_motion`, or a photo that `strict` does not let pass; intrinsics that are of
            photos of another size.
    """
    from recon.sfm.georeferenced import georeferenced
    from recon.sfm.picture_file import PictureFile
    from recon.sfm.structure_from_motion import prepare_photo, structure_from_motion

    strict = options.strict
    if lenses is None and options.refine_intrinsics:
        raise InputError("refine_intrinsics refines intrinsics that are known: give --intrinsics, or leave it out")
    pictures, colour = PictureFile(), options.features != "sift"
    loaded = load_each(source, lambda photo: pictures.keep(prepare_photo(photo, colour=colour)), strict)
    photos = loaded.photos if lenses is None else _with_lenses(loaded.photos, lenses[loaded.kept])
    result = structure_from_motion(
        photos,
        _sfm_options(source, options),
        progress=progress,
    )
    if options.gps == "auto" and options.known_distance is None:
        result = georeferenced(result, photos, options.seed)
    for line in result.warnings():
        warn(line)
    chosen = tuple(loaded.kept[index] for index in result.registered.tolist())
    return FoundCameras(result, chosen, tuple(loaded.dropped))


def _sfm_options(source: Source, options: InferenceOptions) -> SfmOptions:
    from recon.sfm.options import SfmOptions

    return SfmOptions(
        ordered=source.ordered,
        seed=options.seed,
        refine_intrinsics=options.refine_intrinsics,
        features=options.features,
        features_folder=options.features_folder,
    )


def _with_lenses(photos: Sequence[SfmPhoto], lenses: Cameras) -> list[SfmPhoto]:
    """Photos that know their intrinsics and distortion. Raises InputError for those of another size."""
    assert lenses.intrinsics is not None
    sizes = np.array([photo.original_size for photo in photos], np.int64)
    check_size_of_lenses(lenses.intrinsics, sizes, [photo.name for photo in photos])
    return [
        replace(
            photo,
            intrinsics=lenses.intrinsics[view],
            distortion=None if lenses.distortion is None else lenses.distortion[view],
        )
        for view, photo in enumerate(photos)
    ]


def refine_given(source: Source, options: InferenceOptions, progress: TellPart | None = None) -> FoundCameras:
    """The cameras of `source`, adjusted to what its photos have in common, in their frame and scale.

    Args:
        source: photos whose poses are known, and perhaps their intrinsics.
        options: `strict`, `seed` and `refine_intrinsics` as of `find_cameras`.
        progress: told how far each of its stages is.

    Raises:
        InputError: as `recon.sfm.refine_cameras.refine_cameras`; photos whose cameras are not known.
    """
    found = adjusted(source, options, progress)
    for line in found.result.warnings():
        warn(line)
    return found


def adjusted(source: Source, options: InferenceOptions, progress: TellPart | None = None) -> FoundCameras:
    """As `refine_given`, without a word."""
    from recon.sfm.photos import prepare_photo
    from recon.sfm.picture_file import PictureFile
    from recon.sfm.refine_cameras import refine_cameras

    given = source.cameras
    if given is None or given.world_to_camera is None:
        raise InputError(
            "refine_cameras refines cameras that are known: give them as arrays or by cameras, or leave it out; "
            "cameras 'sfm' finds them in the photos"
        )
    pictures, colour = PictureFile(), options.features != "sift"
    loaded = load_each(source, lambda photo: pictures.keep(prepare_photo(photo, colour=colour)), options.strict)
    chosen = given[loaded.kept]
    assert chosen.world_to_camera is not None
    photos = loaded.photos if chosen.intrinsics is None else _with_lenses(loaded.photos, chosen)
    result = refine_cameras(photos, chosen.world_to_camera, _sfm_options(source, options), progress, chosen.scale)
    return FoundCameras(result, tuple(loaded.kept), tuple(loaded.dropped))


def camera_entry(prediction: Prediction, found: KnownCameras | None) -> dict[str, Any]:
    """What `run.json` says of all cameras together; each photo's own are with the photo."""
    lens_origin = None if prediction.lenses is None else prediction.lenses.origin
    entry: dict[str, Any] = {
        "extrinsics": prediction.extrinsics_origin,
        "intrinsics": None if prediction.intrinsics is None else lens_origin,
    }
    return entry if found is None else {**entry, "sfm": found.describe()}
