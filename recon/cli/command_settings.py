"""Settings of the commands beside `recon run` and `recon mono`: one dataclass for each."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro

from recon.eval.eval_options import EvalOptions
from recon.models.onnx.options import OnnxOptions
from recon.options import ExportChoices


@dataclass(frozen=True)
class _ReexportSettings:
    """What `recon export` needs besides the choices."""

    result: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RESULT.npz")]
    """exports/npz/results.npz of a run."""
    to: str
    """Formats, joined with '-': mini_npz, npz, glb, ply, depth_vis, feat_vis, gs_ply, spz, gs_video."""
    export_kwargs: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Further option of a format, as FORMAT.OPTION=VALUE: glb.camera_size=0.05; may be given several times."""
    out: Path | None = None
    """Folder for the files [the folder of the run]."""
    verbose: bool = False
    """Show the traceback of an unexpected error."""


@dataclass(frozen=True)
class DemoSettings:
    """Reconstruct a sample scene from its photos alone and compare it with the truth: no weights, no network."""

    scene: str | None = None
    """Which of the sample scenes [the first]."""
    out: Path | None = None
    """Folder for the results [outputs/demo/SCENE]."""
    verbose: bool = False
    """Show the traceback of an unexpected error."""


@dataclass(frozen=True)
class _ComparisonSettings:
    """What `recon eval` needs besides the options."""

    paths: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH...")]
    """Results of runs, compared side by side; with --model, scenes with ground truth."""
    truth: Path | None = None
    """Folder of the scene's ground truth [the one that the photos of the first run lie in]."""
    model: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Run this model on each scene first; may be given several times, to compare."""
    cameras: str | None = None
    """With --model: 'sfm', or a file, as for `recon run`."""
    weights: str = "official"
    """With --model: as for `recon run`."""
    out: Path = Path("outputs/eval")
    """Folder for eval.json, and with --model for the results."""
    verbose: bool = False
    """Show the traceback of an unexpected error."""


@dataclass(frozen=True)
class EvalSettings(EvalOptions, _ComparisonSettings):
    """Compare results with ground truth: cameras, depth, surface, novel views."""

    def options(self) -> EvalOptions:
        """How to compare."""
        return EvalOptions(**{f.name: getattr(self, f.name) for f in fields(EvalOptions)})


@dataclass(frozen=True)
class _OnnxFileSettings:
    """What `recon export-onnx` needs besides the options."""

    model: str
    """Preset (`recon models` lists them)."""
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    """ONNX file to write. Weights above 2 GB go beside it, into a file with .data after the name."""
    weights: str = "official"
    """'official', 'none' (random), a .safetensors file, a checkpoint folder, or a hub id."""
    seed: int = 0
    """Of random weights."""
    revision: str | None = None
    """Branch, tag or commit of the hub repository."""
    commercial_only: bool = False
    """Refuse weights whose licence forbids commercial use."""
    verbose: bool = False
    """Show the traceback of an unexpected error."""


@dataclass(frozen=True)
class OnnxExportSettings(OnnxOptions, _OnnxFileSettings):
    """Write a network as an ONNX file, checked against torch; `recon mono --onnx` runs those of single photos."""

    def options(self) -> OnnxOptions:
        """What kind of file."""
        return OnnxOptions(**{f.name: getattr(self, f.name) for f in fields(OnnxOptions)})


# The last base comes first in the field order: what to work on and where to put it, then how.
@dataclass(frozen=True)
class ExportSettings(ExportChoices, _ReexportSettings):
    """Export a result again, without a model."""


@dataclass(frozen=True)
class ModelsSettings:
    """List the presets: parameters, abilities, licence, and whether the weights are on this machine."""
