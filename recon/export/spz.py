"""Gaussian splats as SPZ, about a quarter of the PLY: in the prediction's own world frame and units."""

from __future__ import annotations

from pathlib import Path

from recon.export.exporter import Exported, Exporter, Needs
from recon.export.splats import SplatOptions, check_splats, select_splats
from recon.splats.spz import require_gsply, write_spz
from recon.types import Prediction


def check(prediction: Prediction, options: SplatOptions) -> None:
    """Raise InputError where there are no Gaussians, or ones that no file holds."""
    check_splats(prediction)


def check_options(options: SplatOptions) -> None:
    """Raise MissingExtraError without the package that writes them."""
    require_gsply()


def write(prediction: Prediction, folder: Path, options: SplatOptions) -> Exported:
    """Write `gs_spz/0000.spz`."""
    splats = select_splats(prediction, options)
    path = folder / "gs_spz" / "0000.spz"
    write_spz(path, splats.gaussians)
    return Exported((path,), splats.details(prediction))


SPZ = Exporter("spz", SplatOptions, write, ("gs_spz",), Needs(gaussians=True), check, check_options)
