"""The place that an address means."""

from __future__ import annotations

from pathlib import Path

from recon.run.batch.place import LocalPlace, Place
from recon.run.batch.url_place import UrlPlace


def open_place(address: str) -> Place:
    """The folder, or what is at a URL such as `s3://bucket/folder`. Raises InputError for a URL of no use."""
    protocol, separator, rest = address.partition("://")
    if not separator:
        return LocalPlace(Path(address).expanduser())
    if protocol == "file":
        return LocalPlace(Path(rest))
    return UrlPlace(address)
