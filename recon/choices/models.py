"""What finds depth, and how it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.choices.words import (
    FORMATS,
    NETWORK,
    ONNX_FILE,
    STEREO,
    Device,
    Engine,
    OnnxNormalise,
    OutputKind,
    Precision,
    Provider,
)
from recon.errors import InputError
from recon.options import Options, option

MVS = "mvs"
MEASURED = "measured"
POINTS = "points"
"""Depth that no network gives: of multi-view stereo, what the input brings, and that of sparse points."""


@dataclass(frozen=True, kw_only=True)
class WeightsOptions(Options):
    """Weights."""

    weights: str = option(
        "official",
        help="'official', 'none' (random), a weights file, a checkpoint folder, or a hub id.",
        used_by=(NETWORK,),
        may_be_path=True,
        local=True,
    )
    revision: str | None = option(
        None, help="Branch, tag or commit of the hub repository.", used_by=(NETWORK,), local=True
    )
    commercial_only: bool = option(False, help="Refuse weights whose licence forbids commercial use.")


@dataclass(frozen=True, kw_only=True)
class DeviceOption(Options):
    """Network."""

    device: Device = option(
        "auto",
        help="Where depth is found and meshes are fused. auto: cuda, else mps, else cpu; meshes know no mps.",
        used_by=(NETWORK, STEREO, FORMATS),
        local=True,
    )


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(DeviceOption, WeightsOptions):
    """Network."""

    precision: Precision = option(
        "auto",
        help="Of the encoder; the rest is float32. auto: fp32 on CPU, bf16 or fp16 on CUDA.",
        used_by=(NETWORK,),
        local=True,
    )


@dataclass(frozen=True, kw_only=True)
class SeedOption(Options):
    """Random numbers."""

    seed: int = option(
        0, help="Of everything random: made-up weights, cameras, sampling of points.", least=0, most=2**63 - 1
    )


@dataclass(frozen=True, kw_only=True)
class OnnxFileOptions(Options):
    """ONNX file."""

    onnx: Path | None = option(
        None, help="ONNX file of a single-view network to run instead of a network in torch.", local=True
    )
    output_kind: OutputKind | None = option(
        None,
        help="What an ONNX file's output is, where neither the file nor its name says: depth or disparity.",
        used_by=(ONNX_FILE,),
        local=True,
    )
    onnx_normalise: OnnxNormalise | None = option(
        None,
        help="inside: the ONNX file normalises photos itself, from 0 to 1 (to 255 where its graph shows that); "
        "inside-255: from 0 to 255; outside: it does not [as the file says, else outside].",
        used_by=(ONNX_FILE,),
        local=True,
    )
    provider: Provider = option(
        "auto",
        help="Where an ONNX file runs. auto: cuda where onnxruntime has it, else cpu.",
        used_by=(ONNX_FILE,),
        local=True,
    )
    threads: int | None = option(
        None,
        help="Threads of an ONNX file on the CPU [all cores].",
        least=1,
        used_by=(ONNX_FILE,),
        local=True,
    )


@dataclass(frozen=True, kw_only=True)
class PriorOptions(Options):
    """Depth that is known."""

    depth_prior: tuple[str, ...] = option(
        (),
        help="Depth that is sure where it is, which that of the model is fitted to and completes: a folder of depth "
        "images named like the photos (PNG or TIFF of 16 bits, TIFF, EXR, .npy or .npz with depth along the camera's "
        "axis; 0 or NaN where there is none), 'measured' for the depth that the input brings, or 'points' for its "
        "sparse points, or those of structure from motion. May be given several times; the first counts most.",
        may_be_path=True,
        metavar="FOLDER",
    )
    depth_prior_unit: float | None = option(
        None,
        help="Metres of a value 1 in the depth images: 0.001 for millimetres [found by comparison].",
        above=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth_prior_unit is not None and not self.prior_folders:
            raise InputError("depth_prior_unit is for folders of depth_prior, and none is given")

    @property
    def prior_folders(self) -> tuple[Path, ...]:
        """Those of `depth_prior` that are folders."""
        return tuple(Path(one).expanduser() for one in self.depth_prior if one not in (MEASURED, POINTS))


@dataclass(frozen=True, kw_only=True)
class EstimatorOptions(NetworkOptions, OnnxFileOptions, SeedOption):
    """What finds depth."""

    model: str = option(
        "auto",
        help="Preset (`recon models` lists them), 'mvs' for multi-view stereo without weights, 'measured' for the "
        "depth that a capture with LiDAR brings, or auto: da3-large or another any-view preset whose weights are there "
        "or can be downloaded, else mvs. With an ONNX file, the preset it holds where it does not say so itself. "
        "With '+mvs' behind it ('da3-large+mvs', 'auto+mvs'), depth of stereo where that is sure, and that of the "
        "network, fitted to it, elsewhere; '+measured' and '+points' likewise.",
    )
    engine: Engine = option(
        "recon",
        help="'reference': the network of an installed depth-anything-3.",
        used_by=(NETWORK,),
        local=True,
    )
    fill: bool = option(
        False,
        help="With mvs: complete the pixels it finds no depth for from those around, at the lowest confidence.",
        used_by=(STEREO,),
    )
