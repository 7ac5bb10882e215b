"""Names that several parts share: values of options, and the parts of a run that options are for."""

from __future__ import annotations

from typing import Literal

ProcessResMethod = Literal["upper_bound_resize", "upper_bound_crop", "lower_bound_resize", "lower_bound_crop"]
"""Which side `process_res` bounds, and how both sides become multiples of the patch; see `recon.sources.fitting`."""
MixedSizes = Literal["own", "crop", "error"]
"""What becomes of photos of different shapes."""
RasterizerName = Literal["auto", "cpu", "gsplat"]
"""What renders splats; see `recon.splats.rendering`."""
GpsUse = Literal["auto", "off"]
"""Whether the positions that EXIF says bring cameras that are found to metres."""
FeaturesName = Literal["sift", "aliked"]
"""What photos are matched by, to find their cameras; see `recon.sfm.feature_kinds`."""
OutputKind = Literal["depth", "disparity"]
"""What a network's map holds: `depth` (near is small) or `disparity` (near is large, zero is infinitely far)."""
OnnxNormalise = Literal["outside", "inside", "inside-255"]
"""Where photos are normalised for an ONNX file: by this program, or by the file itself, which then takes RGB from 0 to
1 (to 255 where its graph shows that), or from 0 to 255; see `recon.models.onnx.model_info`."""
Provider = Literal["auto", "cpu", "cuda", "coreml", "tensorrt"]
"""Where an ONNX file runs; see `recon.models.onnx.session`."""
DepthFile = Literal["png", "npy"]
"""Files of depth at the resolution of a photo; see `recon.export.photo_depth`."""
RefViewStrategy = Literal["first", "middle", "saddle_balanced", "saddle_sim_range"]
"""How a network of several views chooses its reference view."""
Engine = Literal["recon", "reference"]
"""Whose network runs: the one here, or that of an installed depth-anything-3."""
Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""Number format of a network's encoder."""
Device = Literal["auto", "cpu", "cuda", "mps"]
"""Where a network or multi-view stereo runs."""
SplatSource = Literal["auto", "head", "depth"]
"""Where splats come from: a network's Gaussian head, or the depth."""

SplatResolution = Literal["process", "full"]
"""Size of the photos that splats are fitted to: that of the depth, or their own."""

SplatDensification = Literal["auto", "mcmc", "none"]
"""How splats become more while they are optimised; see `recon.refine.optimisation.densification`."""

NETWORK = "a network in torch"
ANY_VIEW = "a network that sees several views together"
ONNX_FILE = "an ONNX file"
STEREO = "multi-view stereo"
SPLATS = "splats"
DEPTH_SPLATS = "splats from depth"
OPTIMISED_SPLATS = "splats optimised to look like the photos"
"""Parts of a run that some options are for."""
FORMATS = "export formats"
"""Stands for the export formats that take the option, as their own options say (`recon.options.like`)."""
CLEANING_FILTERS = {
    "edges": "at depth edges",
    "agreement": "that other views look through",
    "outliers": "far from all others",
    "crop": "outside the crop",
}
"""What each filter of the cleaning takes, by its name in `run.json`."""
