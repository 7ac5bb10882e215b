"""Photos to a prediction and its files, stage by stage: cameras, load (and resize), predict, align, splat, export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from recon.choices import InferenceOptions
from recon.estimate.depth_check import check_depth
from recon.estimate.estimate_views import estimate_views
from recon.estimate.estimator import Estimator, Profile, Wishes
from recon.export import Exported, Overrides
from recon.messages import collect_warnings
from recon.progress import Listener, listen, tell
from recon.refine.align import align_to_given_extrinsics
from recon.refine.splat import add_gaussians
from recon.run.find_cameras import find_cameras
from recon.run.load_views import load_views
from recon.run.plan import GivenCameras, plan_run
from recon.run.stages import Stages
from recon.run.write_exports import write_exports, write_run_record
from recon.sources.fitting import Views
from recon.sources.source import PhotoSource
from recon.types import Prediction


@dataclass(frozen=True)
class Reconstruction:
    """A prediction, and what the run that made it wrote, took and warned of."""

    prediction: Prediction
    exported: Mapping[str, Exported] = field(default_factory=dict)
    """For each format, in the order asked for."""
    record_path: Path | None = None
    """`run.json`; None without an export folder."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each stage took."""
    warnings: tuple[str, ...] = ()
    """Of making the model ready and of the run, in order."""


def reconstruct(
    estimator: Estimator,
    image: PhotoSource,
    extrinsics: ArrayLike | None = None,
    intrinsics: ArrayLike | None = None,
    *,
    cameras: str | Path | None = None,
    options: InferenceOptions = InferenceOptions(),  # noqa: B008 (frozen)
    export_dir: str | Path | None = None,
    export_format: str = "mini_npz",
    export_kwargs: Overrides | None = None,
    settings: Mapping[str, Any] | None = None,
    said: Sequence[str] = (),
    progress: Listener | None = None,
) -> Reconstruction:
    """Run the whole way from photos to files.

    Args:
        estimator: what makes the depth; `recon.estimate.choice` opens one.
        image: what `load_photos` takes; bad photos among several are left out unless `options.strict`.
        extrinsics: (N, 4, 4) or (N, 3, 4) world-to-camera of all images given, those left out included.
        intrinsics: (N, 3, 3) in pixels of the upright originals, likewise.
        cameras: instead of the two arrays, a file to read them from; `sfm` to find them by structure from motion
            (photos whose camera is not found are left out unless `options.strict`); or `exif` for intrinsics by EXIF,
            which are assumed where an estimator that predicts no cameras gets photos without.
        options: see `InferenceOptions`.
        export_dir: folder for the files and `run.json`; None writes nothing. Files of an earlier run with the same
            names are replaced one by one, others are left alone.
        export_format: format names joined with `-`.
        export_kwargs: `{format: {option: value}}`, over what `options` says.
        settings: further settings to note in `run.json`.
        said: what was warned of before and belongs to the run.
        progress: told of each stage as it begins, and of its parts.

    Raises:
        InputError: a wish that cannot be met, before anything costly is done as far as it can be known by then.
    """
    profile = estimator.profile
    given = GivenCameras(extrinsics, intrinsics, cameras)
    plan = plan_run(profile, image, given, options, export_dir, export_format, export_kwargs)
    stages = Stages(plan.stages)
    with collect_warnings() as warnings, listen(progress):
        found = None
        if plan.finds_cameras:
            found = stages.run(
                "cameras",
                find_cameras,
                plan.source,
                strict=options.strict,
                seed=options.seed,
                export_dir=plan.folder,
                progress=tell,
            )
        loaded = stages.run("load", load_views, plan, profile, found)
        views = loaded.views
        prediction = stages.run("predict", _estimate, estimator, views, plan.wishes)
        prediction = stages.run("align", _align, prediction, views, profile, options)
        if plan.splats_from == "depth":
            prediction = stages.run("splat", add_gaussians, prediction, options)
        if plan.folder is None:
            return Reconstruction(prediction, seconds=stages.seconds, warnings=(*estimator.warnings, *said, *warnings))
        exported = write_exports(prediction, plan, plan.folder, stages)
    all_warnings = (*estimator.warnings, *said, *warnings)
    path = write_run_record(
        plan.folder,
        model=estimator.describe(),
        settings={**(settings or {}), "export": export_format, "export_kwargs": export_kwargs},
        plan=plan,
        found=found,
        loaded=loaded,
        prediction=prediction,
        exported=exported,
        warnings=all_warnings,
        seconds=stages.seconds,
    )
    return Reconstruction(prediction, exported, path, stages.seconds, all_warnings)


def _estimate(estimator: Estimator, views: Views, wishes: Wishes) -> Prediction:
    """The estimator's depth, with what is missing in it said."""
    return check_depth(estimate_views(estimator, views, wishes, tell), estimator.profile)


def _align(prediction: Prediction, views: Views, profile: Profile, options: InferenceOptions) -> Prediction:
    """Predicted and given cameras brought together, where there are both."""
    given = views.cameras.world_to_camera
    if given is None or not profile.abilities.cameras:
        return prediction
    return align_to_given_extrinsics(prediction, given, options.align_to_input_ext_scale, options.seed)
