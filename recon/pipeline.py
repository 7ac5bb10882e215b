"""Photos to a prediction and its files, stage by stage: load (and resize), predict, align, export."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import ArrayLike

from recon.align import align_to_given_extrinsics
from recon.config import ExportChoices, InferenceOptions
from recon.errors import InputError
from recon.export import EXPORTERS, Exported, check_options, export, parse_formats
from recon.geometry.cameras import warn_if_camera_to_world
from recon.messages import collect_warnings
from recon.predict import predict
from recon.preprocess import FittedPhoto, combine, fit_photo, map_intrinsics
from recon.run_record import discard_record, export_entries, image_entries, versions, write_record
from recon.scene.cameras_file import read_cameras
from recon.scene.images import LoadedPhotos, Photo, PhotoSource, list_images, load_each
from recon.types import Cameras, Prediction

if TYPE_CHECKING:
    from recon.models.presets import Preset
    from recon.models.ready import ReadyModel

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as a stage begins, with its name, how many stages came before it, and how many there are."""

ExportOptions: TypeAlias = Mapping[str, Mapping[str, Any]]

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})


@dataclass(frozen=True)
class Reconstruction:
    """A prediction, and what the run that made it wrote, took and warned of."""

    prediction: Prediction
    exported: Mapping[str, Exported] = field(default_factory=dict)
    """For each format, in the order asked for."""
    record_path: Path | None = None
    """`run.json`; None without an export folder."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each stage took."""
    warnings: tuple[str, ...] = ()
    """Of making the model ready and of the run, in order."""


def reconstruct(
    model: ReadyModel,
    image: PhotoSource,
    extrinsics: ArrayLike | None = None,
    intrinsics: ArrayLike | None = None,
    *,
    cameras_file: Path | None = None,
    options: InferenceOptions = InferenceOptions(),  # noqa: B008 (frozen)
    export_dir: str | Path | None = None,
    export_format: str = "mini_npz",
    export_kwargs: ExportOptions | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Reconstruction:
    """Run the whole way from photos to files.

    Args:
        model: a network with its weights.
        image: what `load_photos` takes; bad photos among several are left out unless `options.strict`.
        extrinsics: (N, 4, 4) or (N, 3, 4) world-to-camera of all images given, those left out included.
        intrinsics: (N, 3, 3) in pixels of the upright originals, likewise.
        cameras_file: cameras to read instead of the two arrays.
        options: see `InferenceOptions`.
        export_dir: folder for the files and `run.json`; None writes nothing. Files of an earlier run with the same
            names are replaced one by one, others are left alone.
        export_format: format names joined with `-`.
        export_kwargs: `{format: {option: value}}`, over what `options` says.
        settings: further settings to note in `run.json`.
        progress: told of each stage as it begins.

    Raises:
        InputError: a wish that cannot be met, before anything costly is done as far as it can be known by then.
    """
    formats = () if export_dir is None else parse_formats(export_format)
    chosen = format_options(options, export_kwargs)
    checked = check_options(chosen)
    if cameras_file is not None and (extrinsics is not None or intrinsics is not None):
        raise InputError("give cameras either as arrays or as a file, not both")
    folder = None if export_dir is None else Path(export_dir).expanduser()
    check_request(model.preset, image, options, formats, folder)

    def fit(photo: Photo) -> FittedPhoto:
        return fit_photo(photo, options.process_res, options.process_res_method)

    with collect_warnings() as warnings:
        stages = _Stages(("load", "predict", "align", *(f"export {name}" for name in formats)), progress)
        with stages("load"):
            loaded = load_each(image, fit, options.strict)
            cameras = _given_cameras(loaded, extrinsics, intrinsics, cameras_file)
            _check_cameras_suffice(model.preset, cameras, len(loaded.photos), formats)
            views = combine(loaded.photos, options.mixed_sizes)
            if cameras.intrinsics is not None:
                processed = map_intrinsics(cameras.intrinsics, views.processed_to_original)
                cameras = Cameras(cameras.extrinsics, processed)
        with stages("predict"):
            prediction = predict(model, views, cameras, options)
        with stages("align"):
            if cameras.extrinsics is not None and model.preset.any_view is not None:
                prediction = align_to_given_extrinsics(prediction, cameras.extrinsics, options.align_to_input_ext_scale)
        if folder is None:
            return Reconstruction(prediction, seconds=stages.seconds, warnings=(*model.warnings, *warnings))

        for name in formats:
            EXPORTERS[name].check(prediction, checked[name])
        discard_record(folder)  # from here on the record of an earlier run would describe files that are no more
        exported: dict[str, Exported] = {}
        for name in formats:
            with stages(f"export {name}"):
                exported.update(export(prediction, [name], folder, chosen))

    all_warnings = (*model.warnings, *warnings)
    record = {
        "versions": versions(),
        "model": _model_entry(model),
        "settings": {**(settings or {}), **asdict(options), "export": export_format, "export_kwargs": export_kwargs},
        "units": prediction.units,
        "scale_factor": prediction.scale_factor,
        "ref_view": prediction.ref_view,
        "cameras": _camera_origins(prediction, cameras),
        "images": image_entries(prediction),
        "dropped_images": [{"name": name, "reason": reason} for name, reason in loaded.dropped],
        "warnings": all_warnings,
        "seconds": stages.seconds,
        "exports": export_entries(exported, folder),
    }
    path = write_record(folder, record)
    return Reconstruction(prediction, exported, path, stages.seconds, all_warnings)


def check_request(
    preset: Preset, image: PhotoSource, options: InferenceOptions, formats: Sequence[str], folder: Path | None
) -> None:
    """Refuse at once what can be known to fail before a model is loaded: input, preset and options, formats, folder.

    Raises InputError.
    """
    _check_input(image)
    _check_wishes(preset, options, formats)
    if folder is not None:
        _check_writable(folder)
        for source in _paths(image):
            if source.is_dir() and source.resolve() == folder.resolve():
                raise InputError(f"the results cannot go into the folder of the photos, {folder}: they would be photos")


class _Stages:
    """Times the stages and tells `progress` of them."""

    def __init__(self, names: Sequence[str], progress: Progress | None) -> None:
        self.names = tuple(names)
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name, self.names.index(name), len(self.names))
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def format_options(choices: ExportChoices, overrides: ExportOptions | None = None) -> dict[str, dict[str, Any]]:
    """Options of each format: what `choices` say, then `overrides`. Made anew for each call."""
    points = {
        "conf_thresh_percentile": choices.conf_thresh_percentile,
        "num_max_points": choices.num_max_points,
        "seed": choices.seed,
    }
    merged: dict[str, dict[str, Any]] = {
        "glb": {**points, "show_cameras": choices.show_cameras},
        "ply": points,
        "feat_vis": {"fps": choices.feat_vis_fps},
    }
    for name, values in (overrides or {}).items():
        if not isinstance(values, Mapping):
            raise InputError(f"export_kwargs[{name!r}] must map options to values, got {values!r}")
        merged[name] = {**merged.get(name, {}), **values}
    return merged


def _check_wishes(preset: Preset, options: InferenceOptions, formats: Sequence[str]) -> None:
    """Refuse what this preset cannot do, before the photos are read."""
    if options.infer_gs and not preset.has_gaussians:
        raise InputError(f"infer_gs: {preset.name} has no Gaussian head; da3-giant and da3nested-giant-large have one")
    if options.use_ray_pose and preset.any_view is None:
        raise InputError(f"use_ray_pose: {preset.name} looks at single views and predicts no cameras")
    depth = preset.encoder.depth
    for layer in options.export_feat_layers:
        if layer >= depth:
            raise InputError(f"export_feat_layers: {preset.name} has blocks 0 to {depth - 1}, not {layer}")
    if "feat_vis" in formats and not options.export_feat_layers:
        raise InputError("the format feat_vis draws the features of export_feat_layers: name at least one block")


def _check_input(image: PhotoSource) -> None:
    """Say clearly what cannot be read yet, instead of that it is not an image, and what is not there at all."""
    supported = "photos and folders of photos are read"
    paths = _paths(image)
    for path in paths:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            raise InputError(
                f"{path}: a video; {supported}. Extract frames first, for example with "
                f"`ffmpeg -i {path.name} -vf fps=2 frames/%04d.jpg`"
            )
        if path.suffix.lower() == ".json":
            raise InputError(
                f"{path}: a scene file; {supported}. Give its folder of images, and cameras with --cameras"
            )
        if any((path / f"images{suffix}").is_file() for suffix in (".bin", ".txt")):
            raise InputError(
                f"{path}: a COLMAP model; {supported}. Give the folder of its images, and cameras with --cameras"
            )
        if path.is_dir():
            list_images(path)
        elif len(paths) == 1 and not path.exists():
            raise InputError(f"{path} does not exist; give an image file or a folder of images")


def _paths(image: PhotoSource) -> list[Path]:
    """The files and folders among the images given."""
    sources = list(image) if isinstance(image, (list, tuple)) else [image]
    return [Path(source).expanduser() for source in sources if isinstance(source, (str, Path))]


def _check_writable(folder: Path) -> None:
    """Raise InputError unless files can be made in `folder`, or in the nearest folder above it that exists."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"cannot write to {folder}: {existing} is not a folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            return
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error


def _given_cameras(
    loaded: LoadedPhotos[FittedPhoto],
    extrinsics: ArrayLike | None,
    intrinsics: ArrayLike | None,
    cameras_file: Path | None,
) -> Cameras:
    """The cameras given for the photos that are kept; intrinsics still of the originals."""
    if cameras_file is not None:
        sizes = [photo.original_size for photo in loaded.photos]
        in_order = read_cameras(cameras_file, loaded.names, sizes, loaded.kept)
        try:
            cameras = Cameras.from_arrays(*in_order, count=len(loaded.kept))
        except InputError as error:
            names = ", ".join(photo.name for photo in loaded.photos[:3])
            raise InputError(f"'{cameras_file}': {error} (counted along the photos: {names}, …)") from error
    else:
        everything = Cameras.from_arrays(extrinsics, intrinsics, count=len(loaded.names))
        cameras = Cameras(
            extrinsics=None if everything.extrinsics is None else everything.extrinsics[loaded.kept],
            intrinsics=None if everything.intrinsics is None else everything.intrinsics[loaded.kept],
        )
    if cameras.extrinsics is not None:
        warn_if_camera_to_world(cameras.extrinsics)
    return cameras


def _check_cameras_suffice(preset: Preset, cameras: Cameras, views: int, formats: Sequence[str]) -> None:
    """Refuse point clouds of several views whose cameras would be known to nobody, before the network runs."""
    clouds = [name for name in formats if name in ("glb", "ply")]
    complete = cameras.extrinsics is not None and cameras.intrinsics is not None
    if preset.any_view is None and views > 1 and clouds and not complete:
        others = "-".join(name for name in formats if name not in clouds) or "mini_npz-depth_vis"
        raise InputError(
            f"{preset.name} looks at each view alone, so {' and '.join(clouds)} of {views} views need their cameras: "
            f"give extrinsics and intrinsics, export {others} only, or take an any-view model"
        )


def _model_entry(model: ReadyModel) -> dict[str, Any]:
    from recon.models.precision import resolve_precision

    dtype = str(resolve_precision(model.precision, model.device)).removeprefix("torch.")
    return {
        "preset": model.preset.name,
        "engine": model.engine,
        "weights": model.weights.describe(),
        "precision": {"asked": model.precision, "encoder": dtype},
        "device": str(model.device),
    }


def _camera_origins(prediction: Prediction, given: Cameras) -> dict[str, str | None]:
    def origin(predicted: object, given_too: object) -> str | None:
        return None if predicted is None else "predicted" if given_too is None else "given"

    return {
        "extrinsics": origin(prediction.extrinsics, given.extrinsics),
        "intrinsics": origin(prediction.intrinsics, given.intrinsics),
    }
