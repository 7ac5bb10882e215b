"""`recon run`: photos to files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.choices import EstimatorOptions, FormatKwargs, FormatsOption, FreshOption, InferenceOptions, InputsOption
from recon.cli.command import Command, CommandOptions
from recon.cli.output_folder import default_folder
from recon.cli.settings_file import read_settings_file
from recon.errors import InputError
from recon.messages import collect_warnings, warn
from recon.options import option, part_of, settings_entry
from recon.progress import listen


@dataclass(frozen=True, kw_only=True)
class RunSettings(
    FreshOption, InferenceOptions, EstimatorOptions, FormatKwargs, FormatsOption, InputsOption, CommandOptions
):
    """Photos to depth, cameras and a point cloud."""

    out: Path | None = option(
        None,
        help="Folder for the results [by the input, under outputs]. Files that an earlier run wrote there are "
        "replaced or removed, all others left alone.",
    )
    config: str | None = option(
        None,
        help="YAML file with any of these settings, or a name: best, commercial, quick. Flags win over it.",
        may_be_path=True,
        in_files=False,
        metavar="FILE",
    )
    cameras: str | None = option(
        None,
        help="Known cameras: .json by image name, or .npz in image order (intrinsics of the upright originals), or an "
        "earlier run's results.npz or run.json; or "
        "'sfm': found in the photos themselves, by structure from motion, as mvs does when none are given; or 'exif': "
        "intrinsics by EXIF (or assumed), as networks do that predict no cameras.",
        may_be_path=True,
        metavar="FILE",
    )


def run(settings: RunSettings) -> None:
    """Reconstruct, and show a table of what was written."""
    from recon.cli.report import ProgressReport, print_summary, report_warnings
    from recon.estimate.choice import choose
    from recon.export import check_options, parse_formats
    from recon.export.option_texts import parse_export_kwargs
    from recon.run.option_use import check_use, parts_of_run
    from recon.run.pipeline import reconstruct
    from recon.run.plan import EXIF, SFM, GivenCameras, cameras_known, usual_cameras
    from recon.run.request import check_request

    if not settings.inputs:
        raise InputError("no photos given: recon run FOLDER, or recon run PHOTO...")
    out = settings.out if settings.out is not None else default_folder(settings.inputs)
    inputs, options = list(settings.inputs), part_of(settings, InferenceOptions)
    export_kwargs = parse_export_kwargs(settings.export_kwargs)
    check_options(export_kwargs, options)
    if settings.cameras not in (None, SFM, EXIF) and not Path(settings.cameras).is_file():
        found = "a folder" if Path(settings.cameras).is_dir() else "no such file"
        raise InputError(
            f"--cameras {settings.cameras}: {found}; give a .json or .npz file, such as the run.json of an earlier "
            f"run, or {SFM} or {EXIF}"
        )
    chosen = choose(settings)
    profile, formats = chosen.profile, parse_formats(settings.export)
    with report_warnings(), collect_warnings() as of_opening, ProgressReport() as progress, listen(progress):
        source = check_request(profile, inputs, options, formats, out)
        count = len(source.names)  # of a video known when its frames are chosen
    cameras = settings.cameras or usual_cameras(profile, source)
    in_file = {} if settings.config is None else read_settings_file(settings.config, RunSettings)
    known = cameras_known(source, GivenCameras(source=cameras))
    parts = parts_of_run(profile, options, formats, count, known)
    in_vain = check_use(settings, parts, export_kwargs, in_file)
    if profile.needs.least_views > 1 and count == 1:
        raise InputError(
            f"{inputs[0]}: one photo shows no depth to {profile.name}, it takes several or a network; "
            "`--model da3-small` downloads one, or `--weights FOLDER` takes it from a folder"
        )

    with report_warnings(), ProgressReport() as progress:
        estimator = chosen.open(progress.begin)
        of_settings = [f"{settings.config}: {message}" for message in in_vain]
        for message in of_settings:
            warn(message)
        result = reconstruct(
            estimator,
            source,
            cameras=cameras,
            options=options,
            export_dir=out,
            export_format=settings.export,
            export_kwargs=export_kwargs,
            settings={
                **settings_entry(settings),
                "inputs": [path.absolute() for path in inputs],  # to be found from any working folder
            },
            said=(*of_opening, *of_settings),
            reuse=True,
            fresh=settings.fresh,
            progress=progress,
        )
    print_summary(out, result)


RUN = Command("run", RunSettings, run)
