"""Torch networks of every family as estimators: views in, a `Prediction` in the network's own frame out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recon.cameras import Cameras
from recon.choices import ANY_VIEW, NETWORK
from recon.estimate.estimator import Abilities, Fit, Needs, Profile, Wishes
from recon.geometry.cameras import normalise_extrinsics, to_3x4
from recon.messages import warn
from recon.models.conventions import conventions_of
from recon.models.presets import NestedConfig
from recon.progress import TellPart
from recon.sources.fitting import Views, normalise
from recon.types import FloatArray, Gaussians, MadeBy, Prediction, Units

if TYPE_CHECKING:
    import torch
    from torch import nn

    from recon.geometry.sparse_points import SparsePoints
    from recon.models.outputs import GaussianTensors, NetworkOutput
    from recon.models.presets import Preset
    from recon.models.ready import ReadyModel

_FAILURES = (
    "the weights may be damaged or of another network, or half precision may have overflowed: "
    "try other weights, or the precision fp32"
)


def profile_of(preset: Preset) -> Profile:
    """What the network of `preset` can do; neither torch nor weights are needed to say."""
    needs = Needs(weights=True)
    features = preset.encoder.depth
    if preset.any_view is not None:
        nested = isinstance(preset.network, NestedConfig)
        abilities = Abilities(
            cameras=True,
            several_views=True,
            confidence=True,
            sky=nested,
            gaussians=preset.has_gaussians,
            features=features,
            metres="always" if nested else "never",
        )
        return Profile(preset.name, abilities, needs, Fit(), frozenset({NETWORK, ANY_VIEW}), _FAILURES)
    conventions = conventions_of(preset)
    abilities = Abilities(sky=conventions.sky, features=features, metres=conventions.metres)
    fit = Fit(conventions.process_res, conventions.process_res_method)
    return Profile(preset.name, abilities, needs, fit, frozenset({NETWORK}), _FAILURES)


@dataclass(frozen=True)
class NetworkEstimator:
    """A network with its weights."""

    ready: ReadyModel
    warnings: Sequence[str] = ()
    """What was warned of while it was made ready."""

    @property
    def profile(self) -> Profile:
        """By its preset."""
        return profile_of(self.ready.preset)

    @property
    def network(self) -> nn.Module:
        """Called as `recon.models.networks.AnyViewNetwork.forward`."""
        return self.ready.network

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        return self.ready.describe()

    def estimate(
        self,
        views: Views,
        cameras: Cameras,
        points: SparsePoints | None = None,
        wishes: Wishes = Wishes(),  # noqa: B008 (frozen)
        progress: TellPart | None = None,
    ) -> Prediction:
        """As `Estimator.estimate`; points are of no use to it."""
        if self.profile.abilities.several_views:
            return _predict_views(self.ready, views, cameras, wishes)
        return _predict_single_views(self.ready, views, cameras, wishes)


def _predict_views(model: ReadyModel, views: Views, cameras: Cameras, wishes: Wishes) -> Prediction:
    """Depth, cameras and whatever else was asked for, of N views of one scene.

    `cameras.world_to_camera` condition an any-view network together with `cameras.intrinsics`, those of the *processed*
    images. Extrinsics alone: a first pass predicts the intrinsics. Intrinsics alone: the network runs without cameras.
    Intrinsics that were given are returned exactly. The extrinsics are the predicted ones.
    """
    intrinsics = cameras.intrinsics
    if cameras.world_to_camera is not None and intrinsics is None:
        first_pass = _call(model, views, None, None, wishes, extras=False)
        if first_pass.intrinsics is None:
            raise ValueError("an any-view network must return intrinsics")
        intrinsics = _numpy(first_pass.intrinsics).astype(np.float64)
    extrinsics = None if cameras.world_to_camera is None else normalise_extrinsics(cameras.world_to_camera)
    # Intrinsics alone say nothing to an any-view network, but give a nested one its metres.
    conditions = extrinsics is not None or isinstance(model.preset.network, NestedConfig)
    output = _call(model, views, extrinsics, intrinsics if conditions else None, wishes)
    metric = output.scale_factor is not None and bool(output.scale_factor.isfinite()[0])
    prediction = _to_prediction(output, views, "metric" if metric else "relative", model.preset.name)
    if intrinsics is None:
        return prediction
    if prediction.gaussians is not None and prediction.intrinsics is not None:
        _warn_of_another_focal_length(prediction.intrinsics, intrinsics)
    return replace(prediction, intrinsics=intrinsics.astype(np.float32))


def _warn_of_another_focal_length(predicted: FloatArray, given: FloatArray) -> None:
    """The head places Gaussians by the predicted intrinsics; points of the depth map lie by the given ones."""
    off = float(np.abs(predicted[:, [0, 1], [0, 1]] / given[:, [0, 1], [0, 1]] - 1).max())
    if off > 1e-3:
        warn(
            f"Gaussians are placed by the predicted focal length, up to {off:.1%} off the given one that depth goes by"
        )


def _predict_single_views(model: ReadyModel, views: Views, cameras: Cameras, wishes: Wishes) -> Prediction:
    """Each view alone. Given cameras pass through; with intrinsics, a metric network's depth becomes metres."""
    metres = profile_of(model.preset).abilities.metres
    units: Units = "metric" if metres == "always" else "relative"
    name = model.preset.name
    prediction = _to_prediction(_call(model, views, None, None, wishes), views, units, name)
    if cameras.world_to_camera is not None:
        prediction = replace(prediction, extrinsics=to_3x4(cameras.world_to_camera).astype(np.float32))
    if cameras.intrinsics is not None:
        prediction = replace(prediction, intrinsics=cameras.intrinsics.astype(np.float32))
    if metres != "with focal":
        if cameras.world_to_camera is not None or cameras.intrinsics is not None:
            warn(f"{name} looks at each view alone: the given cameras are passed on, and depth is not in their scale")
        return prediction
    if cameras.intrinsics is None:
        warn(f"{name} gives metres only with intrinsics; without them its depth is relative")
        return prediction
    if cameras.world_to_camera is not None:
        warn(f"{name} gives metres: the given extrinsics are taken to be in metres too")
    factors = _metres_per_unit(cameras.intrinsics)  # (N,)
    depth = (prediction.depth * factors[:, None, None]).astype(np.float32)
    scale_factor = float(factors[0]) if np.allclose(factors, factors[0], rtol=1e-6) else None
    return replace(prediction, depth=depth, units="metric", scale_factor=scale_factor)


def _metres_per_unit(intrinsics: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each view's depth from a metric network is to be multiplied by, from the processed views' intrinsics."""
    import torch

    from recon.models.sky import metres_from_canonical

    ones = torch.ones(1, len(intrinsics), 1, 1, dtype=torch.float64)
    factors: NDArray[np.float64] = metres_from_canonical(ones, torch.from_numpy(intrinsics)[None])[0, :, 0, 0].numpy()
    return factors


def _call(
    model: ReadyModel,
    views: Views,
    extrinsics: NDArray[np.float64] | None,
    intrinsics: NDArray[np.float64] | None,
    wishes: Wishes,
    extras: bool = True,
) -> NetworkOutput:
    """One forward pass on a batch of one scene; `extras` are features and Gaussians."""
    import torch

    from recon.models.memory import reuse_freed_memory
    from recon.models.precision import resolve_precision

    device = model.device

    def batch(array: FloatArray | None) -> torch.Tensor | None:
        return None if array is None else torch.from_numpy(array.astype(np.float32, copy=False))[None].to(device)

    with torch.inference_mode(), reuse_freed_memory(device):
        output = model.network(
            batch(normalise(views.pixels)),
            extrinsics=batch(extrinsics),
            intrinsics=batch(intrinsics),
            feature_layers=wishes.features if extras else (),
            infer_gs=wishes.gaussians and extras,
            use_ray_pose=wishes.use_ray_pose,
            ref_view_strategy=wishes.ref_view_strategy,
            encoder_dtype=resolve_precision(model.precision, device),
            seed=wishes.seed,
        )
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return output


def _to_prediction(output: NetworkOutput, views: Views, units: Units, name: str) -> Prediction:
    from recon.models.single_view import SKY_THRESHOLD

    gaussians = None if output.gaussians is None else _to_gaussians(output.gaussians)
    return Prediction(
        depth=_numpy(output.depth),
        processed_images=views.pixels,
        conf=None if output.depth_conf is None else _numpy(output.depth_conf),
        sky=None if output.sky is None else _numpy(output.sky) >= SKY_THRESHOLD,
        extrinsics=None if output.extrinsics is None else _numpy(output.extrinsics)[:, :3],
        intrinsics=None if output.intrinsics is None else _numpy(output.intrinsics),
        gaussians=gaussians,
        gaussian_source=None if gaussians is None else "head",
        units=units,
        scale_factor=float(output.scale_factor[0]) if output.scale_factor is not None and units == "metric" else None,
        image_names=tuple(views.names),
        original_sizes=views.original_sizes,
        processed_to_original=views.processed_to_original,
        ref_view=None if output.ref_view is None else int(output.ref_view[0]),
        made_by=MadeBy("network", name),
        features={layer: _numpy(tensor) for layer, tensor in output.features.items()},
    )


def _to_gaussians(gaussians: GaussianTensors) -> Gaussians:
    return Gaussians(
        means=_numpy(gaussians.means),
        scales=_numpy(gaussians.scales),
        rotations=_numpy(gaussians.rotations),
        harmonics=_numpy(gaussians.harmonics),
        opacities=_numpy(gaussians.opacities),
    )


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    """The only scene of a batch, on the CPU, as float32."""
    array: NDArray[np.float32] = tensor[0].float().cpu().numpy()
    return array
