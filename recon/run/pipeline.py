"""Photos to a prediction and its files, stage by stage: cameras, load (and resize), predict, align, splat, export."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import ArrayLike

from recon.cameras import Cameras
from recon.errors import InputError
from recon.estimate.estimator import Estimator, Profile
from recon.export import EXPORTERS, Exported, check_options, export, parse_formats
from recon.export.gs_video import check_skew
from recon.export.progress import listen
from recon.geometry.cameras import warn_if_camera_to_world, warn_if_float32_is_too_coarse
from recon.messages import collect_warnings
from recon.options import ExportChoices, InferenceOptions
from recon.refine.align import align_to_given_extrinsics
from recon.refine.splat import add_gaussians
from recon.run.find_cameras import FoundCameras, find_cameras
from recon.run.record import discard_record, export_entries, image_entries, versions, write_record
from recon.run.wishes import check_cameras_suffice, gaussian_source, wishes_of
from recon.sources.cameras_file import read_cameras, read_render_cameras
from recon.sources.fitting import FittedPhoto, combine, map_intrinsics
from recon.sources.images import LoadedPhotos, Photo, PhotoSource, check_folders_apart, list_images, load_each
from recon.types import GaussianSource, Prediction

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a stage as it begins, and with what it is doing now and then during a long one; how many
stages came before it; and how many there are."""

SFM = "sfm"
"""Stands for cameras found by structure from motion."""

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
    estimator: Estimator,
    image: PhotoSource,
    extrinsics: ArrayLike | None = None,
    intrinsics: ArrayLike | None = None,
    *,
    cameras: str | Path | None = None,
    options: InferenceOptions = InferenceOptions(),  # noqa: B008 (frozen)
    export_dir: str | Path | None = None,
    export_format: str = "mini_npz",
    export_kwargs: ExportOptions | None = None,
    settings: Mapping[str, Any] | None = None,
    said: Sequence[str] = (),
    progress: Progress | None = None,
) -> Reconstruction:
    """Run the whole way from photos to files.

    Args:
        estimator: what makes the depth; `recon.estimate.choice` opens one.
        image: what `load_photos` takes; bad photos among several are left out unless `options.strict`.
        extrinsics: (N, 4, 4) or (N, 3, 4) world-to-camera of all images given, those left out included.
        intrinsics: (N, 3, 3) in pixels of the upright originals, likewise.
        cameras: instead of the two arrays, a file to read them from, or `sfm` to find them by structure from motion;
            photos whose camera is not found are left out unless `options.strict`.
        options: see `InferenceOptions`.
        export_dir: folder for the files and `run.json`; None writes nothing. Files of an earlier run with the same
            names are replaced one by one, others are left alone.
        export_format: format names joined with `-`.
        export_kwargs: `{format: {option: value}}`, over what `options` says.
        settings: further settings to note in `run.json`.
        said: what was warned of before and belongs to the run.
        progress: told of each stage as it begins.

    Raises:
        InputError: a wish that cannot be met, before anything costly is done as far as it can be known by then.
    """
    formats = () if export_dir is None else parse_formats(export_format)
    chosen = format_options(options, export_kwargs)
    checked = check_options(chosen)
    if cameras is not None and (extrinsics is not None or intrinsics is not None):
        raise InputError("give cameras either as arrays or by `cameras`, not both")
    folder = None if export_dir is None else Path(export_dir).expanduser()
    image = list(image) if isinstance(image, Iterator) else image  # structure from motion reads the photos first
    profile = estimator.profile
    check_request(profile, image, options, formats, folder)
    wishes, splats_from = wishes_of(profile, options, formats), gaussian_source(profile, options, formats)

    found: FoundCameras | None = None

    def fit(photo: Photo) -> FittedPhoto:
        pinhole = photo if found is None else found.undistorted(photo)
        return profile.fit.photo(pinhole, options.process_res, options.process_res_method)

    with collect_warnings() as warnings:
        stages = _Stages(_stage_names(cameras, splats_from, formats), progress)
        if cameras == SFM:
            with stages("cameras"):
                found = find_cameras(
                    image, strict=options.strict, seed=options.seed, export_dir=folder, progress=stages.part
                )
        with stages("load"):
            loaded = load_each(image, fit, options.strict)
            known = _known_cameras(loaded, extrinsics, intrinsics, cameras, found)
            check_cameras_suffice(profile, known, len(loaded.photos), formats)
            views = combine(loaded.photos, options.mixed_sizes)
            if known.intrinsics is not None:
                if "gs_video" in formats:
                    check_skew(known.intrinsics, checked["gs_video"])
                known = Cameras(known.world_to_camera, map_intrinsics(known.intrinsics, views.processed_to_original))
        with stages("predict"):
            points = None if found is None else found.sparse_points(views.names)
            prediction = estimator.estimate(views, known, points, wishes, stages.part)
        with stages("align"):
            if known.world_to_camera is not None and profile.abilities.cameras:
                prediction = align_to_given_extrinsics(
                    prediction, known.world_to_camera, options.align_to_input_ext_scale
                )
        if splats_from == "depth":
            with stages("splat"):
                prediction = add_gaussians(prediction, options)
        if folder is None:
            return Reconstruction(prediction, seconds=stages.seconds, warnings=(*estimator.warnings, *said, *warnings))

        for name in formats:
            EXPORTERS[name].check(prediction, checked[name])
        discard_record(folder)  # from here on the record of an earlier run would describe files that are no more
        exported: dict[str, Exported] = {}
        for name in formats:
            with stages(f"export {name}"), listen(stages.part):
                exported.update(export(prediction, [name], folder, chosen))

    all_warnings = (*estimator.warnings, *said, *warnings)
    record = {
        "versions": versions(),
        "model": estimator.describe(),
        "settings": {**(settings or {}), **asdict(options), "export": export_format, "export_kwargs": export_kwargs},
        "units": prediction.units,
        "scale_factor": prediction.scale_factor,
        "ref_view": prediction.ref_view,
        "gaussians": _gaussians_entry(prediction),
        "cameras": _camera_origins(prediction, known, found),
        "images": image_entries(prediction),
        "dropped_images": [{"name": name, "reason": reason} for name, reason in loaded.dropped],
        "warnings": all_warnings,
        "seconds": stages.seconds,
        "exports": export_entries(exported, folder),
    }
    path = write_record(folder, record)
    return Reconstruction(prediction, exported, path, stages.seconds, all_warnings)


def _stage_names(
    cameras: str | Path | None, splats_from: GaussianSource | None, formats: Sequence[str]
) -> tuple[str, ...]:
    first = ("cameras",) if cameras == SFM else ()
    splat = ("splat",) if splats_from == "depth" else ()
    return (*first, "load", "predict", "align", *splat, *(f"export {name}" for name in formats))


def check_request(
    profile: Profile, image: PhotoSource, options: InferenceOptions, formats: Sequence[str], folder: Path | None
) -> None:
    """Refuse at once what can be known to fail before weights are loaded: input, wishes, formats, folder.

    Raises InputError.
    """
    _check_input(image)
    wishes_of(profile, options, formats)
    for name in ("render_cameras", "render_hw"):
        if getattr(options, name) is not None and "gs_video" not in formats:
            raise InputError(f"{name} is for the export format gs_video, which is not asked for")
    if folder is not None:
        _check_writable(folder)
        check_folders_apart(_paths(image), folder)


class _Stages:
    """Times the stages and tells `progress` of them."""

    def __init__(self, names: Sequence[str], progress: Progress | None) -> None:
        self.names = tuple(names)
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._current = name
        self._tell(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start

    def part(self, name: str, done: int, total: int) -> None:
        """The current stage has done so many of its `total` photos, pairs or frames in its part `name`."""
        self._tell(f"{self._current}: {name} {done}/{total}")

    def _tell(self, what: str) -> None:
        if self.progress is not None:
            self.progress(what, self.names.index(self._current), len(self.names))


def format_options(choices: ExportChoices, overrides: ExportOptions | None = None) -> dict[str, dict[str, Any]]:
    """Options of each format: what `choices` say, then `overrides`. Made anew for each call."""
    points: dict[str, Any] = {"num_max_points": choices.num_max_points, "seed": choices.seed}
    if choices.conf_thresh_percentile is not None:  # one that was asked for counts alone, without other thresholds
        points |= {
            "conf_thresh_percentile": choices.conf_thresh_percentile,
            "conf_thresh": 0.0,
            "ensure_thresh_percentile": 100.0,
        }
    merged: dict[str, dict[str, Any]] = {
        "glb": {**points, "show_cameras": choices.show_cameras},
        "ply": points,
        "feat_vis": {"fps": choices.feat_vis_fps},
        "gs_video": {"rasterizer": choices.rasterizer, "poster": choices.poster, **_render_options(choices)},
    }
    for name, values in (overrides or {}).items():
        if not isinstance(values, Mapping):
            raise InputError(f"export_kwargs[{name!r}] must map options to values, got {values!r}")
        merged[name] = {**merged.get(name, {}), **values}
    return merged


def _render_options(choices: ExportChoices) -> dict[str, Any]:
    """The cameras and the size to render a video with, where they were chosen."""
    if choices.render_cameras is None:
        return {} if choices.render_hw is None else {"render_hw": choices.render_hw}
    cameras = read_render_cameras(choices.render_cameras, choices.render_hw)
    found = {"render_exts": cameras.extrinsics, "render_ixts": cameras.intrinsics, "render_hw": cameras.size}
    return {name: value for name, value in found.items() if value is not None}


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


def _known_cameras(
    loaded: LoadedPhotos[FittedPhoto],
    extrinsics: ArrayLike | None,
    intrinsics: ArrayLike | None,
    file: str | Path | None,
    found: FoundCameras | None,
) -> Cameras:
    """The cameras given or found for the photos that are kept; intrinsics still of the originals."""
    if found is not None:
        return found.cameras([photo.name for photo in loaded.photos])
    if file is not None:
        sizes = [photo.original_size for photo in loaded.photos]
        in_order = read_cameras(Path(file), loaded.names, sizes, loaded.kept)
        try:
            cameras = Cameras.from_arrays(*in_order, count=len(loaded.kept))
        except InputError as error:
            names = ", ".join(photo.name for photo in loaded.photos[:3])
            raise InputError(f"'{file}': {error} (counted along the photos: {names}, …)") from error
    else:
        everything = Cameras.from_arrays(extrinsics, intrinsics, count=len(loaded.names))
        cameras = Cameras(
            world_to_camera=None if everything.world_to_camera is None else everything.world_to_camera[loaded.kept],
            intrinsics=None if everything.intrinsics is None else everything.intrinsics[loaded.kept],
        )
    if cameras.world_to_camera is not None:
        warn_if_camera_to_world(cameras.world_to_camera)
        warn_if_float32_is_too_coarse(cameras.world_to_camera)
    return cameras


def _gaussians_entry(prediction: Prediction) -> dict[str, Any] | None:
    if prediction.gaussians is None:
        return None
    return {"source": prediction.gaussian_source, "count": len(prediction.gaussians)}


def _camera_origins(prediction: Prediction, known: Cameras, found: FoundCameras | None) -> dict[str, Any]:
    def origin(returned: object, known_too: object) -> str | None:
        if returned is None:
            return None
        return "predicted" if known_too is None else "given" if found is None else SFM

    origins = {
        "extrinsics": origin(prediction.extrinsics, known.world_to_camera),
        "intrinsics": origin(prediction.intrinsics, known.intrinsics),
    }
    return origins if found is None else {**origins, SFM: found.describe()}
