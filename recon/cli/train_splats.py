"""`recon train-splats`: Gaussian splats fitted to photos with cameras, from any start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recon.choices import MVS, EstimatorOptions, ExportChoices, FormatsOption, SplatSource
from recon.cli.command import Command
from recon.cli.run import RunSettings, carry_out
from recon.errors import InputError
from recon.options import like, option

if TYPE_CHECKING:
    from recon.estimate.choice import Choice


@dataclass(frozen=True, kw_only=True)
class TrainSplatsSettings(RunSettings):
    """Fit Gaussian splats to photos with cameras: from depth, from sparse points, or from splats in a file."""

    start_from: str = option(
        "depth",
        help="What splats begin from: depth; points, those of the source or of structure from motion; or a .ply or "
        ".spz file of splats in the frame of the cameras.",
        may_be_path=True,
        metavar="START",
    )
    model: str = like(
        EstimatorOptions,
        "model",
        help="What finds depth, as for `recon run` [mvs where splats begin from depth, else none].",
    )
    gaussians: SplatSource = like(
        ExportChoices, "gaussians", default="depth", help="Of a start from depth: its splats, or those of a head."
    )
    export: str = like(FormatsOption, "export", default="gs_ply-gs_video")


def train_splats(settings: TrainSplatsSettings) -> None:
    """The road of `recon run`, with a start of the user's and without the depth that nobody asks for."""
    from recon.cli.report import report_warnings
    from recon.messages import collect_warnings
    from recon.refine.splat_start import SplatStart

    if settings.watch or settings.watch_idle is not None:
        raise InputError("watch is for recon run, which looks at photos as they arrive; leave it out")
    with report_warnings(), collect_warnings() as said:
        start = SplatStart.of(settings.start_from)

    def choose_for_start(settings: RunSettings) -> Choice:
        from recon.estimate.choice import AUTO, choose, without_depth

        if settings.model != AUTO or settings.onnx is not None:
            return choose(settings)
        return choose(replace(settings, model=MVS)) if start.needs_depth else without_depth()

    carry_out("train-splats", settings, choose_for_start, start, said, ending="-splats")


TRAIN_SPLATS = Command("train-splats", TrainSplatsSettings, train_splats)
