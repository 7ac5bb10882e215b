"""What depth of single photos can be told; apart, so that the command line starts without the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from recon.choices import (
    NETWORK,
    ONNX_FILE,
    DepthFile,
    FitOptions,
    FormatsOption,
    InputsOption,
    NetworkOptions,
    OnnxFileOptions,
    SeedOption,
    SourceOptions,
    SplatBudget,
)
from recon.errors import InputError
from recon.options import asked_in_vain, option


@dataclass(frozen=True, kw_only=True)
class MonoSettings(
    SeedOption, SplatBudget, NetworkOptions, OnnxFileOptions, FitOptions, SourceOptions, FormatsOption, InputsOption
):
    """Depth of unrelated photos, each on its own.

    Wrong values raise `InputError` naming the field.
    """

    model: str | None = option(
        None,
        help="Preset [that of the weights given, else da3mono-large]; with an ONNX file, the preset it holds where it "
        "does not say so itself.",
    )
    out: Path | None = option(None, help="Folder for the results, one folder for each photo in it [by the input].")
    depth_files: str = option(
        "png-npy",
        help="Depth at the photo's resolution: png (16 bit, scale in run.json), npy (float32), png-npy. Empty: none.",
    )
    focal: float | None = option(
        None,
        help="Focal length of all photos in pixels of the upright originals [by EXIF, else 60 degrees are assumed].",
        above=0,
    )
    cameras: Path | None = option(
        None, help="Intrinsics of each photo instead: .json by image name, or .npz in image order."
    )
    batch_size: int = option(1, help="Photos of one size that go through the network together.", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        known = get_args(DepthFile)
        for kind in self.depth_kinds:
            if kind not in known:
                raise InputError(f"depth_files must be {' or '.join(known)}, joined with '-', got {kind!r}")
        in_vain = asked_in_vain(self, (NETWORK,) if self.onnx is None else (ONNX_FILE,))
        for name, message in in_vain.items():
            if name != "gs_budget":  # which depends on the formats
                raise InputError(message)

    @property
    def depth_kinds(self) -> tuple[str, ...]:
        """Endings of the depth files."""
        return tuple(dict.fromkeys(self.depth_files.split("-"))) if self.depth_files else ()
