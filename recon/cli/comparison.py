"""Evaluations side by side, as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from recon.cli.report import print_table

if TYPE_CHECKING:
    from recon.eval.eval_report import Comparison
    from recon.eval.evaluate import Evaluation

_UNKNOWN = "–"


def print_comparison(comparison: Comparison) -> None:
    """The table on stdout: one column for each result; what is unknown is left open, and the notes say why."""
    truth, evaluations = comparison.truth, comparison.evaluations
    print(f"{truth.path}: {truth.layout}, {len(truth.image_names)} views")
    if comparison.sides:
        _print_differences(comparison)
        return
    labels = list(evaluations)
    print_table(("", *labels), table_rows(list(evaluations.values())), right_aligned=labels)
    for label, evaluation in evaluations.items():
        for note in evaluation.notes:
            print(f"- {note}" if len(labels) == 1 else f"- {label}: {note}")


def _print_differences(comparison: Comparison) -> None:
    first = next(iter(comparison.sides))
    for name, differences in comparison.differences.items():
        head = ("mean of pairs", first, name, "difference")
        rows = [
            (
                one.name,
                f"{one.first:.5g}",
                f"{one.second:.5g}",
                f"{one.difference:+.3g}" + ("" if one.standard_error is None else f" ± {one.standard_error:.2g}"),
            )
            for one in differences
        ]
        print_table(head, rows, right_aligned=head[1:])


def table_rows(evaluations: Sequence[Evaluation]) -> list[tuple[str, ...]]:
    """The rows of the table: a name and one text for each evaluation. Rows that nothing is known for are left out."""
    rows = []
    for section in (_view_rows, _camera_rows, _depth_rows, _surface_rows, _novel_view_rows):
        columns = [section(evaluation) for evaluation in evaluations]
        for name in dict.fromkeys(name for column in columns for name in column):
            texts = [column.get(name) for column in columns]
            if any(text is not None for text in texts):
                rows.append((name, *(text or _UNKNOWN for text in texts)))
    return rows


def _view_rows(evaluation: Evaluation) -> dict[str, str | None]:
    failed = len(evaluation.failed_views)
    return {"views compared": str(evaluation.views), "views that failed": str(failed) if failed else None}


def _camera_rows(evaluation: Evaluation) -> dict[str, str | None]:
    scores = evaluation.cameras
    if scores is None:
        return {}
    thresholds = ", ".join(map(str, scores.auc or ()))
    return {
        "relative rotation, median error": _shown("{:.3f}°", scores.rotation_median),
        "relative translation direction, median error": _shown("{:.3f}°", scores.translation_median),
        f"AUC at {thresholds}°": _curve(scores.auc),
        f"rotation AUC at {thresholds}°": _curve(scores.rotation_auc),
        f"exact AUC at {', '.join(f'{t:g}' for t in scores.exact_auc or ())}°": _curve(scores.exact_auc),
        "ATE after Sim(3), RMSE": _shown(
            f"{{:.4g}} {evaluation.units} ({{:.2f}} %)", scores.ate_rmse, scores.ate_percent
        ),
        "focal length, median error": _shown("{:.2%}", scores.focal_error),
    }


def _depth_rows(evaluation: Evaluation) -> dict[str, str | None]:
    rows: dict[str, str | None] = {}
    if evaluation.depth:
        scores = evaluation.depth[evaluation.alignment]
        rows = {
            "depth aligned by": evaluation.alignment,
            "depth AbsRel": _shown("{:.4f}", scores.abs_rel),
            "depth δ < 1.25": _shown("{:.4f}", scores.delta_125),
            "depth RMSE": _shown(f"{{:.4g}} {evaluation.units}", scores.rmse),
            "depth within 1 %, 5 %": _shown("{:.2%}  {:.2%}", scores.within_1_percent, scores.within_5_percent),
        }
    if evaluation.coverage is not None:
        rows["pixels kept"] = _shown("{:.2%}", evaluation.coverage.kept)
        rows["sky kept"] = _shown("{:.2%}", evaluation.coverage.sky_kept)
    return rows


def _surface_rows(evaluation: Evaluation) -> dict[str, str | None]:
    scores = evaluation.surface
    if scores is None:
        return {}
    return {
        "surface threshold": _shown(f"{{:.3g}} {evaluation.units}", scores.threshold),
        "surface F1": _shown("{:.4f}", scores.f1),
        "surface precision, recall": _shown("{:.4f}  {:.4f}", scores.precision, scores.recall),
        "surface Chamfer": _shown(f"{{:.4g}} {evaluation.units}", scores.chamfer),
    }


def _novel_view_rows(evaluation: Evaluation) -> dict[str, str | None]:
    scores = evaluation.novel_views
    if scores is None:
        return {}
    return {
        "novel views": str(scores.views),
        "novel views PSNR, SSIM": _shown("{:.2f} dB  {:.4f}", scores.psnr, scores.ssim),
        "novel views PSNR, SSIM without sky": _shown(
            "{:.2f} dB  {:.4f}", scores.psnr_without_sky, scores.ssim_without_sky
        ),
        "novel views PSNR, one gain per channel fitted": _shown("{:.2f} dB", scores.psnr_gained),
        "novel views PSNR, SSIM, cameras fitted": _shown("{:.2f} dB  {:.4f}", scores.psnr_fitted, scores.ssim_fitted),
        "novel views covered by splats": _shown("{:.2%}", scores.covered),
        "novel views PSNR where covered": _shown("{:.2f} dB", scores.psnr_covered),
    }


def _shown(template: str, *values: float | None) -> str | None:
    """`template` filled in, or None where one of the values is."""
    return None if any(value is None for value in values) else template.format(*values)


def _curve(values: Mapping[int, float] | Mapping[float, float] | None) -> str | None:
    return None if values is None else "  ".join(f"{value:.3f}" for value in values.values())
