"""One scene of a batch: what it is called, and what its run takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recon.choices import FreshOption, RunOptions
from recon.digests import digest
from recon.options import Option, build, options_of, settings_entry
from recon.run.record import to_json


@dataclass(frozen=True)
class BatchScene:
    """A scene."""

    name: str
    """Of the folder for its results, within that of the batch."""
    settings: RunOptions
    """Its inputs among them."""
    config: str | None = None
    """Name or path of the file of settings that `settings` began from."""

    @property
    def wanted(self) -> str:
        """Hash of all that its run is to do: another one, and results that are there are not those wanted."""
        passed_over = options_of(FreshOption)
        entries = {name: one for name, one in settings_entry(self.settings).items() if name not in passed_over}
        return digest(json.loads(to_json(entries)))

    def message(self) -> dict[str, Any]:
        """As JSON, for another process."""
        found: dict[str, Any] = json.loads(
            to_json({"name": self.name, "settings": settings_entry(self.settings), "config": self.config})
        )
        return found

    @classmethod
    def of_message(cls, message: Mapping[str, Any]) -> BatchScene:
        """What `message` says."""
        return cls(message["name"], build(RunOptions, message["settings"], of="a scene"), message["config"])


def from_anywhere(settings: RunOptions) -> RunOptions:
    """With every path that the options name absolute, for processes that work in another folder."""
    changes = {name: _absolute(one, getattr(settings, name)) for name, one in options_of(RunOptions).items()}
    return replace(settings, **changes)


def _absolute(one: Option, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_absolute(one, each) for each in value)
    if isinstance(value, Path):
        return value.absolute()
    if one.may_be_path and isinstance(value, str) and Path(value).exists():
        return str(Path(value).absolute())
    return value
