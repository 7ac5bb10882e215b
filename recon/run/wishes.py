"""What a run asks of its estimator, checked against what that can do before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.estimate.estimator import Profile, Wishes
from recon.export import EXPORTERS, formats_that_need, formats_with_gaussians
from recon.types import GaussianSource
from recon.types.cameras import Cameras


def wishes_of(profile: Profile, options: InferenceOptions, formats: Sequence[str]) -> Wishes:
    """What `options` and the export `formats` ask for. Raises InputError for what the estimator cannot give."""
    name, abilities = profile.name, profile.abilities
    gaussians = gaussian_source(profile, options, formats) == "head"
    if gaussians and not abilities.gaussians:
        asked_by = "infer_gs" if options.infer_gs else "gaussians"
        raise InputError(
            f"{asked_by}: {name} has no Gaussian head, da3-giant and da3nested-giant-large have one; "
            "gaussians 'depth' makes splats from the depth of any model"
        )
    if options.use_ray_pose and not abilities.cameras:
        raise InputError(f"use_ray_pose: {name} predicts no cameras; leave it out, or take an any-view model")
    if options.export_feat_layers and not abilities.features:
        raise InputError(f"export_feat_layers: {name} has no encoder, so no features; leave it out, or take a network")
    for layer in options.export_feat_layers:
        if layer >= abilities.features:
            raise InputError(f"export_feat_layers: {name} has blocks 0 to {abilities.features - 1}, not {layer}")
    for format_name in formats_that_need("features", formats):
        if not options.export_feat_layers:
            raise InputError(
                f"the format {format_name} needs the features of export_feat_layers: name at least one block"
            )
    return Wishes(
        gaussians=gaussians,
        features=options.export_feat_layers,
        use_ray_pose=options.use_ray_pose,
        ref_view_strategy=options.ref_view_strategy,
        seed=options.seed,
    )


def gaussian_source(profile: Profile, options: InferenceOptions, formats: Sequence[str]) -> GaussianSource | None:
    """Where the Gaussians of a run come from; None where neither a format nor an option asks for any.

    A format that shows them where there are some asks for no more than those of depth.
    """
    if not asks_for_gaussians(options, formats):
        return "depth" if profile.abilities.depth and formats_with_gaussians(formats) else None
    if options.gaussians == "auto":
        return "head" if options.infer_gs or profile.abilities.gaussians else "depth"
    return options.gaussians


def asks_for_gaussians(options: InferenceOptions, formats: Sequence[str]) -> bool:
    """Whether an option asks for Gaussians, or a format that cannot do without; a page shows them in passing."""
    return options.infer_gs or options.gaussians != "auto" or bool(formats_that_need("gaussians", formats))


def check_cameras_suffice(profile: Profile, cameras: Cameras, views: int, formats: Sequence[str]) -> None:
    """Raise InputError where the estimator or a format needs cameras, or more views."""
    complete = cameras.world_to_camera is not None and cameras.intrinsics is not None
    if profile.needs.cameras and not complete and cameras.world_to_camera is not None:
        raise InputError(
            f"{profile.name} needs to know the lens, and these cameras are without focal lengths: give intrinsics "
            "(FX,FY,CX,CY in pixels of the photos), or cameras 'sfm'"
        )
    if profile.needs.cameras and not complete:
        raise InputError(f"{profile.name} needs cameras: give extrinsics and intrinsics, or cameras 'sfm'")
    need_cameras = {*formats_that_need("cameras", formats), *formats_that_need("gaussians", formats)}
    placed = [name for name in formats if name in need_cameras]
    if views > 1 and placed and not complete and not profile.abilities.cameras:
        others = "-".join(name for name in formats if name not in placed)
        instead = f"export {others} only" if others else "leave them out"
        raise InputError(
            f"{profile.name} looks at each view alone, so {' and '.join(placed)} of {views} views need their cameras: "
            "`--cameras sfm` (in Python: cameras='sfm') finds them; or give cameras, "
            f"{instead}, or take an any-view model"
        )
    for name in formats:
        least = EXPORTERS[name].needs.least_views
        if views < least:
            raise InputError(f"the format {name} needs at least {least} views, this run has {views}")
