"""What does scenes on a machine of a Ray cluster: one after the other, with a model that stays loaded."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from recon.cores import environment_of_share
from recon.progress import Progress


class SceneActor:
    """An actor. What it needs is imported only once it knows how many cores are its own."""

    def __init__(self, address: str, cores: int) -> None:
        """Results go to the place at `address`."""
        os.environ.update(environment_of_share(cores))
        from recon.run.batch.open_place import open_place
        from recon.run.batch.worker import MODELS_KEPT
        from recon.run.kept_models import KeptModels

        self._place = open_place(address)
        self._models = KeptModels(MODELS_KEPT)

    def sees(self, path: str) -> bool:
        """Whether a file that whoever gives out the scenes has put into the place is there for this machine, too."""
        return self._place.size(path) is not None

    def do(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A scene as `BatchScene.message` gives it; how that ended, as `recon.run.batch.worker` tells it."""
        from recon.run.batch.do_scene import do_scene
        from recon.run.batch.scene import BatchScene

        return asdict(do_scene(BatchScene.of_message(message), self._place, self._models.choose, _unheard))


class _Nobody:
    """Whoever is told how far a run is: its warnings are in its `run.json`."""

    def __call__(self, event: Progress) -> None:
        """Where it is."""

    def begin(self, what: str) -> None:
        """A step before its stages."""


@contextlib.contextmanager
def _unheard() -> Iterator[_Nobody]:
    import warnings

    from recon.messages import ReconWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReconWarning)
        yield _Nobody()
