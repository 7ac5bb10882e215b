"""What decides the outcome of each stage of a run, for the store: the content of files, never their dates."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from recon.choices import ExportChoices, InferenceOptions, MaskOptions, SplatOptimisation
from recon.cores import usable_cores
from recon.digests import file_content, with_contents
from recon.estimate.estimator import Estimator
from recon.geometry.sparse_points import SparsePoints
from recon.options import options_of
from recon.refine.splat import depth_splat_options
from recon.run.find_cameras import FoundCameras
from recon.run.plan import Plan
from recon.sources.source import Source
from recon.types import Prediction
from recon.types.cameras import Cameras


def photo_contents(source: Source) -> dict[str, Any]:
    """Name and hash of the content of each photo, and what is known of them beside; nothing is decoded."""
    indices = range(len(source.names))
    with ThreadPoolExecutor(min(8, usable_cores())) as pool:
        contents = list(pool.map(source.content, indices))
    return {
        "photos": list(zip(source.names, contents, strict=True)),
        "known": (source.ordered, source.cameras, source.points, source.depths),
    }


def cameras_decided_by(plan: Plan, photos: Mapping[str, Any], given: Cameras | None = None) -> dict[str, Any]:
    """Of structure from motion, and of refining cameras that are `given`."""
    options = plan.options
    return {
        "photos": photos,
        "strict": options.strict,
        "seed": options.seed,
        "intrinsics": _content_of_intrinsics(plan.cameras.intrinsics),
        "refine_intrinsics": options.refine_intrinsics,
        "gps": options.gps == "auto" and options.known_distance is None,
        "features": with_contents({"by": options.features, "files": options.features_folder}),
        "given": given,
    }


def depth_decided_by(
    plan: Plan, photos: Mapping[str, Any], found: FoundCameras | None, estimator: Estimator, model: Any
) -> dict[str, Any]:
    """Of the stages from the photos to the aligned prediction; `model` is all that the estimator says of itself."""
    options, given = plan.options, plan.cameras
    return {
        "photos": photos,
        "options": with_contents(_options_of_depth(options)),
        "fit": estimator.profile.fit,
        "extrinsics": None if given.extrinsics is None else np.asarray(given.extrinsics, np.float64),
        "intrinsics": _content_of_intrinsics(given.intrinsics),
        "camera_source": None if given.source is None else (str(given.source), file_content(Path(given.source))),
        "found": found,
        "estimator": (estimator.profile.name, model, tuple(estimator.warnings)),
        "wishes": plan.wishes,
        "priors": [file_content(folder) for folder in options.prior_folders],
        "keeps_points": plan.keeps_points,
    }


def _content_of_intrinsics(given: Any) -> Any:
    """Of the array, or of the text or the file it names."""
    if isinstance(given, str):
        return given, file_content(Path(given).expanduser())
    return None if given is None else np.asarray(given, np.float64)


def _options_of_depth(options: InferenceOptions) -> dict[str, Any]:
    """All but those that are for the files alone, and masks, which are part of the photos: a new option counts unless
    it is said to be one of them."""
    others = {*options_of(ExportChoices), *options_of(SplatOptimisation), *options_of(MaskOptions)} - {"seed"} | {
        "known_distance"
    }
    return {name: getattr(options, name) for name in options_of(InferenceOptions) if name not in others}


def splats_decided_by(plan: Plan, prediction: Prediction) -> dict[str, Any]:
    """Of splats from the depth of a prediction."""
    return {"prediction": prediction, "options": depth_splat_options(plan.options)}


def optimised_decided_by(plan: Plan, prediction: Prediction, points: SparsePoints | None) -> dict[str, Any]:
    """Of splats made to look like the photos of a prediction."""
    options = {name: getattr(plan.options, name) for name in options_of(SplatOptimisation)}
    by = {"optimisation": options, "seed": plan.options.seed, "rasterizer": plan.options.rasterizer}
    return {**splats_decided_by(plan, prediction), **by, "start": (plan.start, points)}
