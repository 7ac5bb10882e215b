"""What a run is to do, settled and checked before it reads a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.estimate.estimator import Profile, Wishes
from recon.export import (
    Overrides,
    TypedOptions,
    check_formats,
    check_options,
    formats_that_need,
    parse_formats,
)
from recon.refine.splat_start import POINTS, SplatStart
from recon.run.given_cameras import AUTO, EXIF, PREDICTED, SFM, WORDS, GivenCameras, check_spelling
from recon.run.known_depth import check_known_depth
from recon.run.known_distance import check_marked_photos
from recon.run.optimisation import why_not
from recon.run.request import check_request
from recon.run.window_choice import WindowSizes, check_cameras_in_windows, choose_windows, least_motion
from recon.run.wishes import asks_for_gaussians, gaussian_source, wishes_of
from recon.sources.open_source import PhotoSource
from recon.sources.source import Source
from recon.types import GaussianSource, Prediction


def usual_cameras(
    profile: Profile, source: Source, intrinsics_given: bool = False, in_windows: bool = False
) -> str | None:
    """Where a command takes the cameras from when the user says no more than intrinsics, for an estimator of this
    profile; None: from the source where it brings some, else nowhere. A long input that goes through `in_windows` is
    not looked at as a whole first where the estimator predicts cameras."""
    if source.cameras is not None and source.cameras.world_to_camera is not None:
        return None
    if profile.needs.cameras:
        return SFM
    if source.cameras is not None or intrinsics_given:
        return None
    if not profile.abilities.cameras:
        return SFM if profile.needs.exact_cameras else EXIF
    if in_windows:
        return PREDICTED
    return AUTO if len(source.names) > 1 else None


@dataclass(frozen=True)
class Plan:
    """The checked request of one run."""

    source: Source
    """The photos."""
    cameras: GivenCameras
    options: InferenceOptions
    formats: tuple[str, ...]
    """In the order asked for; none without a folder."""
    format_options: TypedOptions
    """Of every format."""
    folder: Path | None
    wishes: Wishes
    splats_from: GaussianSource | None
    """`head` or `depth`: what splats are made of at first; None where there are none."""
    not_optimised: str | None
    """Why splats are not made to look like the photos; None where they are, or there are none."""
    start: SplatStart | None = None
    """What splats that are made to look like the photos begin from; None where nobody says: depth, or the head."""
    windows: WindowSizes | None = None
    """Of a long input; None where all views go through at once."""
    least_motion: float = 0.0
    """Share of its longer side by which the picture of a photo that is taken differs from the one before; 0: any."""

    @property
    def finds_cameras(self) -> bool:
        """Whether structure from motion comes first."""
        return self.cameras.source in (SFM, AUTO)

    @property
    def weighs_cameras(self) -> bool:
        """Whether those of structure from motion and predicted ones are joined."""
        return self.cameras.source == AUTO

    @property
    def adjusts_cameras(self) -> bool:
        """Whether the photos decide cameras, found or given."""
        return self.finds_cameras or self.options.refine_cameras

    @property
    def reads_exif(self) -> bool:
        """Whether each photo itself says what its intrinsics are."""
        return self.cameras.source == EXIF

    @property
    def optimises(self) -> bool:
        """Whether splats are made to look like the photos."""
        return self.splats_from is not None and self.not_optimised is None

    @property
    def asks_for_splats(self) -> bool:
        """Whether the user asks for splats, beside those that a page shows in passing."""
        return asks_for_gaussians(self.options, self.formats)

    @property
    def keeps_points(self) -> bool:
        """Whether the points of the scene are wanted once there is depth."""
        return self.start is not None and self.start.name == POINTS

    @property
    def started_from(self) -> str:
        """What splats that are made to look like the photos begin from, for `run.json`."""
        if self.start is None or self.start.needs_depth:
            return str(self.splats_from)
        return self.start.name

    @property
    def stages(self) -> tuple[str, ...]:
        """Their names, in order."""
        first: tuple[str, ...] = ("keyframes",) if self.least_motion else ()
        first += ("cameras",) if self.adjusts_cameras else ()
        first += ("join",) if self.weighs_cameras else ()
        splat = ("splat",) if self.splats_from == "depth" else ()
        splat = ("optimise",) if self.optimises else splat
        return (*first, *self.depth_stages, "clean", *splat, *(f"export {name}" for name in self.formats))

    @property
    def depth_stages(self) -> tuple[str, ...]:
        """From the photos to the aligned prediction; the photos of windows are loaded as they are needed."""
        return ("load", "predict", "align") if self.windows is None else ("predict", "align")

    def settled(self, profile: Profile, prediction: Prediction) -> Plan:
        """With what is known of views and cameras once there is depth: photos that were left out, cameras that a file
        did not hold."""
        if self.splats_from is None:
            return self
        known = len(prediction.measured_views) >= min(2, len(prediction.depth))
        reason = why_not(self.options, profile, self.formats, len(prediction.depth), known, self.start)
        return replace(self, not_optimised=reason)


def plan_run(
    profile: Profile,
    image: PhotoSource,
    cameras: GivenCameras,
    options: InferenceOptions,
    export_dir: str | Path | None,
    export_format: str,
    export_kwargs: Overrides | None,
    start: SplatStart | None = None,
) -> Plan:
    """The plan of a run with an estimator of this profile; arguments as of `recon.run.pipeline.reconstruct`.

    Raises InputError for a wish that cannot be met.
    """
    formats = () if export_dir is None else parse_formats(export_format)
    folder = None if export_dir is None else Path(export_dir).expanduser()
    chosen = check_options(export_kwargs, options)
    check_formats(formats, chosen)
    source = check_request(profile, image, options, formats, folder)
    check_marked_photos(options.known_distance, source.names)
    if cameras.source in (AUTO, PREDICTED) and not profile.abilities.cameras:
        raise InputError(f"cameras {cameras.source!r}: {profile.name} predicts none; give cameras 'sfm' or known ones")
    if cameras.source is not None and cameras.source not in WORDS:
        check_spelling(str(cameras.source))
    if options.convention is not None and cameras.source in WORDS:
        raise InputError(f"convention is for matrices of cameras that are given, not for cameras '{cameras.source}'")
    if cameras.source in (AUTO, PREDICTED) and source.cameras is not None:
        raise InputError(f"cameras {cameras.source!r}: the input brings cameras with it; leave that out, or say 'sfm'")
    if options.refine_cameras and cameras.source in WORDS:
        raise InputError(
            f"refine_cameras is for cameras that are given, not for cameras '{cameras.source}'; "
            "those that are found in the photos are refined in any case"
        )
    if options.refine_intrinsics and not (options.refine_cameras or cameras.source in (SFM, AUTO)):
        raise InputError(
            "refine_intrinsics is for cameras that are found in the photos (give cameras 'sfm' with it), or given and "
            "refined (give refine_cameras with it)"
        )
    check_known_depth(source, cameras, options)
    windows = None if start is not None else choose_windows(profile, source, options, formats, folder)
    windows = check_cameras_in_windows(windows, cameras, asked=options.window is not None)
    splats_from = gaussian_source(profile, options, formats) if windows is None else None
    known = cameras_known(source, cameras)
    reason = why_not(options, profile, formats, len(source.names), known, start)
    if start is not None:
        _check_start(start, profile, options, formats, cameras_given=known and cameras.source not in (SFM, AUTO))
    return Plan(
        source=source,
        cameras=cameras,
        options=options,
        formats=formats,
        format_options=chosen,
        folder=folder,
        wishes=replace(
            wishes_of(profile, options, formats),
            given_scale=options.align_to_input_ext_scale,
            # A unit that nobody chose is not worth more than metres.
            metres=cameras.source in (SFM, AUTO) and options.known_distance is None,
        ),
        splats_from=splats_from,
        not_optimised=None if splats_from is None else reason,
        start=start,
        windows=windows,
        least_motion=least_motion(options, source, cameras, windows is not None),
    )


def _check_start(
    start: SplatStart,
    profile: Profile,
    options: InferenceOptions,
    formats: Sequence[str],
    cameras_given: bool,
) -> None:
    """Raise InputError where splats cannot begin so, or nothing asks for any."""
    if not formats_that_need("gaussians", formats):
        raise InputError("start_from is for splats: export gs_ply, gs_video or another format of them")
    if options.gs_iterations == 0:
        raise InputError("gs_iterations 0 would leave the splats as they begin: leave it out, or give more")
    if start.needs_depth and not profile.abilities.depth:
        raise InputError(f"start_from {start.name}: {profile.name} has none to begin from")
    if start.is_file and not (cameras_given and options.align_to_input_ext_scale):
        raise InputError(
            f"start_from {start.name}: its splats are in the frame of cameras that are known: give those and keep "
            "their frame; cameras that are found or predicted now are in another one"
        )


def cameras_known(source: Source, cameras: GivenCameras) -> bool:
    """Whether extrinsics are given with the photos or beside them, or will be found: as far as can be known at once."""
    own = source.cameras is not None and source.cameras.world_to_camera is not None
    return own or cameras.extrinsics is not None or cameras.source not in (None, EXIF, PREDICTED)
