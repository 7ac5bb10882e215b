"""The network of an installed `depth-anything-3` behind the same call as our own.

For parity tests, benchmarks, and users who doubt our network. Only that package's network is used, none of its input,
output or export code, and its quirks at the edge are taken out: half precision happens only where asked for, its random
draws are seeded, it prints nothing, and its features and Gaussians are in the order, frame and scale of its depth and
cameras.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recon.errors import InputError
from recon.models.outputs import GaussianTensors, NetworkOutput
from recon.models.presets import Preset
from recon.models.reference_view import MIN_VIEWS, order_with_first, take_views

INSTALL = (
    "pip install --no-deps depth-anything-3==0.1.1 && pip install 'recon[reference]' "
    "(--no-deps because it asks for numpy<2 and CUDA builds that its network does not need)"
)
_POSE_SCALE_RANGE = (1 / 3, 3.0)


class ReferenceNetwork(nn.Module):
    """The reference's network of a preset, with untrained weights. Its state dict has the official keys."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self._network: Any
        self._cross_view_from = preset.encoder.cross_view_from
        network = _create(preset.name)
        # Not a submodule, whose name would come before every key: only its children are.
        object.__setattr__(self, "_network", network)
        for name, child in network.named_children():
            self.add_module(name, child)
        self.eval()

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
        """As `recon.models.networks.AnyViewNetwork.forward`, with sky and metres as the reference makes them."""
        layers = sorted(set(feature_layers))  # the reference labels features by their place in an ascending list
        chooses = self._cross_view_from is not None and extrinsics is None and images.shape[1] >= MIN_VIEWS
        on_accelerator = [images.device] if images.device.type != "cpu" else []
        autocast = torch.autocast(images.device.type, encoder_dtype, enabled=encoder_dtype != torch.float32)
        rng = torch.random.fork_rng(on_accelerator, device_type=images.device.type)
        with rng, torch.no_grad(), autocast, _quiet(), self._class_tokens_before_choice(images.shape[1]) as tokens:
            torch.manual_seed(seed)
            output = self._network(
                images,
                extrinsics,
                intrinsics,
                export_feat_layers=layers,
                infer_gs=infer_gs,
                use_ray_pose=use_ray_pose,
                ref_view_strategy=ref_view_strategy,
            )
        result = _to_network_output(output, extrinsics, infer_gs)
        if not chooses:
            return result
        # Its own choice, made again: ours breaks ties differently.
        from depth_anything_3.model.reference_view_selector import select_reference_view

        ref_view = select_reference_view(tokens[0][:, :, None], ref_view_strategy)
        return replace(result, ref_view=ref_view, features=self._in_input_order(result.features, ref_view))

    @contextlib.contextmanager
    def _class_tokens_before_choice(self, views: int) -> Iterator[list[Tensor]]:
        """A list that receives the class tokens (B, V, C) from which the reference view is chosen, where it is."""
        tokens: list[Tensor] = []
        if self._cross_view_from is None:
            yield tokens
            return
        any_view = getattr(self._network, "da3", self._network)
        block = any_view.backbone.pretrained.blocks[self._cross_view_from - 2]

        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            tokens.append(output[:, 0].unflatten(0, (-1, views)))

        hook = block.register_forward_hook(keep)
        try:
            yield tokens
        finally:
            hook.remove()

    def _in_input_order(self, features: dict[int, Tensor], ref_view: Tensor) -> dict[int, Tensor]:
        """Features with the views as they were given: the reference leaves its choice first, from where it is made."""
        assert self._cross_view_from is not None
        original = {}
        for layer, tensor in features.items():
            order = order_with_first(ref_view, tensor.shape[1]).argsort(dim=1)
            original[layer] = take_views(tensor, order) if layer >= self._cross_view_from - 1 else tensor
        return original


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the reference from printing information on every call."""
    from depth_anything_3.utils.logger import logger

    level, logger.level = logger.level, 0
    try:
        yield
    finally:
        logger.level = level


def _create(preset_name: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it depends on, about itself
            import depth_anything_3
            from depth_anything_3.cfg import create_object, load_config
    except ImportError as error:
        raise InputError(f"the engine 'reference' cannot import {error.name}: {INSTALL}") from error
    config = Path(depth_anything_3.__path__[0]) / "configs" / f"{preset_name}.yaml"
    try:
        with _quiet():
            return create_object(load_config(str(config)))
    except ImportError as error:
        raise InputError(f"the engine 'reference' cannot import {error.name}: {INSTALL}") from error


def _to_network_output(output: Any, given_extrinsics: Tensor | None, infer_gs: bool) -> NetworkOutput:
    """The reference's dictionary, which makes up empty values for keys it lacks, as our output."""
    scenes = len(output["depth"])
    scale = output.get("scale_factor")
    extrinsics = output["extrinsics"][:, :, :3] if "extrinsics" in output else None
    gaussians = None
    if infer_gs and "gaussians" in output and extrinsics is not None:
        gaussians = _in_own_frame(output["gaussians"], extrinsics, given_extrinsics, scale or 1.0)
    depth: Tensor = output["depth"]
    return NetworkOutput(
        depth=depth,
        depth_conf=output.get("depth_conf"),
        sky=output.get("sky"),
        extrinsics=extrinsics,
        intrinsics=output.get("intrinsics"),
        gaussians=gaussians,
        features={int(key.removeprefix("feat_layer_")): value for key, value in output["aux"].items()},
        scale_factor=None if scale is None else depth.new_full((scenes,), scale),
    )


def _in_own_frame(gaussians: Any, extrinsics: Tensor, given: Tensor | None, metric_scale: float) -> GaussianTensors:
    """Gaussians in the frame and scale of the output's depth and cameras.

    Given cameras, the reference multiplies its Gaussians by the scale between them and its own; and it leaves them as
    they are where the nested network brings everything else to metres.
    """
    factor = torch.full((len(extrinsics), 1, 1), metric_scale, device=extrinsics.device)
    if given is not None:
        from depth_anything_3.utils.pose_align import batch_align_poses_umeyama

        unscaled = torch.cat([extrinsics[..., :3], extrinsics[..., 3:] / metric_scale], dim=-1).float()
        try:
            _, _, applied = batch_align_poses_umeyama(given.float(), unscaled)
        except Exception:  # the reference goes on at scale 1, whatever its alignment trips over
            applied = torch.ones(len(extrinsics), device=extrinsics.device)
        factor = factor / applied.clamp(*_POSE_SCALE_RANGE)[:, None, None]
    return GaussianTensors(
        means=gaussians.means * factor,
        scales=gaussians.scales * factor,
        rotations=gaussians.rotations,
        harmonics=gaussians.harmonics,
        opacities=gaussians.opacities,
    )
