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

_ONLY_WITH_MODELS = ("cameras", "weights", "gs_iterations", "seeds")


@dataclass(frozen=True, kw_only=True)
class EvalSettings(EvalOptions, CommandOptions):
    """Compare results with ground truth: cameras, depth, surface, novel views."""

    paths: tuple[Path, ...] = option(
        (),
        help="Results of runs, compared side by side; with --model, scenes with ground truth.",
        positional=True,
        metavar="PATH",
    )
    against: tuple[Path, ...] = option(
        (),
        help="Compare the results pair by pair with these, as many and in the same order: mean differences and their "
        "standard errors. May be given several times.",
        metavar="PATH",
    )
    seeds: int = option(
        1, help="With --model: run each with this many seeds, and compare models pair by pair over them.", least=1
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
    if settings.against and settings.model:
        raise InputError("against is for results that are there, and --model makes some: give it several times instead")
    comparisons: dict[Path, tuple[dict[str, Path], Path | None, dict[str, list[str]]]] = {}
    if settings.model:
        for scene, name in zip(settings.paths, _names_apart(settings.paths), strict=True):
            sides = _run_on_scene(scene, settings, settings.out / name)
            results = {label: path for side in sides.values() for label, path in side.items()}
            paired = {model: list(side) for model, side in sides.items()} if settings.seeds > 1 else {}
            comparisons[settings.out / name / FILE_NAME] = (results, settings.truth or scene, paired)
    else:
        paths = (*settings.paths, *settings.against)
        labels = _names_apart(paths)
        count = len(settings.paths)
        paired = {"first": labels[:count], "second": labels[count:]} if settings.against else {}
        comparisons[settings.out / FILE_NAME] = (dict(zip(labels, paths, strict=True)), settings.truth, paired)
    for path, (results, truth, paired) in comparisons.items():
        with report_warnings():
            comparison = compare(results, truth, part_of(settings, EvalOptions), paired)
        print_comparison(comparison)
        print(f"the same as JSON: {write_comparison(path, comparison)}")


def _run_on_scene(scene: Path, settings: EvalSettings, out: Path) -> dict[str, dict[str, Path]]:
    """By model, its results on the photos of a scene with ground truth, in folders under `out` that they are named by.

    One for each seed.
    """
    from recon.eval.ground_truth import read_ground_truth

    paths = read_ground_truth(scene).image_paths
    photos = tuple(path for path in paths if path.is_file() and path.parent.name != "held_out")
    if not photos:
        raise InputError(f"{scene}: none of its images is there")
    results = {
        name: {f"{name}/seed-{seed}" if settings.seeds > 1 else name: seed for seed in range(settings.seeds)}
        for name in settings.model
    }
    for name, labels in results.items():
        for label, seed in labels.items():
            run(
                RunSettings(
                    inputs=photos,
                    model=name,
                    cameras=settings.cameras,
                    weights="official" if name == MVS else settings.weights,
                    gs_iterations=settings.gs_iterations,
                    seed=seed,
                    export="npz-gs_ply",
                    out=out / label,
                )
            )
    return {name: {label: out / label for label in labels} for name, labels in results.items()}


def _names_apart(paths: Sequence[Path]) -> list[str]:
    """A relative path for each of these: its last parts, as many as it takes to tell them apart."""
    parts = [path.expanduser().resolve().parts[1:] for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(ends[-count:]) for ends in parts]
        if len(set(names)) == len(names):
            return names
    raise InputError("the same folder is given twice")


EVAL = Command("eval", EvalSettings, evaluate)
