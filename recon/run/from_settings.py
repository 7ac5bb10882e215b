"""A run as its settings say, from the check of what they ask for to its files: the road of commands and services."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from recon.choices import InferenceOptions, RunOptions
from recon.errors import InputError
from recon.estimate.choice import Choice
from recon.estimate.estimator import Profile
from recon.estimate.prior import profile_with_priors
from recon.export import Overrides, check_formats, check_options, parse_formats
from recon.export.option_texts import parse_export_kwargs
from recon.messages import collect_warnings, warn
from recon.options import part_of, settings_entry
from recon.progress import Progress, listen
from recon.refine.splat_start import SplatStart
from recon.run.given_cameras import WORDS, GivenCameras, check_spelling
from recon.run.known_depth import check_known_depth
from recon.run.option_use import check_use, parts_of_run
from recon.run.pipeline import Reconstruction, reconstruct
from recon.run.plan import cameras_known, usual_cameras
from recon.run.request import check_request
from recon.run.settings_file import read_settings_file
from recon.run.window_choice import choose_windows
from recon.sources.cameras_file import check_place
from recon.sources.given_lens import read_lens

Settings = TypeVar("Settings", bound=RunOptions)


class Shown(Protocol):
    """Whoever is told how far the run is."""

    def __call__(self, event: Progress) -> None:
        """Where it is."""

    def begin(self, what: str) -> None:
        """A step before its stages, such as a download."""


@dataclass(frozen=True)
class CheckedSettings:
    """What settings ask for, whatever the input is."""

    chosen: Choice
    profile: Profile
    """With the depth that is known."""
    formats: tuple[str, ...]
    export_kwargs: Overrides


def check_settings(settings: Settings, choose: Callable[[Settings], Choice]) -> CheckedSettings:
    """Refuse what is wrong whatever the input is. Raises InputError."""
    options = part_of(settings, InferenceOptions)
    export_kwargs = parse_export_kwargs(settings.export_kwargs)
    format_options = check_options(export_kwargs, options)
    if settings.cameras is not None and settings.cameras not in WORDS:
        check_spelling(settings.cameras)
        check_place(Path(settings.cameras))
    if settings.intrinsics is not None:
        read_lens(settings.intrinsics)
    chosen = choose(settings)
    profile, formats = profile_with_priors(chosen.profile, settings.depth_prior), parse_formats(settings.export)
    check_formats(formats, format_options)
    return CheckedSettings(chosen, profile, formats, export_kwargs)


def reconstruct_as_set(
    settings: Settings,
    out: Path,
    choose: Callable[[Settings], Choice],
    report: Callable[[], AbstractContextManager[Shown]],
    config: str | None = None,
    start: SplatStart | None = None,
    said: Sequence[str] = (),
) -> Reconstruction:
    """Run the whole way from `settings.inputs` to files in `out`, going on from what an earlier run kept there.

    Args:
        settings: what to do.
        out: folder for the results.
        choose: gives what makes the depth.
        report: gives a context in which progress is told, and warnings are shown; entered twice.
        config: name or path of the file of settings that `settings` began from.
        start: what splats begin from, where the run is to train some.
        said: what was warned of before.

    Raises:
        InputError: a wish that cannot be met, before anything costly is done as far as it can be known by then.
    """
    inputs, options = list(settings.inputs), part_of(settings, InferenceOptions)
    checked = check_settings(settings, choose)
    chosen, profile, formats, export_kwargs = checked.chosen, checked.profile, checked.formats, checked.export_kwargs
    with report() as progress, collect_warnings() as of_opening, listen(progress):
        source = check_request(profile, inputs, options, formats, out)
        count = len(source.names)  # of a video known when its frames are chosen
    in_windows = choose_windows(profile, source, options, formats, out) is not None
    cameras = settings.cameras or usual_cameras(profile, source, settings.intrinsics is not None, in_windows)
    check_known_depth(source, GivenCameras(source=cameras), options, chosen.model.split("+"))
    in_file = {} if config is None else read_settings_file(config, type(settings), part=True)
    known = cameras_known(source, GivenCameras(source=cameras))
    parts = parts_of_run(profile, options, formats, count, known, start)
    in_vain = check_use(settings, parts, export_kwargs, in_file)
    if profile.needs.least_views > 1 and count == 1:
        raise InputError(
            f"{inputs[0]}: one photo shows no depth to {profile.name}, it takes several or a network; "
            "`--model da3-small` downloads one, or `--weights FOLDER` takes it from a folder"
        )

    with report() as progress:
        estimator = chosen.open(progress.begin)
        of_settings = [f"{config}: {message}" for message in in_vain]
        for message in of_settings:
            warn(message)
        return reconstruct(
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
