"""A result in a cell of a notebook: the page of the format html in a frame, with no server and no file.

The frame holds the whole page as its `srcdoc`, which Jupyter, VS Code and Colab show, and keep in the notebook's file.
It is a document of its own that may run scripts and nothing else: it reads nothing of the notebook, whatever names the
photos have.
"""

from __future__ import annotations

import html
from pathlib import Path

from recon.errors import InputError
from recon.export.html import HtmlOptions, check
from recon.export.page_fit import FittedPage, fitted_page
from recon.export.page_of_prediction import content_of
from recon.files import atomic_write
from recon.messages import warn
from recon.types import Prediction
from recon.types.showing import register

DEFAULT_MB = 10.0
"""Of the page. It is stored in the notebook with the cell's output."""
DEFAULT_HEIGHT = 600
LEAST_HEIGHT, MOST_HEIGHT = 100, 10_000


class NotebookPage:
    """The page of a result. As the last value of a cell it is shown there."""

    def __init__(self, fitted: FittedPage, height: int) -> None:
        """`height` in pixels of the frame, which is as wide as the cell."""
        self._fitted = fitted
        self._height = height

    def _repr_html_(self) -> str:
        page = html.escape(self._fitted.page.decode(), quote=True)
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts allow-downloads" allow="fullscreen" title="recon" '
            f'style="width: 100%; height: {self._height}px; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in self._fitted.counts.items() if count)
        return f"NotebookPage({counts or 'nothing'}; {len(self._fitted.page) / 1e6:.1f} MB)"

    def save(self, path: str | Path) -> Path:
        """Write the page as a file that opens in any browser. Raises InputError where that cannot be done."""
        path = Path(path).expanduser()
        with atomic_write(path) as temporary:
            temporary.write_bytes(self._fitted.page)
        return path


def show(prediction: Prediction, *, max_mb: float = DEFAULT_MB, height: int = DEFAULT_HEIGHT) -> NotebookPage:
    """The page of a prediction, for a cell of a notebook: `prediction.show()` as the last line of it.

    Args:
        prediction: of one view, or of several with cameras.
        max_mb: most megabytes of the page; what does not fit is left out, with a warning.
        height: of the frame, in pixels.

    Raises:
        InputError: nothing to show, or a wrong argument.
    """
    if isinstance(height, bool) or not isinstance(height, int) or not LEAST_HEIGHT <= height <= MOST_HEIGHT:
        raise InputError(f"height must be pixels from {LEAST_HEIGHT} to {MOST_HEIGHT}, got {height!r}")
    options = HtmlOptions(max_mb=max_mb)
    check(prediction, options)
    content = content_of(prediction, options, options, mesh=options.mesh)
    fitted = fitted_page(content, int(options.max_mb * 1e6), options.seed)
    if fitted.left_out:
        warn(f"the page holds {' '.join(fitted.left_out)} max_mb={options.max_mb:g} is the limit")
    return NotebookPage(fitted, height)


register(show)
