"""The types of what `run.json` says; what each key means is in `recon.run.record`.

A key that is marked as not required is there only where it applies. Further keys may come with later versions.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

from recon.errors import InputError

Matrix = list[list[float]]


class MadeByFacts(TypedDict):
    """`made_by` of `quality`."""

    kind: Literal["network", "onnx", "stereo", "measured", "fused"]
    name: str
    parts: NotRequired[list[Mapping[str, Any]]]


class QualityFacts(TypedDict):
    """`quality`."""

    made_by: MadeByFacts | None
    made_by_shares: NotRequired[list[float] | None]
    valid: float
    filled: float | None
    sky: float | None
    masked: float | None
    depth_difference: float | None
    depth_agreeing: float | None
    depth_confirmed: float | None
    reprojection_error: float | None
    camera_degrees: float | None
    camera_distance: float | None
    weak_cameras: list[str]
    views_apart: list[str]


class CleaningFacts(TypedDict):
    """`cleaning`."""

    points: int
    removed: dict[str, int]
    tolerance: float | None


class CameraFacts(TypedDict):
    """`camera` of an image."""

    world_to_camera: NotRequired[Matrix]
    origin: NotRequired[str | None]
    intrinsics: NotRequired[Matrix]
    distortion: NotRequired[list[float]]
    photo_change: NotRequired[Mapping[str, Any]]


class ImageFacts(TypedDict):
    """One of `images`."""

    name: str | None
    path: str | None
    original_size: list[int] | None
    processed_size: list[int]
    processed_to_original: Matrix | None
    photo_box: list[int] | None
    valid: float
    masked: float | None
    camera: CameraFacts


class FileFacts(TypedDict):
    """A file that was written."""

    path: str
    bytes: int


class ExportFacts(TypedDict):
    """One of `exports`."""

    files: list[FileFacts]
    details: dict[str, Any]
    seconds: float
    source: NotRequired[str]
    options: NotRequired[dict[str, Any]]
    warnings: NotRequired[list[str]]


class GaussiansFacts(TypedDict):
    """`gaussians`."""

    source: Literal["head", "depth", "optimised"]
    count: int


class DroppedFacts(TypedDict):
    """One of `dropped_images`."""

    name: str
    reason: str


class CamerasFacts(TypedDict):
    """`cameras`."""

    extrinsics: str | None
    intrinsics: str | None
    sfm: NotRequired[dict[str, Any]]


class RunFacts(TypedDict):
    """The record of a run that is done."""

    state: Literal["done"]
    versions: dict[str, str]
    model: dict[str, Any]
    settings: dict[str, Any]
    units: Literal["relative", "aligned", "metric"]
    scale_factor: float | None
    known_distance: NotRequired[dict[str, Any]]
    ref_view: int | None
    gaussians: GaussiansFacts | None
    quality: QualityFacts
    cameras: CamerasFacts
    keyframes: NotRequired[dict[str, Any]]
    windows: NotRequired[dict[str, Any]]
    cleaning: CleaningFacts
    images: list[ImageFacts]
    optimised: dict[str, Any] | None
    not_optimised: str | None
    dropped_images: list[DroppedFacts]
    warnings: list[str]
    seconds: dict[str, float]
    reused: list[str]
    result: str
    exports: dict[str, ExportFacts]


def check_record(record: Mapping[str, Any]) -> None:
    """Raise InputError naming the first key of a complete run's record that is missing or of another type."""
    _check(record, RunFacts, "run.json")


def _check(value: Any, kind: Any, where: str) -> None:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if origin is NotRequired:
        _check(value, arguments[0], where)
    elif origin in (Union, types.UnionType):
        _check_one_of(value, arguments, where)
    elif origin is Literal:
        _require(value in arguments, value, f"one of {', '.join(map(repr, arguments))}", where)
    elif is_typeddict(kind):
        _check_keys(value, kind, where)
    elif origin is list:
        _require(isinstance(value, Sequence) and not isinstance(value, str), value, "a list", where)
        for place, item in enumerate(value):
            _check(item, arguments[0], f"{where}[{place}]")
    elif origin is dict:
        _require(isinstance(value, Mapping), value, "an object", where)
        for key, item in value.items():
            _check(item, arguments[1], f"{where}.{key}")
    else:
        numbers = (int, float) if kind is float else (kind,)
        is_it = isinstance(value, numbers) and (kind is bool or not isinstance(value, bool))
        _require(is_it, value, {float: "a number", int: "a whole number", str: "text"}.get(kind, str(kind)), where)


def _check_one_of(value: Any, kinds: Sequence[Any], where: str) -> None:
    if value is None:
        _require(types.NoneType in kinds, value, "there", where)
        return
    (kind,) = (one for one in kinds if one is not types.NoneType)
    _check(value, kind, where)


def _check_keys(value: Any, kind: Any, where: str) -> None:
    _require(isinstance(value, Mapping), value, "an object", where)
    for key, of_key in get_type_hints(kind, include_extras=True).items():
        if key in value:
            _check(value[key], of_key, f"{where}.{key}")
        elif get_origin(of_key) is not NotRequired:
            raise InputError(f"{where}.{key} is missing")


def _require(holds: bool, value: Any, expected: str, where: str) -> None:
    if not holds:
        raise InputError(f"{where} must be {expected}, got {value!r}")
