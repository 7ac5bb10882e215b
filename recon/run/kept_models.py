"""Models that stay loaded from one job to the next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from recon.choices import NETWORK, ONNX_FILE, EstimatorOptions, RunOptions
from recon.estimate.choice import Choice, Tell, choose
from recon.estimate.estimator import Estimator
from recon.options import part_of


class KeptModels:
    """Chooses what makes the depth as `recon.estimate.choice` does, and keeps the last few that were opened."""

    def __init__(self, most: int, of_server: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Keep at most `most`; options in `of_server` are those of whoever runs a server, over a job's."""
        self._most = most
        self._of_server = dict(of_server)
        self._kept: OrderedDict[EstimatorOptions, Estimator] = OrderedDict()

    def choose(self, settings: RunOptions) -> Choice:
        """What makes the depth, loaded or not. Errors as of `recon.estimate.choice.choose`."""
        options = replace(part_of(settings, EstimatorOptions), **self._of_server)
        chosen = choose(options)
        if not chosen.profile.parts & {NETWORK, ONNX_FILE}:
            return chosen  # there is nothing to load
        key = replace(options, model=chosen.model)
        return replace(chosen, open=lambda tell: self._opened(key, chosen, tell))

    def _opened(self, key: EstimatorOptions, chosen: Choice, tell: Tell) -> Estimator:
        found = self._kept.pop(key, None)
        if found is None:
            while self._kept and len(self._kept) >= max(self._most, 1):
                self._kept.popitem(last=False)  # before the next takes memory, too
            found = chosen.open(tell)
        if self._most > 0:
            self._kept[key] = found
        return found
