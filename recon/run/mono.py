"""Unrelated photos to depth, each on its own: read, predict, write, a few photos at a time.

Each photo has its folder under the one of the run: `depth.png` and `depth.npy` at the photo's resolution, and the
files of the export formats. `run.json` says how they came to be; as `recon.run.record` has it, but

| key | contents |
| --- | --- |
| model | as there; of an ONNX file: input, output and where its meaning is known from, providers, threads |
| photos | for each: name, folder, units, scale_factor, camera (source, and intrinsics of the original), the sizes and |
| | the affine map of `images` there, seconds, exports (`photo_depth` holds the scale of `depth.png`), and |
| | key: a hash of all that decided it, by which the same command takes it over |
| exports | empty |
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from recon.choices import DEPTH_SPLATS, CleanChoices, EstimatorOptions, ExportChoices, SourceOptions
from recon.errors import InputError
from recon.estimate.choice import AUTO, OFFICIAL, RANDOM, choose
from recon.estimate.depth_check import check_depth
from recon.estimate.estimator import Estimator
from recon.estimate.unrelated import SinglePhoto, check_single, estimate_each, fit_single
from recon.export import (
    EXPORTERS,
    Exported,
    Overrides,
    TypedOptions,
    check_formats,
    check_options,
    export,
    formats_that_need,
    parse_formats,
)
from recon.export.photo_depth import write_photo_depth
from recon.messages import collect_warnings
from recon.options import part_of, settings_entry
from recon.progress import Listener, listen, tell
from recon.run.mono_photos import MonoPhoto, PhotoReader, list_photos
from recon.run.mono_reuse import EarlierPhotos, exported_by, photo_keys
from recon.run.mono_settings import MonoSettings
from recon.run.record import export_entries, image_entries, versions
from recon.run.run_record import RunRecord
from recon.sources.images import check_folders_apart
from recon.sources.photo import Photo
from recon.sources.photo_cameras import PhotoCameras
from recon.types import Prediction, Units
from recon.types.cameras import Cameras

Item = TypeVar("Item")

DEFAULT_MODEL = "da3mono-large"
_SECONDS_BETWEEN_RECORDS = 1.0
"""While many photos are written, `run.json` follows this often."""
PHOTO_DEPTH = "photo_depth"
"""What `depth.png` and `depth.npy` are called among the exports."""


@dataclass(frozen=True)
class PhotoResult:
    """What came of one photo."""

    name: str
    folder: Path
    units: Units
    exported: Mapping[str, Exported]
    """For each format, and for `photo_depth`."""
    entry: Mapping[str, Any]
    """What `run.json` says about it."""
    reused: bool = False
    """It was there already."""


@dataclass(frozen=True)
class MonoRun:
    """What a run wrote, left out and warned of."""

    photos: tuple[PhotoResult, ...]
    dropped: tuple[tuple[str, str], ...]
    """Name of each photo left out, and why."""
    record_path: Path
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Opening the model, waiting for photos to be read, predicting and writing."""
    warnings: tuple[str, ...] = ()


def run_mono(
    settings: MonoSettings,
    out: Path,
    *,
    photos: Sequence[Photo] = (),
    estimator: Estimator | None = None,
    export_kwargs: Overrides | None = None,
    reuse: bool = False,
    progress: Listener | None = None,
) -> MonoRun:
    """Everything from photos to files.

    Args:
        settings: what to do; its `out` is for who calls this.
        out: folder of the run. Files that an earlier run lists in its `run.json` are replaced, or removed where this
            run does not write them.
        photos: further photos, after `settings.inputs`.
        estimator: one that is open already, instead of the one that the settings name.
        export_kwargs: `{format: {option: value}}`.
        reuse: leave photos as they are that an earlier run into the folder has done, where all that decides them is the
            same. For an estimator whose `describe` tells everything that decides what it gives.
        progress: told of each batch: the names of its photos, how many came before them, how many there are.

    Raises:
        InputError: a wish that cannot be met, as far as can be known before the model is opened; or nothing usable.
        MissingExtraError: an ONNX file, and no onnxruntime.
    """
    formats = parse_formats(settings.export) if settings.export else ()
    for name in formats_that_need("features", formats):
        raise InputError(f"{name} needs the features of an encoder, which are not kept for single photos")
    for name in formats:
        if EXPORTERS[name].needs.least_views > 1:
            raise InputError(f"{name} needs several views of a scene, and these are single photos")
    if settings.gs_budget is not None and not formats_that_need("gaussians", formats):
        raise InputError(f"gs_budget is for {DEPTH_SPLATS}, and no format of them is asked for")
    format_options = check_options(export_kwargs, settings)
    check_formats(formats, format_options)
    writer = _Writer(formats, format_options, settings.depth_kinds, settings.gs_budget, out)
    cameras = PhotoCameras(settings.focal, settings.cameras)
    listed = list_photos([*settings.inputs, *photos], part_of(settings, SourceOptions))
    check_folders_apart(listed[0].source.folders, out)
    names = [photo.name for photo in listed]
    clock = _Clock()

    with collect_warnings() as warnings, listen(progress), contextlib.ExitStack() as run:
        with clock("model"):
            opened = open_estimator(settings) if estimator is None else estimator
        profile = opened.profile
        check_single(profile)
        profile.fit.check(profile.name, settings.process_res, settings.process_res_method)

        def prepare(photo: Photo, index: int) -> SinglePhoto:
            return fit_single(profile, photo, cameras, names, index, settings.process_res, settings.process_res_method)

        about = {
            "versions": versions(),
            "model": opened.describe(),
            "settings": {**settings_entry(settings), "export_kwargs": export_kwargs},
        }
        record = run.enter_context(RunRecord(out, about))
        keys = photo_keys(listed, settings, about["model"], export_kwargs)
        results = _done_before(EarlierPhotos(record.before, out), listed, keys, out) if reuse else {}
        reader = PhotoReader(listed, prepare, strict=settings.strict)
        to_do = [index for index in range(len(listed)) if index not in results]
        for batch in clock.each("read", reader.batches(settings.batch_size, to_do)):
            tell(", ".join(names[index] for index in batch), min(batch), len(names))
            with clock("predict"):
                predictions = estimate_each(opened, list(batch.values()))
            for index, prediction in zip(batch, predictions, strict=True):
                with clock("write"):
                    try:
                        whole = writer.complete(check_depth(prediction, profile))
                    except InputError as error:
                        told = str(error) if names[index] in str(error) else f"'{names[index]}': {error}"
                        reader.leave_out(index, InputError(told))
                        continue
                    if not record.files_begun:
                        record.begin_files()
                    results[index] = writer.write(whole, listed[index], batch[index].camera, keys[index])
                    record.add(photos=_entries(results), every=_SECONDS_BETWEEN_RECORDS)
        if results:
            record.add(photos=_entries(results))
            record.remove_earlier_files()
        all_warnings = tuple(dict.fromkeys((*opened.warnings, *warnings)))
        path = record.finish(
            photos=_entries(results),
            dropped_images=[{"name": name, "reason": reason} for name, reason in reader.dropped],
            warnings=all_warnings,
            seconds=clock.seconds,
        )
    return MonoRun(
        tuple(results[index] for index in sorted(results)), reader.dropped, path, clock.seconds, all_warnings
    )


def _done_before(
    earlier: EarlierPhotos, photos: Sequence[MonoPhoto], keys: Sequence[str], out: Path
) -> dict[int, PhotoResult]:
    """By the numbers of the photos."""
    found: dict[int, PhotoResult] = {}
    for index, (photo, key) in enumerate(zip(photos, keys, strict=True)):
        entry = earlier.entry(key)
        if entry is not None:
            exported = exported_by(entry, out)
            found[index] = PhotoResult(photo.name, out / photo.folder, entry["units"], exported, entry, reused=True)
    return found


def _entries(results: Mapping[int, PhotoResult]) -> list[Mapping[str, Any]]:
    """What `run.json` says of photos, in their order."""
    return [results[index].entry for index in sorted(results)]


def open_estimator(settings: MonoSettings) -> Estimator:
    """The ONNX file or the network that the settings name, ready to run. Torch is imported for the latter only.

    Raises InputError, CheckpointError or MissingExtraError where it cannot be had.
    """
    named = {f.name: getattr(settings, f.name) for f in fields(EstimatorOptions) if hasattr(settings, f.name)}
    if settings.model is None:
        of_default = settings.onnx is None and settings.weights in (OFFICIAL, RANDOM)
        named["model"] = DEFAULT_MODEL if of_default else AUTO  # which the weights, or the file, say
    chosen = choose(EstimatorOptions(**named))
    check_single(chosen.profile)  # before torch is imported and weights are downloaded
    return chosen.open(lambda what: None)


@dataclass(frozen=True)
class _Writer:
    """Puts each photo's files into its folder."""

    formats: tuple[str, ...]
    options: TypedOptions
    depth_kinds: tuple[str, ...]
    gs_budget: int | None
    out: Path

    def complete(self, prediction: Prediction) -> Prediction:
        """Cleaned, and with the splats that the formats need.

        Raises InputError where it cannot be written in one of the formats.
        """
        if self.formats:
            from recon.refine.clean import clean

            prediction = replace(prediction, kept=clean(prediction, CleanChoices()).kept)
        if formats_that_need("gaussians", self.formats):
            from recon.refine.splat import add_gaussians

            prediction = add_gaussians(prediction, ExportChoices(gs_budget=self.gs_budget))
        for name in self.formats:
            EXPORTERS[name].check(prediction, self.options[name])
        return prediction

    def write(self, prediction: Prediction, photo: MonoPhoto, camera: Cameras, key: str) -> PhotoResult:
        """Every file of one photo; `key` stands for all that decides them."""
        folder = self.out / photo.folder
        exported: dict[str, Exported] = {}
        if self.depth_kinds:
            start = time.perf_counter()
            depth = write_photo_depth(prediction, 0, folder / "depth", self.depth_kinds)
            exported[PHOTO_DEPTH] = replace(depth, seconds=time.perf_counter() - start)
        if self.formats:
            exported |= export(prediction, self.formats, folder, self.options)
        (image,) = image_entries(prediction)
        assert camera.intrinsics is not None
        entry = {
            **image,
            "folder": photo.folder,
            "units": prediction.units,
            "scale_factor": prediction.scale_factor,
            "camera": {"source": camera.origin, "intrinsics": camera.intrinsics[0]},
            "exports": export_entries(exported, self.out),
            "key": key,
        }
        return PhotoResult(photo.name, folder, prediction.units, exported, entry)


class _Clock:
    """Adds up the time of each kind of work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, work: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[work] = self.seconds.get(work, 0.0) + time.perf_counter() - start

    def each(self, work: str, items: Iterator[Item]) -> Iterator[Item]:
        """`items`, timing how long each takes to come."""
        while True:
            with self(work):
                item = next(items, None)
            if item is None:
                return
            yield item
