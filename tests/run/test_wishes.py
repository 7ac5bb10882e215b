"""What each estimator is refused before it is loaded, and where Gaussians come from."""

from __future__ import annotations

import pytest

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.estimate.estimator import Profile
from recon.estimate.network import profile_of
from recon.estimate.stereo import PROFILE as STEREO
from recon.models.presets import load_preset
from recon.run.wishes import gaussian_source, wishes_of


def profile(name: str) -> Profile:
    return STEREO if name == "mvs" else profile_of(load_preset(name))


@pytest.mark.parametrize(
    ("preset", "options", "formats", "expected"),
    [
        ("da3-small", {}, ("glb", "npz"), None),
        ("da3-small", {}, ("glb", "gs_ply"), "depth"),
        ("da3-small", {"gaussians": "depth"}, ("npz",), "depth"),
        ("da3mono-large", {}, ("spz",), "depth"),
        ("da3-giant", {}, ("npz",), None),
        ("da3-giant", {}, ("html",), "depth"),
        ("da3mono-large", {}, ("html", "npz"), "depth"),
        ("da3-giant", {}, ("html", "gs_ply"), "head"),
        ("da3-giant", {}, ("gs_video",), "head"),
        ("da3-giant", {"infer_gs": True}, (), "head"),
        ("da3-giant", {"gaussians": "head"}, (), "head"),
        ("da3-giant", {"gaussians": "depth"}, ("gs_ply",), "depth"),
        ("da3-giant", {"gaussians": "depth", "infer_gs": True}, (), "depth"),
        ("da3-small", {"gaussians": "depth", "infer_gs": True}, (), "depth"),
        ("da3nested-giant-large", {}, ("gs_ply",), "head"),
    ],
)
def test_where_gaussians_come_from(preset: str, options: dict, formats: tuple[str, ...], expected: str | None) -> None:
    assert gaussian_source(profile(preset), InferenceOptions(**options), formats) == expected


@pytest.mark.parametrize("options", [{"infer_gs": True}, {"gaussians": "head"}])
def test_a_head_that_is_not_there(options: dict) -> None:
    with pytest.raises(
        InputError, match=f"{next(iter(options))}: da3-small has no Gaussian head.*'depth' makes splats"
    ):
        wishes_of(profile("da3-small"), InferenceOptions(**options), ())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mvs", {"infer_gs": True}, "infer_gs: multi-view stereo has no Gaussian head"),
        ("mvs", {"use_ray_pose": True}, "use_ray_pose: multi-view stereo predicts no cameras"),
        ("da3metric-large", {"use_ray_pose": True}, "use_ray_pose: da3metric-large predicts no cameras"),
        ("depth-anything-v2-small", {"gaussians": "head"}, "gaussians: depth-anything-v2-small has no Gaussian head"),
        ("mvs", {"export_feat_layers": (0,)}, "export_feat_layers: multi-view stereo has no encoder"),
        ("da3-giant", {"export_feat_layers": (3, 40)}, "export_feat_layers: da3-giant has blocks 0 to 39, not 40"),
    ],
)
def test_what_is_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wishes_of(profile(name), InferenceOptions(**options), ())


def test_what_is_asked_for() -> None:
    options = InferenceOptions(use_ray_pose=True, export_feat_layers=(39,), ref_view_strategy="first", seed=4)
    wishes = wishes_of(profile("da3-giant"), options, ("gs_ply", "feat_vis"))
    assert (wishes.gaussians, wishes.features, wishes.use_ray_pose) == (True, (39,), True)
    assert (wishes.ref_view_strategy, wishes.seed) == ("first", 4)
