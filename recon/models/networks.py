"""The networks: any-view, single-view and nested of Depth Anything 3 (arXiv 2511.10647), monocular of 2 and 1.

All are called alike; see `AnyViewNetwork.forward`. They return what they compute and nothing else: see
`recon.models.postprocess` for sky and metres. Module names are those of the official checkpoints.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recon.errors import InputError
from recon.models.camera_tokens import CameraDecoder, CameraEncoder
from recon.models.encoder import Encoder, EncoderOutput
from recon.models.gaussian_adapter import GaussianAdapter
from recon.models.heads import DepthAndRays, DualDPT, GaussianDPT, MapDPT, SkyDPT
from recon.models.outputs import GaussianTensors, NetworkOutput
from recon.models.presets import (
    PATCH_SIZE,
    AnyViewConfig,
    EncoderConfig,
    MonocularConfig,
    NestedConfig,
    SingleViewConfig,
)
from recon.models.ray_camera import cameras_from_rays


def encode(
    encoder: Encoder,
    images: Tensor,
    camera_tokens: Tensor | None,
    feature_layers: Sequence[int],
    ref_view_strategy: str,
    dtype: torch.dtype,
) -> EncoderOutput:
    """Run the encoder with its matrix products in `dtype`; its output is float32."""
    autocast = (
        contextlib.nullcontext()
        if dtype == torch.float32
        else torch.autocast(device_type=images.device.type, dtype=dtype)
    )
    with autocast:
        encoded = encoder(images, camera_tokens, feature_layers, ref_view_strategy)
    return EncoderOutput(
        [tokens.float() for tokens in encoded.patch_tokens],
        encoded.camera_tokens.float(),
        {layer: tokens.float() for layer, tokens in encoded.features.items()},
        encoded.ref_view,
    )


class Backbone(nn.Module):
    """Holds the encoder under the name that checkpoints have for it."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.pretrained = Encoder(config)


@dataclasses.dataclass(frozen=True)
class AnyViewMaps:
    """What an any-view network computes before cameras are made of it."""

    layers: list[Tensor]
    """Patch tokens (B · V, P, F) that the heads read."""
    maps: DepthAndRays
    """Of B · V views."""
    camera_tokens: Tensor
    """(B, V, F)"""
    features: dict[int, Tensor]
    """(B, V, h, w, C) of each layer asked for."""
    ref_view: Tensor | None
    """(B,) index of the reference view; None where none was chosen."""


class AnyViewNetwork(nn.Module):
    """Depth, confidence and cameras of any number of views; Gaussians where the preset has the head for them."""

    def __init__(self, config: AnyViewConfig) -> None:
        super().__init__()
        dim = config.encoder.dim
        self.backbone = Backbone(config.encoder)
        self.head = DualDPT(2 * dim, config.head)
        self.cam_enc = CameraEncoder(dim)
        self.cam_dec = CameraDecoder(2 * dim)
        self.gs_head: GaussianDPT | None = None
        if config.gaussian_sh_degree is not None:
            self.gs_adapter = GaussianAdapter(config.gaussian_sh_degree)
            self.gs_head = GaussianDPT(2 * dim, config.head, self.gs_adapter.parameters_per_gaussian)

    def forward(
        self,
        images: Tensor,
        extrinsics: Tensor | None = None,
        intrinsics: Tensor | None = None,
        *,
        feature_layers: Sequence[int] = (),
        infer_gs: bool = False,
        use_ray_pose: bool = False,
        ref_view_strategy: str = "saddle_balanced",
        encoder_dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> NetworkOutput:
        """Predict B scenes of V views.

        Args:
            images: (B, V, 3, H, W) float32, ImageNet-normalised, sides multiples of 14.
            extrinsics, intrinsics: known cameras (B, V, 4, 4) and (B, V, 3, 3), both or neither.
            feature_layers: blocks whose tokens to return.
            infer_gs: run the Gaussian head.
            use_ray_pose: take the cameras from the ray branch instead of the camera token.
            ref_view_strategy: one of `REF_VIEW_STRATEGIES`; without known cameras and from three views on.
            encoder_dtype: of the encoder's matrix products.
            seed: of the ray branch's random samples.
        """
        computed = self.compute(
            images,
            extrinsics,
            intrinsics,
            feature_layers=feature_layers,
            with_rays=use_ray_pose,
            ref_view_strategy=ref_view_strategy,
            encoder_dtype=encoder_dtype,
        )
        views, (height, width), maps = images.shape[:2], images.shape[-2:], computed.maps
        depth = maps.depth.unflatten(0, views)
        if maps.rays is not None and maps.ray_conf is not None:
            rays, ray_conf = maps.rays.unflatten(0, views), maps.ray_conf.unflatten(0, views)
            predicted_extrinsics, predicted_intrinsics = cameras_from_rays(rays, ray_conf, height, width, seed)
        else:
            predicted_extrinsics, predicted_intrinsics = self.cam_dec(computed.camera_tokens, height, width)

        gaussians = None
        if infer_gs:
            gaussians = self._gaussians(computed.layers, images, depth, predicted_extrinsics, predicted_intrinsics)
        return NetworkOutput(
            depth=depth,
            depth_conf=maps.depth_conf.unflatten(0, views),
            extrinsics=predicted_extrinsics,
            intrinsics=predicted_intrinsics,
            gaussians=gaussians,
            features=computed.features,
            ref_view=computed.ref_view,
        )

    def compute(
        self,
        images: Tensor,
        extrinsics: Tensor | None = None,
        intrinsics: Tensor | None = None,
        *,
        feature_layers: Sequence[int] = (),
        with_rays: bool = False,
        ref_view_strategy: str = "saddle_balanced",
        encoder_dtype: torch.dtype = torch.float32,
    ) -> AnyViewMaps:
        """The maps and camera tokens that `forward` makes its cameras of; arguments as there. Training reads these."""
        _check_images(images)
        if (extrinsics is None) != (intrinsics is None):
            raise InputError("an any-view network takes extrinsics and intrinsics together, or neither")
        height, width = images.shape[-2:]
        camera_tokens = None
        if extrinsics is not None and intrinsics is not None:
            camera_tokens = self.cam_enc(extrinsics, intrinsics, height, width)
        encoder = self.backbone.pretrained
        encoded = encode(encoder, images, camera_tokens, feature_layers, ref_view_strategy, encoder_dtype)
        layers = [tokens.flatten(0, 1) for tokens in encoded.patch_tokens]  # (B * V, P, F)
        maps = self.head(layers, height // PATCH_SIZE, width // PATCH_SIZE, with_rays=with_rays)
        return AnyViewMaps(layers, maps, encoded.camera_tokens, encoded.features, encoded.ref_view)

    def _gaussians(
        self, layers: Sequence[Tensor], images: Tensor, depth: Tensor, extrinsics: Tensor, intrinsics: Tensor
    ) -> GaussianTensors:
        if self.gs_head is None:
            raise InputError("this model has no Gaussian head; da3-giant and da3nested-giant-large have one")
        rows, columns = images.shape[-2] // PATCH_SIZE, images.shape[-1] // PATCH_SIZE
        raw, opacity = self.gs_head(layers, images.flatten(0, 1), rows, columns)
        views = images.shape[:2]
        return self.gs_adapter(raw.unflatten(0, views), opacity.unflatten(0, views), depth, extrinsics, intrinsics)


class SingleViewNetwork(nn.Module):
    """Depth and sky of single views: the views of a scene do not learn of each other."""

    def __init__(self, config: SingleViewConfig) -> None:
        super().__init__()
        self.backbone = Backbone(config.encoder)
        self.head = SkyDPT(config.encoder.dim, config.head)

    def forward(
        self,
        images: Tensor,
        extrinsics: Tensor | None = None,
        intrinsics: Tensor | None = None,
        *,
        feature_layers: Sequence[int] = (),
        infer_gs: bool = False,
        use_ray_pose: bool = False,
        ref_view_strategy: str = "saddle_balanced",
        encoder_dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> NetworkOutput:
        """As `AnyViewNetwork.forward`; there are no cameras to give or get, and no reference view."""
        if extrinsics is not None or intrinsics is not None or infer_gs or use_ray_pose:
            raise InputError("a single-view model takes no cameras and gives neither cameras nor Gaussians")
        _check_images(images)
        rows, columns = images.shape[-2] // PATCH_SIZE, images.shape[-1] // PATCH_SIZE
        encoder = self.backbone.pretrained
        encoded = encode(encoder, images, None, feature_layers, ref_view_strategy, encoder_dtype)
        layers = [tokens.flatten(0, 1) for tokens in encoded.patch_tokens]
        depth, sky = (maps.unflatten(0, images.shape[:2]) for maps in self.head(layers, rows, columns))
        return NetworkOutput(depth=depth, sky=sky, features=encoded.features)


class NestedNetwork(nn.Module):
    """An any-view network beside a single-view metric one, which knows its metres and its sky."""

    def __init__(self, config: NestedConfig) -> None:
        super().__init__()
        self.da3 = AnyViewNetwork(config.any_view)
        self.da3_metric = SingleViewNetwork(config.metric)

    def forward(
        self,
        images: Tensor,
        extrinsics: Tensor | None = None,
        intrinsics: Tensor | None = None,
        *,
        feature_layers: Sequence[int] = (),
        infer_gs: bool = False,
        use_ray_pose: bool = False,
        ref_view_strategy: str = "saddle_balanced",
        encoder_dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> NetworkOutput:
        """As `AnyViewNetwork.forward`, with the output of the metric network in `metric`.

        Intrinsics without extrinsics do not condition the prediction (they may give its metres: see `finish`).
        """
        relative = self.da3(
            images,
            extrinsics,
            None if extrinsics is None else intrinsics,
            feature_layers=feature_layers,
            infer_gs=infer_gs,
            use_ray_pose=use_ray_pose,
            ref_view_strategy=ref_view_strategy,
            encoder_dtype=encoder_dtype,
            seed=seed,
        )
        return dataclasses.replace(relative, metric=self.da3_metric(images, encoder_dtype=encoder_dtype))


class MonocularNetwork(nn.Module):
    """Depth Anything 2 (arXiv 2406.09414) and 1 (arXiv 2401.10891): disparity of single views, or depth in metres."""

    def __init__(self, config: MonocularConfig) -> None:
        super().__init__()
        self.max_depth = config.max_depth
        self.pretrained = Encoder(config.encoder)
        self.depth_head = MapDPT(config.encoder.dim, config.head)

    def forward(
        self,
        images: Tensor,
        extrinsics: Tensor | None = None,
        intrinsics: Tensor | None = None,
        *,
        feature_layers: Sequence[int] = (),
        infer_gs: bool = False,
        use_ray_pose: bool = False,
        ref_view_strategy: str = "saddle_balanced",
        encoder_dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> NetworkOutput:
        """As `SingleViewNetwork.forward`, without sky."""
        if extrinsics is not None or intrinsics is not None or infer_gs or use_ray_pose:
            raise InputError("a single-view model takes no cameras and gives neither cameras nor Gaussians")
        _check_images(images)
        rows, columns = images.shape[-2] // PATCH_SIZE, images.shape[-1] // PATCH_SIZE
        encoded = encode(self.pretrained, images, None, feature_layers, ref_view_strategy, encoder_dtype)
        layers = [tokens.flatten(0, 1) for tokens in encoded.patch_tokens]
        values = self.depth_head(layers, rows, columns).unflatten(0, images.shape[:2])
        if self.max_depth is not None:
            return NetworkOutput(depth=self.max_depth * values.sigmoid(), features=encoded.features)
        return NetworkOutput(disparity=values.relu(), features=encoded.features)


Network = AnyViewNetwork | SingleViewNetwork | NestedNetwork | MonocularNetwork


def _check_images(images: Tensor) -> None:
    if images.ndim != 5 or images.shape[2] != 3 or images.shape[-2] % PATCH_SIZE or images.shape[-1] % PATCH_SIZE:
        raise InputError(
            f"images must have shape (B, V, 3, H, W) with H and W multiples of {PATCH_SIZE}, got {tuple(images.shape)}"
        )
