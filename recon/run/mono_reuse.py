"""Photos that an earlier run into the same folder has done already, so that the same command goes on after a kill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recon.digests import digest, program_digest, with_contents
from recon.export import Exported, Overrides
from recon.options import options_of
from recon.run.mono_photos import MonoPhoto
from recon.run.mono_settings import MonoSettings
from recon.run.record import listed_files
from recon.run.run_record import is_unchanged

_DECIDES_NOTHING = ("inputs", "out", "batch_size", "strict", "every", "limit", "ordered")
"""Of one photo: what is done with the others, or where."""


def photo_keys(
    photos: Sequence[MonoPhoto], settings: MonoSettings, model: Any, export_kwargs: Overrides | None
) -> list[str]:
    """For each photo a hash of all that decides its files, the program included; nothing is decoded."""
    names = [name for name in options_of(MonoSettings) if name not in _DECIDES_NOTHING]
    choices = with_contents({name: getattr(settings, name) for name in names})
    shared = digest(program_digest(), model, choices, export_kwargs)
    return [digest(shared, photo.name, photo.folder, photo.source.content(photo.index)) for photo in photos]


class EarlierPhotos:
    """What an earlier record says of the photos it did."""

    def __init__(self, record: Mapping[str, Any] | None, folder: Path) -> None:
        """Of the run in `folder`; None of no run."""
        entries = [] if record is None else record.get("photos", [])
        self._entries = {entry["key"]: entry for entry in entries if "key" in entry}
        self._folder = folder

    def entry(self, key: str) -> dict[str, Any] | None:
        """Of the photo that `key` stands for; None where there is none, or one of its files is not as it was."""
        entry = self._entries.get(key)
        whole = entry is not None and all(is_unchanged(self._folder, file) for file in listed_files(entry))
        return dict(entry) if entry is not None and whole else None


def exported_by(entry: Mapping[str, Any], folder: Path) -> dict[str, Exported]:
    """What was written of a photo, by its entry in the record of the run in `folder`."""
    return {
        name: Exported(tuple(folder / file["path"] for file in one["files"]), one["details"], one["seconds"])
        for name, one in entry["exports"].items()
    }
