"""The command `recon`: `run`, `mono`, `demo`, `eval`, `models`, `export`, `export-onnx`.

Exit codes: 0 done; 2 the user's input is wrong (one line on stderr); 1 anything else. Messages and progress go to
stderr, results to stdout.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import tyro

from recon import __version__
from recon.config import (
    DemoSettings,
    EvalSettings,
    ExportChoices,
    ExportSettings,
    MonoCommand,
    OnnxExportSettings,
    RunSettings,
    load_settings,
)
from recon.errors import InputError
from recon.messages import collect_warnings, warn
from recon.usage_errors import in_one_line

if TYPE_CHECKING:
    from recon.models.ready import ReadyModel
    from recon.mvs.model import StereoModel
    from recon.report import ProgressReport

DONE, FAILED, WRONG_INPUT = 0, 1, 2

_THE_USERS_PATH = (
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
)
"""What the machine says of a path that cannot be used."""

_DEMO_FORMATS = "mini_npz-glb-gs_ply-gs_video-depth_vis"

DESCRIPTION = f"recon {__version__}: photos to depth, cameras and point clouds with Depth Anything 3."


@dataclass(frozen=True)
class ModelsSettings:
    """List the presets: parameters, abilities, licence, and whether the weights are on this machine."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (those of the process by default) and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0] in ("--version", "-V"):
        print(f"recon {__version__}")
        return DONE
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot show is no failure
    verbose = "--verbose" in arguments or os.environ.get("RECON_DEBUG", "") not in ("", "0")
    try:
        settings = _settings(arguments)
        verbose = verbose or getattr(settings, "verbose", False)
        return _carry_out(settings)
    except InputError as error:
        return _wrong_input(str(error))
    except KeyboardInterrupt:
        print("recon: interrupted; files that were not complete have been removed", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has left; nothing more can be said, and Python is not to try at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None and error.errno in _THE_USERS_PATH:
            return _wrong_input(f"{error.filename}: {error.strerror}")
        if verbose:
            traceback.print_exc()
        message = " ".join(str(error).split()) or "no message"
        hint = "" if verbose else " (--verbose shows where)"
        print(f"recon: failed: {type(error).__name__}: {message}{hint}", file=sys.stderr)
        return FAILED


def _wrong_input(message: str) -> int:
    print(f"recon: error: {' '.join(message.split())}", file=sys.stderr)
    return WRONG_INPUT


Settings: TypeAlias = (
    RunSettings | MonoCommand | DemoSettings | EvalSettings | ExportSettings | OnnxExportSettings | ModelsSettings
)


def _settings(arguments: list[str]) -> Settings:
    settings = _parse(arguments, RunSettings())
    if isinstance(settings, RunSettings) and settings.config is not None:
        given: dict[str, Any] = {
            name: () for name in ("export_kwargs", "export_feat_layers") if getattr(settings, name)
        }
        # Flags would add to the lists of the file; they are to win over it, as everywhere.
        settings = _parse(arguments, replace(load_settings(settings.config), **given))
    return settings


def _carry_out(settings: Settings) -> int:
    if isinstance(settings, RunSettings):
        return run(settings)
    if isinstance(settings, MonoCommand):
        return mono(settings)
    if isinstance(settings, DemoSettings):
        return demo(settings)
    if isinstance(settings, EvalSettings):
        return evaluate(settings)
    if isinstance(settings, ExportSettings):
        return export_again(settings)
    if isinstance(settings, OnnxExportSettings):
        return write_onnx(settings)
    return list_models()


def _parse(arguments: list[str], run_defaults: RunSettings) -> Any:
    commands: Any = (
        Annotated[RunSettings, tyro.conf.subcommand("run", default=run_defaults)]
        | Annotated[MonoCommand, tyro.conf.subcommand("mono")]
        | Annotated[DemoSettings, tyro.conf.subcommand("demo")]
        | Annotated[EvalSettings, tyro.conf.subcommand("eval")]
        | Annotated[ModelsSettings, tyro.conf.subcommand("models")]
        | Annotated[ExportSettings, tyro.conf.subcommand("export")]
        | Annotated[OnnxExportSettings, tyro.conf.subcommand("export-onnx")]
    )
    parse: Callable[..., Any] = partial(tyro.cli, commands, args=arguments, prog="recon", description=DESCRIPTION)
    unseen = io.StringIO()
    try:
        with contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen):
            return parse()
    except SystemExit as stop:
        if stop.code == DONE:
            return parse()  # once more, to show the help
        # A field that refuses its value, else what tyro finds wrong.
        cause: BaseException | None = stop
        while cause is not None:
            if isinstance(cause, InputError):
                raise cause from None
            cause = cause.__context__
        raise InputError(in_one_line(unseen.getvalue())) from None


def run(settings: RunSettings) -> int:
    """`recon run`: photos to files, and a table of what was written."""
    from recon.export import check_options, parse_formats
    from recon.export.option_texts import parse_export_kwargs
    from recon.model_choice import MVS
    from recon.models.presets import load_preset
    from recon.option_use import check_use, parts_of_run
    from recon.pipeline import SFM, check_request, format_options, reconstruct
    from recon.report import ProgressReport, print_summary, report_warnings

    if not settings.inputs:
        raise InputError("no photos given: recon run FOLDER, or recon run PHOTO...")
    out = settings.out if settings.out is not None else Path("outputs") / _name_of(settings.inputs)
    inputs, options = list(settings.inputs), settings.inference_options()
    export_kwargs = parse_export_kwargs(settings.export_kwargs)
    check_options(format_options(options, export_kwargs))
    if settings.cameras not in (None, SFM) and not Path(settings.cameras).is_file():
        raise InputError(f"--cameras {settings.cameras}: no such file")
    name = _model_name(settings)
    preset = None if name == MVS else load_preset(name)
    formats = parse_formats(settings.export)
    check_request(preset, inputs, options, formats, out)
    file = None if settings.config is None else load_settings(settings.config)
    in_vain = check_use(settings, parts_of_run(preset, options, formats), export_kwargs, file)
    if preset is None and _is_one_photo(inputs):
        raise InputError(
            f"{inputs[0]}: one photo shows no depth to multi-view stereo, it takes several or a network; "
            "`--model da3-small` downloads one, or `--weights FOLDER` takes it from a folder"
        )

    with report_warnings(), ProgressReport() as progress:
        model = _ready(name, settings, progress)
        said = [f"{settings.config}: {message}" for message in in_vain]
        for message in said:
            warn(message)
        model = replace(model, warnings=(*model.warnings, *said))
        result = reconstruct(
            model,
            inputs,
            cameras=settings.cameras or (SFM if preset is None else None),
            options=options,
            export_dir=out,
            export_format=settings.export,
            export_kwargs=export_kwargs,
            settings={
                **{f.name: getattr(settings, f.name) for f in fields(RunSettings)},
                "inputs": [path.expanduser().absolute() for path in inputs],  # to be found from any working folder
            },
            progress=progress,
        )
    print_summary(out, result)
    return DONE


def mono(settings: MonoCommand) -> int:
    """`recon mono`: a folder of files for each photo, and a line for each on stdout."""
    from recon.export import check_options, parse_formats
    from recon.export.option_texts import parse_export_kwargs
    from recon.mono.run import run_mono
    from recon.option_use import check_use
    from recon.report import ProgressReport, print_mono, report_warnings

    if not settings.inputs:
        raise InputError("no photos given: recon mono PHOTO..., or recon mono FOLDER")
    out = settings.out if settings.out is not None else Path("outputs") / _name_of(settings.inputs)
    with report_warnings(), ProgressReport() as progress:
        export_kwargs = parse_export_kwargs(settings.export_kwargs)
        check_options(export_kwargs)
        check_use(ExportChoices(), parse_formats(settings.export) if settings.export else (), export_kwargs)
        result = run_mono(settings, out, export_kwargs=export_kwargs, progress=progress)
    print_mono(out, result)
    return DONE


def demo(settings: DemoSettings) -> int:
    """`recon demo`: a sample scene from its photos alone, beside the truth."""
    from recon.eval.eval_report import FILE_NAME, compare, print_comparison, write_comparison
    from recon.paths import scenes_folder

    names = sorted(folder.name for folder in scenes_folder().iterdir() if (folder / "images").is_dir())
    name = names[0] if settings.scene is None else settings.scene
    if name not in names:
        raise InputError(f"no sample scene {name!r}; there are {', '.join(names)}")
    scene = scenes_folder() / name
    out = Path("outputs") / "demo" / name if settings.out is None else settings.out
    photos = (scene / "images",)
    run(RunSettings(inputs=photos, model="mvs", cameras="sfm", export=_DEMO_FORMATS, poster=True, out=out))
    comparison = compare({name: out}, scene)
    print()
    print_comparison(comparison)
    print(f"\nthe same as JSON: {write_comparison(out / FILE_NAME, comparison)}")
    print("to look at:")
    for path in ("scene.glb", "gs_ply/0000.ply", "gs_video", "depth_vis"):
        print(f"  {out / path}")
    return DONE


def evaluate(settings: EvalSettings) -> int:
    """`recon eval`: results beside their ground truth, as a table and as JSON."""
    from recon.eval.eval_report import FILE_NAME, compare, print_comparison, write_comparison
    from recon.report import report_warnings

    if not settings.paths:
        raise InputError("nothing to evaluate: recon eval RESULT..., or recon eval SCENE... --model MODEL")
    for option in ("cameras", "weights"):
        if not settings.model and getattr(settings, option) != getattr(EvalSettings, option):
            raise InputError(f"{option} is for runs of a --model, and none is named")
    comparisons: dict[Path, tuple[dict[str, Path], Path | None]] = {}
    if settings.model:
        for scene, name in zip(settings.paths, _names_apart(settings.paths), strict=True):
            results = _run_on_scene(scene, settings, settings.out / name)
            comparisons[settings.out / name / FILE_NAME] = (results, settings.truth or scene)
    else:
        labels = _names_apart(settings.paths)
        comparisons[settings.out / FILE_NAME] = (dict(zip(labels, settings.paths, strict=True)), settings.truth)
    for path, (results, truth) in comparisons.items():
        with report_warnings():
            comparison = compare(results, truth, settings.options())
        print_comparison(comparison)
        print(f"the same as JSON: {write_comparison(path, comparison)}")
    return DONE


def _run_on_scene(scene: Path, settings: EvalSettings, out: Path) -> dict[str, Path]:
    """The results of each model on the photos of a scene with ground truth, by model, in folders under `out`."""
    from recon.eval.ground_truth import read_ground_truth
    from recon.model_choice import MVS

    paths = read_ground_truth(scene).image_paths
    photos = tuple(path for path in paths if path.is_file() and path.parent.name != "held_out")
    if not photos:
        raise InputError(f"{scene}: none of its images is there")
    results = {name: out / name for name in settings.model}
    for name, folder in results.items():
        run(
            RunSettings(
                inputs=photos,
                model=name,
                cameras=settings.cameras,
                weights="official" if name == MVS else settings.weights,
                export="npz-gs_ply",
                out=folder,
            )
        )
    return results


def _names_apart(paths: Sequence[Path]) -> list[str]:
    """A relative path for each of these: its last parts, as many as it takes to tell them apart."""
    parts = [path.expanduser().resolve().parts[1:] for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(ends[-count:]) for ends in parts]
        if len(set(names)) == len(names):
            return names
    raise InputError("the same folder is given twice")


def _model_name(settings: RunSettings) -> str:
    """The preset named, the one that the weights named are for, or the best there is."""
    from recon.model_choice import AUTO, choose_model

    if settings.model != AUTO:
        return settings.model
    if settings.weights == "official":
        return choose_model(settings.commercial_only)
    if settings.weights == "none":
        return "da3-large"

    from recon.models.ready import preset_of_checkpoint

    return preset_of_checkpoint(settings.weights, revision=settings.revision)[0]


def _ready(name: str, settings: RunSettings, progress: ProgressReport) -> ReadyModel | StereoModel:
    """The model of that name. Torch is imported, and weights are downloaded, only here."""
    from recon.model_choice import AUTO, MVS, without_weights

    if name == MVS:
        if settings.device not in ("auto", "cpu"):  # before the photos are matched; else torch is not needed
            from recon.models.device import choose_device

            choose_device(settings.device)
        from recon.mvs.model import StereoModel
        from recon.mvs.stereo import StereoOptions

        said = (without_weights(settings.commercial_only),) if settings.model == AUTO else ()
        for message in said:
            warn(message)
        options = StereoOptions(fill=settings.fill, device=settings.device)  # type: ignore[arg-type]  # which checks it
        return StereoModel(options, warnings=said)

    from recon.models.device import choose_device
    from recon.models.precision import resolve_precision
    from recon.models.ready import ready_model

    device = choose_device(settings.device)
    resolve_precision(settings.precision, device)
    progress.begin(f"load {name}")
    model = ready_model(
        name,
        weights=None if settings.weights == "none" else settings.weights,
        seed=settings.seed,
        precision=settings.precision,
        engine=settings.engine,
        revision=settings.revision,
        commercial_only=settings.commercial_only,
    )
    model.network.to(device)
    return model


def export_again(settings: ExportSettings) -> int:
    """`recon export`: formats from a result that holds everything, and a note in the run's `run.json`."""
    from recon.export import check_options, export, parse_formats, read_npz
    from recon.export.option_texts import parse_export_kwargs
    from recon.option_use import check_use, parts_of_export
    from recon.pipeline import format_options
    from recon.report import ProgressReport, print_exports, report_warnings
    from recon.run_record import add_exports, read_record, run_folder
    from recon.splat import with_gaussians

    formats = parse_formats(settings.to)
    export_kwargs = parse_export_kwargs(settings.export_kwargs)
    options = format_options(settings, export_kwargs)
    check_options(options)
    check_use(settings, parts_of_export(formats), export_kwargs)
    out = settings.out.expanduser() if settings.out is not None else run_folder(settings.result)
    record = read_record(out)
    with report_warnings(), ProgressReport() as progress, collect_warnings() as messages:
        progress.begin(f"read {settings.result.name}")
        prediction = with_gaussians(read_npz(settings.result), settings, formats)
        progress.begin(f"export {settings.to}")
        exported = export(prediction, formats, out, options)
        add_exports(out, record, settings.result, exported, options, messages)
    print_exports(out, exported, messages)
    return DONE


def write_onnx(settings: OnnxExportSettings) -> int:
    """`recon export-onnx`: a network as a file, and how far it is from torch."""
    from recon.models.presets import load_preset
    from recon.onnx.export import check_request, export_onnx
    from recon.report import ProgressReport, report_warnings

    preset, options = load_preset(settings.model), settings.options()
    check_request(preset, settings.out, options)

    from recon.models.ready import ready_model

    with report_warnings(), ProgressReport() as progress:
        progress.begin(f"load {preset.name}")
        model = ready_model(
            preset.name,
            weights=None if settings.weights == "none" else settings.weights,
            seed=settings.seed,
            revision=settings.revision,
            commercial_only=settings.commercial_only,
        )
        progress.begin(f"write and check {settings.out.name}")
        written = export_onnx(model, settings.out, options)
    print(written.summary())
    return DONE


def list_models() -> int:
    """`recon models`: one line per preset."""
    from recon.models.hub import is_cached
    from recon.models.presets import load_preset, preset_names
    from recon.report import print_table

    presets = [load_preset(name) for name in preset_names()]
    rows = [
        (
            preset.name,
            f"{preset.parameters / 1e6:,.0f} M",
            ", ".join(preset.abilities),
            preset.licence,
            "yes" if is_cached(preset.hub_repo, files=preset.hub_files) else "no",
        )
        for preset in presets
    ]
    rows.append(("mvs", "", "depth and confidence of several views, without a network", "no weights", "yes"))
    print_table(("model", "parameters", "abilities", "licence", "cached"), rows, right_aligned=("parameters",))
    return DONE


def _name_of(inputs: Sequence[Path]) -> str:
    """What the results of these inputs are called: the folder, the photo, or the folder the photos are in."""
    first = inputs[0].expanduser().absolute()
    if len(inputs) > 1:
        parents = {path.expanduser().absolute().parent for path in inputs}
        return (first.parent.name if len(parents) == 1 else first.stem) or "photos"
    resolved = first.resolve()
    return (resolved.name if resolved.is_dir() else resolved.stem) or "photos"


def _is_one_photo(inputs: Sequence[Path]) -> bool:
    from recon.scene.images import list_images

    path = inputs[0].expanduser()
    return len(inputs) == 1 and (path.is_file() or len(list_images(path)) == 1)


if __name__ == "__main__":
    sys.exit(main())
