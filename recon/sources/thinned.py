"""Some of the photos of a source, or the same in an order that means something."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

from recon.choices import SourceOptions
from recon.sources.part import SourcePart
from recon.sources.source import Source

EVERY_KIND = ("every", "limit", "ordered", "masks", "invert_masks")
"""Names of the options that every kind of source takes."""


class EveryNth(Sequence[int]):
    """Indices of each `every`-th photo of a source, at most `limit`; how many it has is looked up when it is asked for,
    for that may take a look at its content."""

    def __init__(self, photos: Source, every: int, limit: int | None) -> None:
        self._photos, self._every, self._limit = photos, every, limit

    @cached_property
    def _chosen(self) -> range:
        return range(len(self._photos.names))[:: self._every][: self._limit]

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: Any) -> Any:
        return self._chosen[index]


def passed_over(source: Source) -> tuple[str, ...]:
    """Names of the photos that `every` and `limit` leave out of a source."""
    if not isinstance(source, SourcePart):
        return ()
    names, chosen = source.photos.names, set(source.chosen)
    return tuple(name for index, name in enumerate(names) if index not in chosen)


def thinned(source: Source, options: SourceOptions, heeded: Collection[str] = ()) -> Source:
    """The photos of `source` that `every` and `limit` of the options leave, as `ordered` says; itself where they leave
    all as they are. The options `heeded` are done already."""
    every = 1 if "every" in heeded else options.every
    limit = None if "limit" in heeded else options.limit
    in_order = options.ordered and "ordered" not in heeded
    if every == 1 and limit is None and not in_order:
        return source
    return SourcePart(source, EveryNth(source, every, limit), in_order)
