"""`recon run`: photos to files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recon.choices import EstimatorOptions, FormatKwargs, FormatsOption, FreshOption, InferenceOptions, InputsOption
from recon.cli.command import Command, CommandOptions
from recon.cli.output_folder import default_folder
from recon.cli.settings_file import read_settings_file
from recon.errors import InputError
from recon.messages import collect_warnings, warn
from recon.options import option, part_of, settings_entry
from recon.progress import listen

if TYPE_CHECKING:
    from recon.estimate.choice import Choice
    from recon.refine.splat_start import SplatStart


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
        help="Known cameras: a COLMAP model, a transforms.json, a cameras.json, an earlier run's run.json "
        "or results.npz, .npz in image order (intrinsics of the upright originals), a trajectory (TUM, KITTI); or "
        "'sfm': found in the photos themselves, by structure from motion, as mvs does when none are given; or 'exif': "
        "intrinsics by EXIF (or assumed), as networks do that predict no cameras.",
        may_be_path=True,
        metavar="FILE",
    )
    intrinsics: str | None = option(
        None,
        help="Intrinsics of all photos, where their cameras come without: FX,FY,CX,CY in pixels of the upright "
        "originals, with K1,K2,P1,P2,… of OpenCV behind them for a lens that bends; or a file: these numbers, 3×3, "
        "KITTI's calib.txt, .npy.",
        may_be_path=True,
        metavar="LENS",
    )


def run(settings: RunSettings) -> None:
    """Reconstruct, and show a table of what was written."""
    from recon.estimate.choice import choose

    carry_out("run", settings, choose)


def carry_out(
    name: str,
    settings: RunSettings,
    choose: Callable[[RunSettings], Choice],
    start: SplatStart | None = None,
    said: Sequence[str] = (),
    ending: str = "",
) -> None:
    """The road of every command that makes a run.

    Args:
        name: of the command.
        settings: of the command.
        choose: gives what makes the depth.
        start: what splats begin from, where the command is to train some.
        said: what was warned of before.
        ending: of the name of the folder for its results, where none is given.
    """
    from recon.cli.report import ProgressReport, print_summary, report_warnings
    from recon.export import check_options, parse_formats
    from recon.export.option_texts import parse_export_kwargs
    from recon.run.given_cameras import EXIF, SFM, GivenCameras
    from recon.run.option_use import check_use, parts_of_run
    from recon.run.pipeline import reconstruct
    from recon.run.plan import cameras_known, usual_cameras
    from recon.run.request import check_request
    from recon.sources.cameras_file import check_place
    from recon.sources.given_lens import read_lens

    if not settings.inputs:
        raise InputError(f"no photos given: recon {name} FOLDER, or recon {name} PHOTO...")
    out = settings.out if settings.out is not None else default_folder(settings.inputs, ending)
    inputs, options = list(settings.inputs), part_of(settings, InferenceOptions)
    export_kwargs = parse_export_kwargs(settings.export_kwargs)
    check_options(export_kwargs, options)
    if settings.cameras is not None and settings.cameras not in (SFM, EXIF):
        check_place(Path(settings.cameras))
    if settings.intrinsics is not None:
        read_lens(settings.intrinsics)
    chosen = choose(settings)
    profile, formats = chosen.profile, parse_formats(settings.export)
    with report_warnings(), collect_warnings() as of_opening, ProgressReport() as progress, listen(progress):
        source = check_request(profile, inputs, options, formats, out)
        count = len(source.names)  # of a video known when its frames are chosen
    cameras = settings.cameras or (None if settings.intrinsics else usual_cameras(profile, source))
    in_file = {} if settings.config is None else read_settings_file(settings.config, type(settings))
    known = cameras_known(source, GivenCameras(source=cameras))
    parts = parts_of_run(profile, options, formats, count, known, start)
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
            intrinsics=settings.intrinsics,
            cameras=cameras,
            options=options,
            export_dir=out,
            export_format=settings.export,
            export_kwargs=export_kwargs,
            settings={
                **settings_entry(settings),
                "inputs": [path.absolute() for path in inputs],  # to be found from any working folder
            },
            said=(*said, *of_opening, *of_settings),
            start=start,
            reuse=True,
            fresh=settings.fresh,
            progress=progress,
        )
    print_summary(out, result)


RUN = Command("run", RunSettings, run)
