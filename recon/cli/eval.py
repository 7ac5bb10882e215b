"""`recon eval`: results beside their ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recon.choices import MVS, SplatOptimisation, WeightsOptions
from recon.cli.command import Command, CommandOptions
from recon.cli.run import RunSettings, run
from recon.errors import InputError
from recon.eval.eval_options import EvalOptions
from recon.options import asked_for, like, option, part_of

_ONLY_WITH_MODELS = ("cameras", "weights", "gs_iterations")


@dataclass(frozen=True, kw_only=True)
class EvalSettings(EvalOptions, CommandOptions):
    """Compare results with ground truth: cameras, depth, surface, novel views."""

    paths: tuple[Path, ...] = option(
        (),
        help="Results of runs, compared side by side; with --model, scenes with ground truth.",
        positional=True,
        metavar="PATH",
    )
    truth: Path | None = option(
        None, help="Folder of the scene's ground truth [the one that the photos of the first run lie in]."
    )
    model: tuple[str, ...] = option(
        (), help="Run this model on each scene first; may be given several times, to compare.", metavar="MODEL"
    )
    cameras: str | None = like(RunSettings, "cameras", help="With --model: 'sfm', or a file, as for `recon run`.")
    weights: str = like(WeightsOptions, "weights", help="With --model: as for `recon run`.")
    gs_iterations: int | None = like(SplatOptimisation, "gs_iterations", help="With --model: as for `recon run`.")
    out: Path = option(Path("outputs/eval"), help="Folder for eval.json, and with --model for the results.")


def evaluate(settings: EvalSettings) -> None:
    """A table, and the same as JSON, for each scene."""
    from recon.cli.comparison import print_comparison
    from recon.cli.report import report_warnings
    from recon.eval.eval_report import FILE_NAME, compare, write_comparison

    if not settings.paths:
        raise InputError("nothing to evaluate: recon eval RESULT..., or recon eval SCENE... --model MODEL")
    for one in asked_for(settings):
        if one.name in _ONLY_WITH_MODELS and not settings.model:
            raise InputError(f"{one.name} is for runs of a --model, and none is named")
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
            comparison = compare(results, truth, part_of(settings, EvalOptions))
        print_comparison(comparison)
        print(f"the same as JSON: {write_comparison(path, comparison)}")


def _run_on_scene(scene: Path, settings: EvalSettings, out: Path) -> dict[str, Path]:
    """The results of each model on the photos of a scene with ground truth, by model, in folders under `out`."""
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
                gs_iterations=settings.gs_iterations,
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


EVAL = Command("eval", EvalSettings, evaluate)
