"""Several evaluations of one scene side by side, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from recon.errors import InputError
from recon.eval.eval_options import EvalOptions
from recon.eval.evaluate import Evaluation, evaluate
from recon.eval.ground_truth import is_ground_truth, read_ground_truth
from recon.eval.paired import PairedDifference, paired_differences
from recon.eval.results import read_result
from recon.eval.truth import GroundTruth
from recon.files import atomic_write
from recon.run.record import EVALUATION_NAME, record_of_files, run_folder, to_json
from recon.version import __version__

FILE_NAME = EVALUATION_NAME


@dataclass(frozen=True)
class Comparison:
    """Results of one scene beside its ground truth."""

    truth: GroundTruth
    """Of the scene."""
    options: EvalOptions
    """Of all evaluations."""
    results: dict[str, Path]
    """The file of each result, by label."""
    evaluations: dict[str, Evaluation]
    """By the same labels, in the same order."""
    sides: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Labels by the name of each side, where sides are compared pair by pair."""

    @property
    def differences(self) -> dict[str, tuple[PairedDifference, ...]]:
        """Of each further side from the first, by its name."""
        names = list(self.sides)
        found = {name: [self.evaluations[label] for label in labels] for name, labels in self.sides.items()}
        return {name: paired_differences(found[names[0]], found[name]) for name in names[1:]}


def compare(
    results: Mapping[str, Path],
    truth: Path | None = None,
    options: EvalOptions | None = None,
    sides: Mapping[str, Sequence[str]] | None = None,
) -> Comparison:
    """Evaluate the runs, given by label as folders or `results.npz` files.

    Args:
        results: at least one.
        truth: folder of the scene; by default the one that the photos of the first run came from.
        options: of the evaluations.
        sides: labels by the name of each side, for a comparison of sides pair by pair: as many on each.

    Raises:
        InputError: no ground truth is found, a run has no result, or does not fit the scene, or sides differ in number.
    """
    if not results:
        raise InputError("no results to evaluate; give the folder of a run")
    options = EvalOptions() if options is None else options
    first = next(iter(results.values()))
    if truth is None and is_ground_truth(first):
        raise InputError(f"{first} is a scene with ground truth, not a result: name a model to run on it, --model mvs")
    loaded = {label: read_result(path) for label, path in results.items()}
    truth = truth_of_run(first) if truth is None else truth
    if truth is None:
        raise InputError(f"the photos of {first} have no ground truth beside them; name the scene with --truth FOLDER")
    known = read_ground_truth(truth)
    return Comparison(
        truth=known,
        options=options,
        results={label: result.path for label, result in loaded.items()},
        evaluations={label: evaluate(result, known, options) for label, result in loaded.items()},
        sides={name: tuple(labels) for name, labels in (sides or {}).items()},
    )


def truth_of_run(path: Path) -> Path | None:
    """The folder with ground truth that the photos of a run lie in, by its `run.json`; None where there is none."""
    given = path.expanduser()
    record = record_of_files(given if given.is_dir() else run_folder(given))
    inputs = (record or {}).get("settings", {}).get("inputs", [])
    for text in inputs if isinstance(inputs, list) else []:
        photos = Path(str(text)).expanduser().absolute()
        for folder in (photos, *photos.parents[:3]):
            if is_ground_truth(folder):
                return folder
    return None


def write_comparison(path: Path, comparison: Comparison) -> Path:
    """Write the JSON, whole or not at all; what is not finite, such as the PSNR of equal pictures, is null."""
    content = {
        "versions": {"recon": __version__},
        "ground_truth": {"path": str(comparison.truth.path), "layout": comparison.truth.layout},
        "options": asdict(comparison.options),
        "results": {
            label: {"path": str(comparison.results[label]), **asdict(evaluation)}
            for label, evaluation in comparison.evaluations.items()
        },
        "sides": {name: list(labels) for name, labels in comparison.sides.items()},
        "differences": {name: [asdict(one) for one in found] for name, found in comparison.differences.items()},
    }
    with atomic_write(path) as temporary:
        temporary.write_text(to_json(content), encoding="utf-8")
    return path
