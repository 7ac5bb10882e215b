"""How a result is shown: what makes pages lies above the types, and puts its function here when it is loaded."""

from __future__ import annotations

from typing import Any, Protocol


class Shown(Protocol):
    """A result as a notebook shows it."""

    def _repr_html_(self) -> str: ...


class Show(Protocol):
    """What shows a `recon.types.prediction.Prediction`; see `recon.export.notebook.show`."""

    def __call__(self, prediction: Any, *, max_mb: float, height: int) -> Shown: ...


_show: list[Show] = []


def register(show: Show) -> None:
    """Make `show` what `Prediction.show` calls."""
    _show[:] = [show]


def show(prediction: Any, max_mb: float, height: int) -> Shown:
    """What was registered, called. Raises RuntimeError where nothing was: `import recon.export` does so."""
    if not _show:
        raise RuntimeError("nothing shows predictions yet: import recon.export")
    return _show[0](prediction, max_mb=max_mb, height=height)
