"""`DepthAnything3`: the documented class, a thin façade over models and pipeline."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.estimate.network import NetworkEstimator
from recon.export import Overrides, formats_taking, overrides_by_name, parse_formats
from recon.models.checkpoints import save_checkpoint
from recon.models.memory import reuse_freed_memory
from recon.models.outputs import NetworkOutput
from recon.models.postprocess import finish
from recon.models.precision import resolve_precision
from recon.models.ready import OFFICIAL, ReadyModel, preset_of_checkpoint, ready_model
from recon.run.pipeline import reconstruct
from recon.sources.open_source import PhotoSource
from recon.types import Prediction


class DepthAnything3(nn.Module):
    """Depth, cameras and Gaussians from any number of photos, with a network of Depth Anything 3 (arXiv 2511.10647).

    `DepthAnything3("da3-large").to("cuda").inference(["a.jpg", "b.jpg"])`
    """

    def __init__(
        self,
        model_name: str = "da3-large",
        *,
        weights: str | os.PathLike[str] | None = OFFICIAL,
        seed: int = 0,
        precision: str = "auto",
        engine: str = "recon",
        revision: str | None = None,
        token: str | None = None,
        commercial_only: bool = False,
    ) -> None:
        """A model ready for use, on the CPU, in evaluation mode.

        Args:
            model_name: a preset; `recon models` lists them.
            weights: `official` (downloaded once), a hub id, a checkpoint folder, a `.safetensors` file, or None for
                random weights.
            seed: of random weights, of cameras from rays, and of the sampling of points.
            precision: of the encoder: `fp32`, `bf16`, `fp16`, or `auto` (fp32 on a CPU, half precision on CUDA).
            engine: `recon`, or `reference` for the network of an installed depth-anything-3.
            revision, token: branch, tag or commit, and access token, for the hub.
            commercial_only: refuse weights whose licence forbids commercial use.

        Raises:
            InputError: an argument that cannot be used, or a licence refused.
            CheckpointError: weights that cannot be found or do not fit.
        """
        super().__init__()
        ready = ready_model(
            model_name,
            weights=weights,
            seed=seed,
            precision=precision,
            engine=engine,
            revision=revision,
            token=token,
            commercial_only=commercial_only,
        )
        self.model_name = ready.preset.name
        self.model = ready.network
        self.seed = seed
        self._ready = ready
        self.eval()

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        seed: int = 0,
        precision: str = "auto",
        engine: str = "recon",
        revision: str | None = None,
        token: str | None = None,
        commercial_only: bool = False,
    ) -> DepthAnything3:
        """The model of a preset, a hub id (`depth-anything/DA3-LARGE-1.1`), a folder with `config.json` and
        `model.safetensors`, or a `.safetensors` file. Other arguments and errors as in the constructor.
        """
        model_name, weights = preset_of_checkpoint(name, revision=revision, token=token)
        return cls(
            model_name,
            weights=weights,
            seed=seed,
            precision=precision,
            engine=engine,
            revision=revision,
            token=token,
            commercial_only=commercial_only,
        )

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """Write `config.json` and `model.safetensors` with the official keys; `from_pretrained(folder)` reads them."""
        return save_checkpoint(self.model, self.model_name, folder)

    @property
    def device(self) -> torch.device:
        """Where the network is, and runs."""
        return self.ready.device

    @property
    def ready(self) -> ReadyModel:
        """The network with its preset and weights record."""
        return replace(self._ready, network=self.model)

    @property
    def estimator(self) -> NetworkEstimator:
        """The same as `recon.run.pipeline.reconstruct` takes it."""
        return NetworkEstimator(self.ready, self.ready.warnings)

    @torch.inference_mode()
    def forward(
        self,
        image: Tensor,
        extrinsics: Tensor | None = None,
        intrinsics: Tensor | None = None,
        export_feat_layers: Sequence[int] | None = None,
        infer_gs: bool = False,
        use_ray_pose: bool = False,
        ref_view_strategy: str = "saddle_balanced",
    ) -> dict[str, Any]:
        """The network alone: tensors in, tensors out; nothing is resized, aligned or written.

        Args:
            image: (B, N, 3, H, W) float32, ImageNet-normalised, sides multiples of 14, on the model's device.
            extrinsics, intrinsics: known cameras (B, N, 4, 4), normalised as the network was trained
                (`recon.geometry.cameras.normalise_extrinsics`), and (B, N, 3, 3) in pixels; both or neither.
            export_feat_layers: blocks whose features to return.
            infer_gs, use_ray_pose, ref_view_strategy: as in `inference`.

        Returns:
            `depth` (B, N, H, W), `aux` with `feat_layer_K` (B, N, h, w, C), and where the model has them `depth_conf`
            and `sky` (B, N, H, W), `extrinsics` (B, N, 3, 4), `intrinsics` (B, N, 3, 3), `gaussians`, `scale_factor`.
        """
        with reuse_freed_memory(image.device):
            output = self.model(
                image,
                extrinsics=extrinsics,
                intrinsics=intrinsics,
                feature_layers=() if export_feat_layers is None else tuple(export_feat_layers),
                infer_gs=infer_gs,
                use_ray_pose=use_ray_pose,
                ref_view_strategy=ref_view_strategy,
                encoder_dtype=resolve_precision(self._ready.precision, image.device),
                seed=self.seed,
            )
            output = finish(output, intrinsics if extrinsics is None else None)
        return _as_dict(output)

    def inference(
        self,
        image: PhotoSource,
        extrinsics: ArrayLike | None = None,
        intrinsics: ArrayLike | None = None,
        align_to_input_ext_scale: bool = True,
        infer_gs: bool = False,
        use_ray_pose: bool = False,
        ref_view_strategy: str = "saddle_balanced",
        render_exts: ArrayLike | None = None,
        render_ixts: ArrayLike | None = None,
        render_hw: tuple[int, int] | None = None,
        process_res: int = 504,
        process_res_method: str = "upper_bound_resize",
        export_dir: str | os.PathLike[str] | None = None,
        export_format: str = "mini_npz",
        export_feat_layers: Sequence[int] | None = None,
        conf_thresh_percentile: float = 40.0,
        num_max_points: int = 1_000_000,
        show_cameras: bool = True,
        feat_vis_fps: int = 15,
        export_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        gaussians: str = "auto",
        gs_budget: int | None = None,
        masks: str | os.PathLike[str] | None = None,
        invert_masks: bool = False,
        convention: str | None = None,
    ) -> Prediction:
        """Photos of one scene to a `Prediction`, and to files where `export_dir` is given.

        `recon.run.pipeline.reconstruct` takes the same, refuses bad or mixed photos on request, and returns timings.
        As in the official package, points are not cleaned and splats stay as they are made; `reconstruct` and `recon
        run` leave out flying pixels, and make splats look like the photos where cameras are known. The same is done to
        a prediction by `recon.refine.clean` and by `recon.refine.optimise_splats.optimise_splats`.

        Args:
            image: a path, a folder, an array, a Pillow image, or a sequence of those. Photos of different shapes are
                cropped to the smallest, with a warning.
            extrinsics: known cameras, (N, 4, 4) or (N, 3, 4) world-to-camera. Alone, intrinsics are predicted first.
            intrinsics: (N, 3, 3) in pixels of the original, upright images; returned for the processed images.
            align_to_input_ext_scale: bring depth to the scale of `extrinsics` and return these exactly (units
                `aligned`); otherwise they are moved into the model's frame and depth stays as it is.
            infer_gs: also return Gaussians when no format asks for them: those of the Gaussian head, unless `gaussians`
                is `depth`.
            use_ray_pose: take the cameras from the ray map instead of the camera token.
            ref_view_strategy: `first`, `middle`, `saddle_balanced` or `saddle_sim_range`.
            render_exts: cameras to render the Gaussian video from, (M, 4, 4) or (M, 3, 4) world-to-camera in the
                prediction's frame, instead of a path of its own.
            render_ixts: (M, 3, 3) in pixels of `render_hw`.
            render_hw: height and width of the video; those of the processed images by default.
            process_res: pixels of the side that `process_res_method` bounds.
            process_res_method: `upper_bound_resize`, `upper_bound_crop`, `lower_bound_resize` or `lower_bound_crop`.
            export_dir: folder for the files and `run.json`. Files that an earlier run lists in its `run.json` are
                replaced, or removed where this one does not write them; other formats of the same result stay.
            export_format: formats joined with `-`, of those in `recon.export.EXPORTERS`.
            export_feat_layers: encoder blocks whose features come back in `aux`.
            conf_thresh_percentile: percentage of least confident pixels that point clouds leave out. As in the official
                package, that is raised to those of a confidence below 1.05, and lowered to 90
                (`recon.export.points.PointOptions`).
            num_max_points: most points of a point cloud.
            show_cameras: draw the cameras into `scene.glb`.
            feat_vis_fps: frames per second of the feature videos.
            export_kwargs: `{format: {option: value}}`, over the above.
            gaussians: `head` (presets with a Gaussian head), `depth` (any), or `auto`: the head where there is one.
            gs_budget: most splats made from depth.
            masks: folder of pictures named like the photos, or one for all: black is left out.
            invert_masks: white is left out instead.
            convention: what `extrinsics` are: `c2w`, `opengl` or `c2w-opengl`; None: world-to-camera, OpenCV's axes.

        Raises:
            InputError: an argument or a photo that cannot be used; the message names it.
        """
        to_render = {"render_exts": render_exts, "render_ixts": render_ixts, "render_hw": render_hw}
        given = {name: value for name, value in to_render.items() if value is not None}
        formats = () if export_dir is None else parse_formats(export_format)
        for name in given:
            takers = formats_taking(name)
            if not set(takers) & set(formats):
                raise InputError(f"{name} is for the export format {' or '.join(takers)}, which is not asked for")
        options = InferenceOptions(
            conf_thresh_percentile=conf_thresh_percentile,
            align_to_input_ext_scale=align_to_input_ext_scale,
            infer_gs=infer_gs,
            use_ray_pose=use_ray_pose,
            ref_view_strategy=ref_view_strategy,  # type: ignore[arg-type]  # checked by the class
            process_res=process_res,
            process_res_method=process_res_method,  # type: ignore[arg-type]
            export_feat_layers=() if export_feat_layers is None else export_feat_layers,  # type: ignore[arg-type]
            num_max_points=num_max_points,
            show_cameras=show_cameras,
            feat_vis_fps=feat_vis_fps,
            gaussians=gaussians,  # type: ignore[arg-type]
            gs_budget=gs_budget,
            gs_iterations=0,
            clean=False,
            masks=None if masks is None else Path(masks),
            invert_masks=invert_masks,
            convention=convention,
            mixed_sizes="crop",
            window=0,
            device=self.device.type,  # type: ignore[arg-type]
            seed=self.seed,
        )
        result = reconstruct(
            self.estimator,
            image,
            extrinsics,
            intrinsics,
            options=options,
            export_dir=None if export_dir is None else Path(export_dir),
            export_format=export_format,
            export_kwargs=_over(overrides_by_name(given), export_kwargs or {}),
        )
        return result.prediction


def _over(defaults: Overrides, given: Overrides) -> dict[str, Mapping[str, Any]]:
    """`{format: {option: value}}` of `defaults`, and over it what is `given`."""
    merged = {**defaults, **given}
    for name, values in defaults.items():
        if isinstance(merged[name], Mapping):  # else it is refused when options are checked
            merged[name] = {**values, **merged[name]}
    return merged


def _as_dict(output: NetworkOutput) -> dict[str, Any]:
    """A network's output under the documented keys, without those it has no value for."""
    names = ("depth", "depth_conf", "sky", "extrinsics", "intrinsics", "gaussians", "scale_factor")
    found = {name: getattr(output, name) for name in names}
    aux = {f"feat_layer_{layer}": tensor for layer, tensor in output.features.items()}
    return {**{name: value for name, value in found.items() if value is not None}, "aux": aux}
