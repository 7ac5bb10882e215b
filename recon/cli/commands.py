"""What each command of `recon` does with its settings.

What a command needs is imported when it runs: the command line is to answer at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from recon.cli.command_settings import DemoSettings, EvalSettings, ExportSettings, OnnxExportSettings
from recon.errors import InputError
from recon.messages import collect_warnings, warn
from recon.options import ExportChoices, MonoCommand, RunSettings, load_settings

_DEMO_FORMATS = "mini_npz-glb-gs_ply-gs_video-depth_vis"


def run(settings: RunSettings) -> None:
    """`recon run`: photos to files, and a table of what was written."""
    from recon.cli.report import ProgressReport, print_summary, report_warnings
    from recon.estimate.choice import EstimatorSettings, choose
    from recon.export import check_options, parse_formats
    from recon.export.option_texts import parse_export_kwargs
    from recon.run.format_options import format_options
    from recon.run.option_use import check_use, parts_of_run
    from recon.run.pipeline import reconstruct
    from recon.run.plan import SFM
    from recon.run.request import check_request

    if not settings.inputs:
        raise InputError("no photos given: recon run FOLDER, or recon run PHOTO...")
    out = settings.out if settings.out is not None else Path("outputs") / _name_of(settings.inputs)
    inputs, options = list(settings.inputs), settings.inference_options()
    export_kwargs = parse_export_kwargs(settings.export_kwargs)
    check_options(format_options(options, export_kwargs))
    if settings.cameras not in (None, SFM) and not Path(settings.cameras).is_file():
        raise InputError(f"--cameras {settings.cameras}: no such file")
    chosen = choose(EstimatorSettings(**{f.name: getattr(settings, f.name) for f in fields(EstimatorSettings)}))
    profile, formats = chosen.profile, parse_formats(settings.export)
    check_request(profile, inputs, options, formats, out)
    file = None if settings.config is None else load_settings(settings.config)
    in_vain = check_use(settings, parts_of_run(profile, options, formats), export_kwargs, file)
    if profile.needs.least_views > 1 and _is_one_photo(inputs):
        raise InputError(
            f"{inputs[0]}: one photo shows no depth to {profile.name}, it takes several or a network; "
            "`--model da3-small` downloads one, or `--weights FOLDER` takes it from a folder"
        )

    with report_warnings(), ProgressReport() as progress:
        estimator = chosen.open(progress.begin)
        said = [f"{settings.config}: {message}" for message in in_vain]
        for message in said:
            warn(message)
        result = reconstruct(
            estimator,
            inputs,
            cameras=settings.cameras or (SFM if profile.needs.cameras else None),
            options=options,
            export_dir=out,
            export_format=settings.export,
            export_kwargs=export_kwargs,
            settings={
                **{f.name: getattr(settings, f.name) for f in fields(RunSettings)},
                "inputs": [path.expanduser().absolute() for path in inputs],  # to be found from any working folder
            },
            said=said,
            progress=progress,
        )
    print_summary(out, result)


def mono(settings: MonoCommand) -> None:
    """`recon mono`: a folder of files for each photo, and a line for each on stdout."""
    from recon.cli.report import ProgressReport, print_mono, report_warnings
    from recon.export import check_options, parse_formats
    from recon.export.option_texts import parse_export_kwargs
    from recon.run.mono import run_mono
    from recon.run.option_use import check_use

    if not settings.inputs:
        raise InputError("no photos given: recon mono PHOTO..., or recon mono FOLDER")
    out = settings.out if settings.out is not None else Path("outputs") / _name_of(settings.inputs)
    with report_warnings(), ProgressReport() as progress:
        export_kwargs = parse_export_kwargs(settings.export_kwargs)
        check_options(export_kwargs)
        check_use(ExportChoices(), parse_formats(settings.export) if settings.export else (), export_kwargs)
        result = run_mono(settings, out, export_kwargs=export_kwargs, progress=progress)
    print_mono(out, result)


def demo(settings: DemoSettings) -> None:
    """`recon demo`: a sample scene from its photos alone, beside the truth."""
    from recon.cli.comparison import print_comparison
    from recon.eval.eval_report import FILE_NAME, compare, write_comparison
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


def evaluate(settings: EvalSettings) -> None:
    """`recon eval`: results beside their ground truth, as a table and as JSON."""
    from recon.cli.comparison import print_comparison
    from recon.cli.report import report_warnings
    from recon.eval.eval_report import FILE_NAME, compare, write_comparison

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


def _run_on_scene(scene: Path, settings: EvalSettings, out: Path) -> dict[str, Path]:
    """The results of each model on the photos of a scene with ground truth, by model, in folders under `out`."""
    from recon.estimate.choice import MVS
    from recon.eval.ground_truth import read_ground_truth

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


def export_again(settings: ExportSettings) -> None:
    """`recon export`: formats from a result that holds everything, and a note in the run's `run.json`."""
    from recon.cli.report import ProgressReport, print_exports, report_warnings
    from recon.export import check_options, export, parse_formats, read_npz
    from recon.export.option_texts import parse_export_kwargs
    from recon.refine.splat import with_gaussians
    from recon.run.format_options import format_options
    from recon.run.option_use import check_use, parts_of_export
    from recon.run.record import add_exports, read_record, run_folder

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


def write_onnx(settings: OnnxExportSettings) -> None:
    """`recon export-onnx`: a network as a file, and how far it is from torch."""
    from recon.cli.report import ProgressReport, report_warnings
    from recon.models.onnx.export import check_request, export_onnx
    from recon.models.presets import load_preset

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


def list_models() -> None:
    """`recon models`: one line per preset."""
    from recon.cli.report import print_table
    from recon.models.hub import is_cached
    from recon.models.presets import load_preset, preset_names

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


def _name_of(inputs: Sequence[Path]) -> str:
    """What the results of these inputs are called: the folder, the photo, or the folder the photos are in."""
    first = inputs[0].expanduser().absolute()
    if len(inputs) > 1:
        parents = {path.expanduser().absolute().parent for path in inputs}
        return (first.parent.name if len(parents) == 1 else first.stem) or "photos"
    resolved = first.resolve()
    return (resolved.name if resolved.is_dir() else resolved.stem) or "photos"


def _is_one_photo(inputs: Sequence[Path]) -> bool:
    from recon.sources.images import list_images

    path = inputs[0].expanduser()
    return len(inputs) == 1 and (path.is_file() or len(list_images(path)) == 1)
