"""Torch networks of every family as estimators: views in, a `Prediction` in the network's own frame out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recon.choices import ANY_VIEW, NETWORK
from recon.estimate.estimator import Abilities, Fit, Needs, Profile, Wishes
from recon.estimate.single_view import SingleViewMaps, single_view_prediction
from recon.geometry.cameras import normalise_extrinsics
from recon.geometry.gaussians import move_with_intrinsics
from recon.models.conventions import conventions_of
from recon.models.presets import NestedConfig
from recon.models.single_view import SKY_THRESHOLD
from recon.models.view_memory import bytes_per_pixel
from recon.progress import TellPart
from recon.sources.fitting import Views, normalise
from recon.types import FloatArray, Gaussians, MadeBy, Prediction, Units

if TYPE_CHECKING:
    import torch
    from torch import nn

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
        return Profile(
            preset.name,
            "network",
            abilities,
            needs,
            Fit(),
            frozenset({NETWORK, ANY_VIEW}),
            _FAILURES,
            bytes_per_pixel=bytes_per_pixel(preset.encoder.dim),
        )
    conventions = conventions_of(preset)
    abilities = Abilities(sky=conventions.sky, features=features, metres=conventions.metres)
    fit = Fit(conventions.process_res, conventions.process_res_method)
    kind = conventions.output_kind
    return Profile(preset.name, "network", abilities, needs, fit, frozenset({NETWORK}), _FAILURES, output_kind=kind)


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

    def prepare(self) -> None:
        """Nothing: a network is ready."""

    def describe(self) -> dict[str, Any]:
        """For `run.json`."""
        return self.ready.describe()

    def estimate(
        self,
        views: Views,
        wishes: Wishes = Wishes(),
        progress: TellPart | None = None,
    ) -> Prediction:
        """As `Estimator.estimate`."""
        if self.profile.abilities.several_views:
            return _predict_views(self.ready, views, wishes)
        return _predict_single_views(self.ready, views, wishes)


def _predict_views(model: ReadyModel, views: Views, wishes: Wishes) -> Prediction:
    """Depth, cameras and whatever else was asked for, of N views of one scene.

    Known extrinsics condition an any-view network together with intrinsics. Extrinsics alone: a first pass predicts the
    intrinsics. Intrinsics alone: the network runs without cameras. Intrinsics that were given are returned exactly. The
    extrinsics are the predicted ones.
    """
    from recon.models.postprocess import finish

    cameras, intrinsics = views.cameras, views.cameras.intrinsics
    if cameras.world_to_camera is not None and intrinsics is None:
        first_pass = _call(model, views, None, None, wishes, extras=False)
        if first_pass.intrinsics is None:
            raise ValueError("an any-view network must return intrinsics")
        intrinsics = _numpy(first_pass.intrinsics).astype(np.float64)
    extrinsics = None if cameras.world_to_camera is None else normalise_extrinsics(cameras.world_to_camera)
    posed = extrinsics is not None
    output = _call(model, views, extrinsics, intrinsics if posed else None, wishes)
    # Intrinsics alone say nothing to an any-view network, but give a nested one its metres.
    output = finish(output, None if posed or intrinsics is None else _batch(intrinsics, model.device))
    metric = output.scale_factor is not None and bool(output.scale_factor.isfinite()[0])
    prediction = _to_prediction(output, views, "metric" if metric else "relative", model.preset.name)
    if intrinsics is None:
        return prediction
    gaussians = prediction.gaussians
    if gaussians is not None and prediction.intrinsics is not None and prediction.extrinsics is not None:
        # The head placed them by the predicted intrinsics; the points of the depth map lie by the given ones.
        gaussians = move_with_intrinsics(gaussians, prediction.extrinsics, prediction.intrinsics, intrinsics)
    return replace(prediction, intrinsics=intrinsics.astype(np.float32), gaussians=gaussians)


def _predict_single_views(model: ReadyModel, views: Views, wishes: Wishes) -> Prediction:
    """Each view alone."""
    output = _call(model, views, None, None, wishes)
    values = output.depth if output.disparity is None else output.disparity
    assert values is not None
    maps = SingleViewMaps(
        values=_numpy(values),
        sky_score=None if output.sky is None else _numpy(output.sky),
        features={layer: _numpy(tensor) for layer, tensor in output.features.items()},
    )
    made_by = MadeBy("network", model.preset.name)
    return single_view_prediction(maps, made_by, conventions_of(model.preset), views)


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
    from recon.models.precision import convolutions_as_precise_as, resolve_precision

    device = model.device
    dtype = resolve_precision(model.precision, device)
    with torch.inference_mode(), reuse_freed_memory(device), convolutions_as_precise_as(dtype):
        output = model.network(
            _batch(normalise(views.pixels), device),
            extrinsics=None if extrinsics is None else _batch(extrinsics, device),
            intrinsics=None if intrinsics is None else _batch(intrinsics, device),
            feature_layers=wishes.features if extras else (),
            infer_gs=wishes.gaussians and extras,
            use_ray_pose=wishes.use_ray_pose,
            ref_view_strategy=wishes.ref_view_strategy,
            encoder_dtype=dtype,
            seed=wishes.seed,
        )
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return output


def _to_prediction(output: NetworkOutput, views: Views, units: Units, name: str) -> Prediction:
    assert output.depth is not None
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


def _batch(array: FloatArray, device: torch.device) -> torch.Tensor:
    """A batch of this one scene, as float32."""
    import torch

    return torch.from_numpy(array.astype(np.float32, copy=False))[None].to(device)


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    """The only scene of a batch, on the CPU, as float32."""
    array: NDArray[np.float32] = tensor[0].float().cpu().numpy()
    return array
