"""Unrelated photos to depth, each on its own: read, predict, write, a few photos at a time.

Each photo has its folder under the one of the run: `depth.png` and `depth.npy` at the photo's resolution, and the
files of the export formats. `run.json` says how they came to be; as `recon.run_record` has it, but

| key | contents |
| --- | --- |
| model | as there; of an ONNX file: input, output and where its meaning is known from, providers, threads |
| photos | for each: name, folder, units, scale_factor, camera (source, and intrinsics of the original), the sizes and |
| | the affine map of `images` there, seconds, exports (`photo_depth` holds the scale of `depth.png`) |
| exports | empty |
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from recon.errors import InputError
from recon.export import EXPORTERS, SPLAT_FORMATS, Exported, check_options, export, parse_formats
from recon.export.photo_depth import KINDS, write_photo_depth
from recon.messages import collect_warnings
from recon.mono.cameras import KnownCameras, PhotoCamera
from recon.mono.conventions import OutputKind
from recon.mono.photos import MonoPhoto, PhotoReader, list_photos
from recon.mono.predict import FittedSingle, SingleViewModel, check_fit, fit_single, predict_singles
from recon.onnx.session import Provider
from recon.preprocess import PATCH, PROCESS_RES_METHODS
from recon.run_record import discard_record, export_entries, image_entries, versions, write_record
from recon.scene.images import Photo, check_folders_apart
from recon.types import Prediction, Units

Item = TypeVar("Item")
ProcessResMethod = Literal["upper_bound_resize", "upper_bound_crop", "lower_bound_resize", "lower_bound_crop"]
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as photos go into the network, with their names, how many came before them, and how many there are."""
ExportOptions: TypeAlias = Mapping[str, Mapping[str, Any]]

DEFAULT_MODEL = "da3mono-large"
PHOTO_DEPTH = "photo_depth"
"""What `depth.png` and `depth.npy` are called among the exports."""

_OF_ONNX_FILES: tuple[str, ...] = ("output_kind", "provider", "threads")
_OF_TORCH_NETWORKS: tuple[str, ...] = ("weights", "revision", "precision", "device")


@dataclass(frozen=True)
class MonoSettings:
    """Depth of unrelated photos, each on its own. Wrong values raise `InputError` naming the field."""

    inputs: tuple[Path, ...] = ()
    """Photos, or folders of photos."""
    onnx: Path | None = None
    """ONNX file to run instead of a network in torch."""
    model: str | None = None
    """Preset [da3mono-large]; with an ONNX file, the preset it holds where it does not say so itself."""
    output_kind: OutputKind | None = None
    """What an ONNX file's output is, where neither the file nor its name says: depth or disparity."""
    out: Path | None = None
    """Folder for the results, one folder for each photo in it [outputs/<input name>]."""
    export: str = "mini_npz-glb-depth_vis"
    """Formats, joined with '-', for each photo; see `recon run`. Empty: only the depth files."""
    depth_files: str = "png-npy"
    """Depth at the photo's resolution: png (16 bit, scale in run.json), npy (float32), png-npy. Empty: none."""
    focal: float | None = None
    """Focal length of all photos in pixels of the upright originals [by EXIF, else 60 degrees are assumed]."""
    cameras: Path | None = None
    """Intrinsics of each photo instead: .json by image name, or .npz in image order."""
    batch_size: int = 1
    """Photos of one size that go through the network together."""
    process_res: int | None = None
    """Pixels of the side that process_res_method bounds [as the network was trained]."""
    process_res_method: ProcessResMethod | None = None
    """Which side process_res bounds, and whether the other is resized or cropped [as the network was trained]."""
    gs_budget: int | None = None
    """Splats of a photo are at most this many: the most important ones."""
    strict: bool = False
    """Stop at a photo that cannot be used instead of leaving it out."""
    seed: int = 0
    """Of random weights."""
    provider: Provider = "auto"
    """Where an ONNX file runs. auto: cuda where onnxruntime has it, else cpu."""
    threads: int | None = None
    """Threads of an ONNX file on the CPU [all cores]."""
    weights: str = "official"
    """Of a network in torch: 'official', 'none' (random), a weights file, a checkpoint folder, or a hub id."""
    revision: str | None = None
    """Branch, tag or commit of the hub repository."""
    commercial_only: bool = False
    """Refuse weights whose licence forbids commercial use."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the encoder of a network in torch; the rest is float32."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where a network in torch runs. auto: cuda, else mps, else cpu."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.process_res is not None and self.process_res < PATCH:
            raise InputError(f"process_res must be at least {PATCH}, got {self.process_res}")
        if self.process_res_method not in (None, *PROCESS_RES_METHODS):
            known = ", ".join(PROCESS_RES_METHODS)
            raise InputError(f"process_res_method must be one of {known}, got {self.process_res_method!r}")
        if self.gs_budget is not None and self.gs_budget < 1:
            raise InputError(f"gs_budget must be at least 1, got {self.gs_budget}")
        for kind in self.depth_kinds:
            if kind not in KINDS:
                raise InputError(f"depth_files must be {' or '.join(KINDS)}, joined with '-', got {kind!r}")
        of_onnx = self.onnx is not None
        for name in _OF_TORCH_NETWORKS if of_onnx else _OF_ONNX_FILES:
            if getattr(self, name) != getattr(MonoSettings, name):
                other = "a network in torch, not for an ONNX file" if of_onnx else "an ONNX file, and none is given"
                raise InputError(f"{name} is for {other}")

    @property
    def depth_kinds(self) -> tuple[str, ...]:
        """Endings of the depth files."""
        return tuple(dict.fromkeys(self.depth_files.split("-"))) if self.depth_files else ()


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
    model: SingleViewModel | None = None,
    export_kwargs: ExportOptions | None = None,
    progress: Progress | None = None,
) -> MonoRun:
    """Everything from photos to files.

    Args:
        settings: what to do; its `out` is for who calls this.
        out: folder of the run. Files of an earlier run with the same names are replaced.
        photos: further photos, after `settings.inputs`.
        model: one that is open already, instead of the one that the settings name.
        export_kwargs: `{format: {option: value}}`.
        progress: told of each batch.

    Raises:
        InputError: a wish that cannot be met, as far as can be known before the model is opened; or nothing usable.
        MissingExtraError: an ONNX file, and no onnxruntime.
    """
    formats = parse_formats(settings.export) if settings.export else ()
    if "feat_vis" in formats:
        raise InputError("feat_vis draws the features of an encoder, which are not kept for single photos")
    writer = _Writer(formats, export_kwargs or {}, settings.depth_kinds, settings.gs_budget, out)
    cameras = KnownCameras(settings.focal, settings.cameras)
    check_folders_apart(settings.inputs, out)
    listed = list_photos([*settings.inputs, *photos])
    names = [photo.name for photo in listed]
    clock = _Clock()

    with collect_warnings() as warnings:
        with clock("model"):
            opened = open_model(settings) if model is None else model
        check_fit(opened, settings.process_res, settings.process_res_method)

        def prepare(photo: Photo, index: int) -> FittedSingle:
            fitted = fit_single(opened, photo, settings.process_res, settings.process_res_method)
            return FittedSingle(fitted, cameras.of(photo, names, index))

        discard_record(out)  # from here on the record of an earlier run would describe files that are no more
        reader = PhotoReader(listed, prepare, strict=settings.strict)
        results: list[PhotoResult] = []
        for batch in clock.each("read", reader.batches(settings.batch_size)):
            if progress is not None:
                progress(", ".join(names[index] for index in batch), min(batch), len(names))
            with clock("predict"):
                predictions = predict_singles(opened, list(batch.values()))
            for index, prediction in zip(batch, predictions, strict=True):
                with clock("write"):
                    try:
                        whole = writer.complete(prediction)
                    except InputError as error:
                        reader.leave_out(index, InputError(f"'{names[index]}': {error}"))
                        continue
                    results.append(writer.write(whole, listed[index], batch[index].camera))

    all_warnings = tuple(dict.fromkeys((*opened.warnings, *warnings)))
    record = {
        "versions": versions(),
        "model": opened.describe(),
        "settings": {**asdict(settings), "export_kwargs": export_kwargs},
        "photos": [result.entry for result in results],
        "dropped_images": [{"name": name, "reason": reason} for name, reason in reader.dropped],
        "warnings": all_warnings,
        "seconds": clock.seconds,
        "exports": {},
    }
    return MonoRun(tuple(results), reader.dropped, write_record(out, record), clock.seconds, all_warnings)


def open_model(settings: MonoSettings) -> SingleViewModel:
    """The ONNX file or the network that the settings name, ready to run. Torch is imported for the latter only.

    Raises InputError, CheckpointError or MissingExtraError where it cannot be had.
    """
    if settings.onnx is not None:
        from recon.onnx.monocular import MonocularModel

        model = MonocularModel(
            settings.onnx,
            output_kind=settings.output_kind,
            model=settings.model,
            provider=settings.provider,
            threads=settings.threads,
        )
        licence = model.info.licence
        if settings.commercial_only and (licence is None or "NC" in licence):
            says = "does not state its licence" if licence is None else f"is licensed {licence}"
            raise InputError(f"{settings.onnx} {says}, which commercial_only excludes")
        return model
    from recon.models.presets import load_preset
    from recon.mono.conventions import conventions_of

    preset = load_preset(DEFAULT_MODEL if settings.model is None else settings.model)
    conventions_of(preset)  # before torch is imported and weights are downloaded

    from recon.models.device import choose_device
    from recon.models.precision import resolve_precision
    from recon.models.ready import ready_model
    from recon.mono.network import NetworkModel

    device = choose_device(settings.device)
    resolve_precision(settings.precision, device)
    ready = ready_model(
        preset.name,
        weights=None if settings.weights == "none" else settings.weights,
        seed=settings.seed,
        precision=settings.precision,
        revision=settings.revision,
        commercial_only=settings.commercial_only,
    )
    ready.network.to(device)
    return NetworkModel(ready)


@dataclass(frozen=True)
class _Writer:
    """Puts each photo's files into its folder."""

    formats: tuple[str, ...]
    options: ExportOptions
    depth_kinds: tuple[str, ...]
    gs_budget: int | None
    out: Path

    def __post_init__(self) -> None:
        check_options(self.options)

    def complete(self, prediction: Prediction) -> Prediction:
        """With the splats that the formats need. Raises InputError where it cannot be written in one of them."""
        if any(name in SPLAT_FORMATS for name in self.formats):
            from recon.config import ExportChoices
            from recon.splat import add_gaussians

            prediction = add_gaussians(prediction, ExportChoices(gs_budget=self.gs_budget))
        checked = check_options(self.options)
        for name in self.formats:
            EXPORTERS[name].check(prediction, checked[name])
        return prediction

    def write(self, prediction: Prediction, photo: MonoPhoto, camera: PhotoCamera) -> PhotoResult:
        """Every file of one photo."""
        folder = self.out / photo.folder
        exported: dict[str, Exported] = {}
        if self.depth_kinds:
            start = time.perf_counter()
            depth = write_photo_depth(prediction, 0, folder / "depth", self.depth_kinds)
            exported[PHOTO_DEPTH] = replace(depth, seconds=time.perf_counter() - start)
        if self.formats:
            exported |= export(prediction, self.formats, folder, self.options)
        (image,) = image_entries(prediction)
        entry = {
            **image,
            "folder": photo.folder,
            "units": prediction.units,
            "scale_factor": prediction.scale_factor,
            "camera": {"source": camera.source, "intrinsics": camera.intrinsics},
            "exports": export_entries(exported, self.out),
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
