"""What users choose: names that several parts share, and the options that several commands and functions share.

Apart from the parts, so that the command line starts without them. Each class is one group of options; what a command
or a function takes is put together from these.
"""

from recon.choices.files import CleanChoices, ExportChoices, FormatKwargs, FormatsOption
from recon.choices.inference import InferenceOptions
from recon.choices.models import (
    DeviceOption,
    EstimatorOptions,
    NetworkOptions,
    OnnxFileOptions,
    SeedOption,
    WeightsOptions,
)
from recon.choices.run import RunOptions
from recon.choices.sources import (
    CameraOptions,
    FitOptions,
    FreshOption,
    InputsOption,
    MaskOptions,
    SourceOptions,
    StrictOption,
)
from recon.choices.splats import SplatBudget, SplatOptimisation
from recon.choices.words import (
    ANY_VIEW,
    DEPTH_SPLATS,
    FORMATS,
    NETWORK,
    ONNX_FILE,
    OPTIMISED_SPLATS,
    SPLATS,
    STEREO,
    DepthFile,
    Device,
    Engine,
    MixedSizes,
    OnnxNormalise,
    OutputKind,
    Precision,
    ProcessResMethod,
    Provider,
    RasterizerName,
    RefViewStrategy,
    SplatDensification,
    SplatResolution,
    SplatSource,
)

__all__ = [
    "ANY_VIEW",
    "DEPTH_SPLATS",
    "FORMATS",
    "NETWORK",
    "ONNX_FILE",
    "OPTIMISED_SPLATS",
    "SPLATS",
    "STEREO",
    "CameraOptions",
    "CleanChoices",
    "DepthFile",
    "Device",
    "DeviceOption",
    "Engine",
    "EstimatorOptions",
    "ExportChoices",
    "FitOptions",
    "FormatKwargs",
    "FormatsOption",
    "FreshOption",
    "InferenceOptions",
    "InputsOption",
    "MaskOptions",
    "MixedSizes",
    "NetworkOptions",
    "OnnxFileOptions",
    "OnnxNormalise",
    "OutputKind",
    "Precision",
    "ProcessResMethod",
    "Provider",
    "RasterizerName",
    "RefViewStrategy",
    "RunOptions",
    "SeedOption",
    "SourceOptions",
    "SplatBudget",
    "SplatDensification",
    "SplatOptimisation",
    "SplatResolution",
    "SplatSource",
    "StrictOption",
    "WeightsOptions",
]
