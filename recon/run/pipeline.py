"""Photos to a prediction and its files, stage by stage.

Cameras, load (and resize), predict, align, clean, splat, export.

Where splats are made to look like the photos, the stage `optimise` takes the place of `splat`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from recon.choices import InferenceOptions
from recon.digests import digest
from recon.estimate.estimator import Estimator
from recon.estimate.prior import with_priors
from recon.export import Exported, Overrides
from recon.geometry.sparse_points import SparsePoints
from recon.messages import collect_warnings
from recon.options import settings_entry
from recon.progress import Listener, listen
from recon.refine.clean import Cleaning, clean, crop
from recon.refine.optimisation.snapshots import Snapshots
from recon.refine.optimised_splats import INTERRUPTED, OptimisedSplats, Scores
from recon.refine.splat import fit_to_photos, splats_from_depth
from recon.refine.splat_depth import with_depth_of_splats
from recon.refine.splat_start import DEPTH, POINTS, SplatStart, check_points
from recon.run.camera_evidence import JoinedCameras
from recon.run.decided_by import depth_decided_by, optimised_decided_by, photo_contents, splats_decided_by
from recon.run.depth_of_views import depth_of_views
from recon.run.find_cameras import FoundCameras, KnownCameras, kept_classes
from recon.run.found_depth import FoundDepth
from recon.run.given_cameras import GivenCameras
from recon.run.joined_windows import JoinedWindows, WindowJoint, WindowLoop
from recon.run.keyframes import Keyframes, find_keyframes, keyframes_decided_by, left_out, with_keyframes
from recon.run.known_cameras import cameras_before_depth
from recon.run.known_distance import in_metres
from recon.run.plan import Plan, plan_run
from recon.run.quality import Quality
from recon.run.record import CACHE_NAME, versions
from recon.run.run_record import RunRecord
from recon.run.scene_points import with_sparse_points
from recon.run.stages import Stages
from recon.run.store import Store
from recon.run.windows.road import depth_in_windows
from recon.run.windows.window import WindowDepth
from recon.run.wishes import check_cameras_suffice
from recon.run.write_exports import WrittenFormat, describe_result, write_exports
from recon.sfm.georeference import Georeference
from recon.sources.open_source import PhotoSource
from recon.sources.originals import SourceOriginals
from recon.splats.coverage import Coverage
from recon.types import Gaussians, MadeBy, Prediction
from recon.types.cameras import Cameras


@dataclass(frozen=True)
class Reconstruction:
    """A prediction, and what the run that made it wrote, took and warned of."""

    prediction: Prediction
    exported: Mapping[str, Exported] = field(default_factory=dict)
    """For each format, in the order asked for."""
    record_path: Path | None = None
    """`run.json`; None without an export folder."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each stage took; of one that was reused, how long it took to find what was kept."""
    reused: tuple[str, ...] = ()
    """The stages whose outcome was there already."""
    warnings: tuple[str, ...] = ()
    """Of making the model ready and of the run, in order."""
    optimised: OptimisedSplats | None = None
    """What making splats look like the photos gave; None where they were left as they were made."""
    not_optimised: str | None = None
    """Why they were left so; None where they were not, or nobody asked for any."""
    cleaning: Cleaning | None = None
    """What was left out of points, splats and meshes."""
    quality: Quality | None = None
    """What can be said of the result without truth; None without an export folder."""
    georeference: Georeference | None = None
    """What the GPS of the photos says of cameras that were found in them; None where it says nothing."""
    windows: JoinedWindows | None = None
    """What a long input went through; None where all views went through at once."""
    notes: tuple[str, ...] = ()
    """Plain facts of how the run went: frames that were left out, windows that were there from before."""


def reconstruct(
    estimator: Estimator,
    image: PhotoSource,
    extrinsics: ArrayLike | None = None,
    intrinsics: ArrayLike | str | None = None,
    *,
    cameras: str | Path | None = None,
    options: InferenceOptions = InferenceOptions(),  # noqa: B008 (frozen)
    export_dir: str | Path | None = None,
    export_format: str = "mini_npz",
    export_kwargs: Overrides | None = None,
    settings: Mapping[str, Any] | None = None,
    said: Sequence[str] = (),
    start: SplatStart | None = None,
    reuse: bool = False,
    fresh: bool = False,
    progress: Listener | None = None,
) -> Reconstruction:
    """Run the whole way from photos to files.

    Args:
        estimator: what makes the depth; `recon.estimate.choice` opens one.
        image: what `load_photos` takes; bad photos among several are left out unless `options.strict`.
        extrinsics: (N, 4, 4) or (N, 3, 4) world-to-camera of all images given, those left out included.
        intrinsics: (N, 3, 3) in pixels of the upright originals, likewise; or text: one lens for all, or a file of it.
        cameras: instead of the two arrays, a file or folder to read them from; `sfm` to find them by structure from
            motion (photos whose camera is not found are left out unless `options.strict`; `intrinsics` are then held,
            or refined with `options.refine_intrinsics`); `auto` for these and, of photos that have none so, those that
            the estimator predicts; `predicted` for its own alone; or `exif` for intrinsics by
            EXIF, which are assumed where an estimator that predicts no cameras gets photos without. None: those of a
            source that brings some.
        options: see `InferenceOptions`.
        export_dir: folder for the files, `run.json`, and what the next run can reuse; None writes nothing. Files that
            an earlier run lists in its `run.json` are replaced one by one, and removed where this run does not write
            them, but for other formats of the same result; all others are left alone.
        export_format: format names joined with `-`.
        export_kwargs: `{format: {option: value}}`, over what `options` says.
        settings: further settings to note in `run.json`.
        said: what was warned of before and belongs to the run.
        start: what splats begin from that are made to look like the photos, which they then are in any case; by default
            depth, or the Gaussian head.
        reuse: take over what an earlier run into the folder kept, where all that decides it is the same: the same
            command after a kill, or one with other formats. For an estimator whose `describe` tells everything that
            decides what it gives; cameras found in the photos are reused either way.
        fresh: compute everything anew all the same.
        progress: told of each stage as it begins, and of its parts.

    Raises:
        InputError: a wish that cannot be met, before anything costly is done as far as it can be known by then.
    """
    estimator = with_priors(estimator, options.depth_prior)
    with collect_warnings() as of_opening:
        plan = plan_run(
            estimator.profile,
            image,
            GivenCameras(extrinsics, intrinsics, cameras),
            options,
            export_dir,
            export_format,
            export_kwargs,
            start,
        )
    model = None if plan.folder is None else estimator.describe()
    about = {
        "versions": versions(),
        "model": model,
        "settings": {
            **(settings or {}),
            "export": export_format,
            "export_kwargs": export_kwargs,
            **settings_entry(options),
        },
    }
    with collect_warnings() as warnings, listen(progress), _record(plan, about) as record:
        store = _store(plan, fresh)
        stages = Stages(plan.stages, store, record)
        photos = photo_contents(plan.source) if plan.folder is not None and (reuse or plan.adjusts_cameras) else {}
        of_keyframes: dict[str, Any] = {}
        if plan.least_motion:
            keyframes = stages.kept(
                ("keyframes",),
                keyframes_decided_by(photos, plan.least_motion) if photos else None,
                partial(stages.run, "keyframes", find_keyframes, plan.source, plan.least_motion),
            )
            of_keyframes = {"keyframes": keyframes.entry(plan.source.names)}
            stages.notes += left_out(keyframes, len(plan.source.names), plan.least_motion)
            plan = with_keyframes(plan, keyframes)
            photos = photo_contents(plan.source) if photos else {}
        decided_by = partial(depth_decided_by, plan, photos, estimator=estimator, model=model) if reuse else None
        known, found = cameras_before_depth(plan, estimator, stages, photos, decided_by)
        by_sfm = None if found is None else known
        if plan.start is not None and plan.start.name == POINTS:
            check_points(known.source.points)
        depth = _depth(plan, estimator, known, found, stages, store, photos, model, reuse)
        scaled = in_metres(depth, known, options.known_distance)
        depth, known = scaled.depth, scaled.known
        by_sfm = None if by_sfm is None else known
        check_cameras_suffice(estimator.profile, depth.cameras, len(depth.prediction.depth), plan.formats)
        plan = plan.settled(estimator.profile, depth.prediction)
        stages.names = plan.stages
        cleaning = stages.run("clean", clean, depth.prediction, options)
        prediction = cleaned = replace(depth.prediction, kept=cleaning.kept)
        with_photos = replace(prediction, originals=SourceOriginals.by_name(known.source, prediction.image_names))
        optimised = None
        if plan.optimises:
            optimised = _optimised(plan, with_photos, depth.points, stages, reuse, fresh)
            prediction = replace(prediction, gaussians=optimised.gaussians, gaussian_source="optimised")
            if not estimator.profile.abilities.depth:
                prediction = with_depth_of_splats(prediction)
        elif plan.splats_from == "depth":
            splats = stages.kept(
                ("splat",),
                splats_decided_by(plan, cleaned) if reuse else None,
                lambda: stages.run("splat", splats_from_depth, cleaned, options),
            )
            prediction = replace(prediction, gaussians=splats, gaussian_source="depth")
        prediction, cleaning = crop(prediction, cleaning, options)
        source = plan.source if known is None else known.source
        prediction = with_sparse_points(prediction, source.names, source.cameras, source.points)
        exported: dict[str, Exported] = {}
        path, quality = None, None
        if record is not None and plan.folder is not None:
            result = digest(depth.prediction)
            with_photos = replace(prediction, originals=with_photos.originals)
            quality = Quality.of(prediction, by_sfm)
            entries = {
                **describe_result(with_photos, by_sfm, quality),
                **({} if scaled.entry is None else {"known_distance": scaled.entry}),
                **of_keyframes,
                **({} if depth.windows is None else {"windows": depth.windows.entry}),
                "cleaning": cleaning.entry,
                "optimised": None if optimised is None else {"start": plan.started_from, **optimised.entry},
                "not_optimised": plan.not_optimised,
                "dropped_images": [
                    {"name": name, "reason": reason} for name, reason in (*plan.source.left_out, *depth.dropped)
                ],
            }
            # What is said of each view is with the prediction itself, and of thousands of views it is much.
            of_run = {name: entry for name, entry in entries.items() if name != "images"}
            so_far = record.so_far(**of_run, warnings=_unique(estimator.warnings, said, of_opening, warnings))
            exported = write_exports(replace(with_photos, run=so_far), result, plan, plan.folder, stages, record, reuse)
            record.remove_earlier_files()
        all_warnings = _unique(estimator.warnings, said, of_opening, warnings)
        if record is not None:
            path = record.finish(**entries, warnings=all_warnings)
    return Reconstruction(
        prediction,
        exported,
        path,
        stages.seconds,
        tuple(stages.reused),
        all_warnings,
        optimised,
        plan.not_optimised if plan.asks_for_splats else None,
        cleaning,
        quality,
        None if by_sfm is None else by_sfm.georeference,
        depth.windows,
        tuple(stages.notes),
    )


def _depth(
    plan: Plan,
    estimator: Estimator,
    known: KnownCameras,
    found: FoundCameras | None,
    stages: Stages,
    store: Store | None,
    photos: Mapping[str, Any],
    model: Any,
    reuse: bool,
) -> FoundDepth:
    """All views at once; in windows where the plan has some."""
    if plan.windows is not None and store is not None:
        every = photos or photo_contents(plan.source)
        whole_by = depth_decided_by(plan, every, found, estimator, model)
        return depth_in_windows(plan, estimator, known, stages, store, model, whole_by, reuse)
    by = depth_decided_by(plan, photos, found, estimator, model) if reuse else None
    return stages.kept(plan.depth_stages, by, lambda: depth_of_views(plan, estimator, known, stages.run)[0])


def _unique(*messages: Sequence[str]) -> tuple[str, ...]:
    """All of them, each where it comes first."""
    return tuple(dict.fromkeys(message for several in messages for message in several))


SNAPSHOT_NAME = "optimise.npz"
"""In the store: where splats that are being optimised are, as long as they are."""
KEPT_CLASSES = (
    FoundDepth,
    Prediction,
    OptimisedSplats,
    Coverage,
    Scores,
    Gaussians,
    MadeBy,
    Cameras,
    JoinedCameras,
    SparsePoints,
    WrittenFormat,
    JoinedWindows,
    WindowJoint,
    WindowLoop,
    WindowDepth,
    Keyframes,
)
"""What the outcomes of stages consist of, beside those of structure from motion."""


def _optimised(
    plan: Plan, prediction: Prediction, points: SparsePoints | None, stages: Stages, reuse: bool, fresh: bool
) -> OptimisedSplats:
    """Going on from the state that a run which was killed or stopped left in the store."""
    start = SplatStart(DEPTH) if plan.start is None else plan.start
    snapshots = Snapshots(plan.folder / CACHE_NAME / SNAPSHOT_NAME) if reuse and plan.folder is not None else None
    if snapshots is not None and fresh:
        snapshots.remove()
    found = stages.kept(
        ("optimise",),
        optimised_decided_by(plan, prediction, points) if reuse else None,
        lambda: stages.run("optimise", fit_to_photos, prediction, plan.options, snapshots, start, points),
        lambda found: found.ended_by != INTERRUPTED,
    )
    if snapshots is not None and found.ended_by != INTERRUPTED:
        snapshots.remove()
    return found


def _record(plan: Plan, about: Mapping[str, Any]) -> contextlib.AbstractContextManager[RunRecord | None]:
    return contextlib.nullcontext() if plan.folder is None else RunRecord(plan.folder, about)


def _store(plan: Plan, fresh: bool) -> Store | None:
    if plan.folder is None:
        return None
    of_cameras = kept_classes() if plan.adjusts_cameras else ()
    return Store(plan.folder, (*KEPT_CLASSES, *of_cameras), fresh)
