"""One HTML file that shows the result in a browser: points, splats, and the photos in their cameras' frusta.

It opens from a disk and loads nothing else. Its size is bounded: what does not fit is left out, and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.export.exporter import Exported, Exporter, Needs
from recon.export.page_fit import fitted_page
from recon.export.page_of_prediction import content_of
from recon.export.points import PointOptions, check_cloud
from recon.export.splats import SplatOptions, check_splats
from recon.files import atomic_write
from recon.messages import warn
from recon.options import option
from recon.types import Prediction

FILE_NAME = "view.html"


@dataclass(frozen=True, kw_only=True)
class HtmlOptions(SplatOptions, PointOptions):
    """How large the file may be, and what is in it."""

    max_mb: float = option(
        30.0,
        help="Leave out photos' pixels, spherical harmonics, splats and points as needed for a file of at most this "
        "many megabytes.",
        least=1,
        most=500,
    )
    mesh: bool = option(True, help="Fuse the depth into a mesh as well, coarser than the format `mesh` makes it.")


def check(prediction: Prediction, options: HtmlOptions) -> None:
    """Raise InputError where there is neither a point nor a splat to show."""
    if prediction.gaussians is not None:
        check_splats(prediction)
    else:
        check_cloud(prediction, options)


def write(prediction: Prediction, folder: Path, options: HtmlOptions) -> Exported:
    """Write `view.html`. What was left out to keep `max_mb` is in the details and a warning."""
    content = content_of(prediction, options, options, mesh=options.mesh)
    fitted = fitted_page(content, int(options.max_mb * 1e6), options.seed)
    path = folder / FILE_NAME
    with atomic_write(path) as temporary:
        temporary.write_bytes(fitted.page)
    if fitted.left_out:
        warn(f"{FILE_NAME} holds {' '.join(fitted.left_out)} html.max_mb={options.max_mb:g} is the limit")
    details = {**fitted.counts, "bytes": len(fitted.page), "left_out": fitted.left_out, "units": prediction.units}
    return Exported((path,), details)


HTML = Exporter(
    "html", HtmlOptions, write, (FILE_NAME,), Needs(cameras=True), check, in_pieces=True, shows_gaussians=True
)
