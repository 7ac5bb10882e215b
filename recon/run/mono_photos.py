"""Unrelated photos one after the other: their names and folders, reading ahead, and leaving bad ones out."""

from __future__ import annotations

import contextvars
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from recon.choices import SourceOptions
from recon.cores import usable_cores
from recon.errors import InputError, MissingExtraError
from recon.estimate.unrelated import SinglePhoto
from recon.messages import warn
from recon.run.record import names_in_folder
from recon.sources.loading import Loaded, load_one
from recon.sources.open_source import open_source
from recon.sources.photo import Photo
from recon.sources.source import Source

_READERS = 4


@dataclass(frozen=True)
class MonoPhoto:
    """A photo to come."""

    source: Source
    """Which it is one of."""
    index: int
    """In the source."""
    name: str
    """The file's name, or the whole path where several have that name."""
    folder: str
    """Name of a folder for its results, which no other photo of the run has."""

    def read(self, convert: Callable[[Photo], Loaded]) -> Loaded:
        """What `convert` makes of it; raises InputError as `recon.sources.loading.load_one`."""
        return load_one(self.source, self.index, convert)


def list_photos(
    given: Sequence[Path | Photo],
    options: SourceOptions = SourceOptions(),  # noqa: B008 (frozen)
) -> list[MonoPhoto]:
    """The photos one by one, folders opened up, nothing decoded yet.

    Raises InputError where there are none, and for what is none: as `recon.sources.open_source.open_source`.
    """
    source = open_source(list(given), options)
    names = source.names
    return [MonoPhoto(source, *entry) for entry in zip(range(len(names)), names, folder_names(names), strict=True)]


def folder_names(names: Sequence[str]) -> list[str]:
    """For each photo its name without the suffix, else with it, else with its number before it: the first of these
    that no other photo has on any file system, and no file of a run. Names may be paths in sub-folders."""
    places = [_place(name) for name in names]
    levels = [
        [place.with_suffix("").as_posix() for place in places],
        [place.as_posix() for place in places],
        [f"{index:04d}-{place.name}" for index, place in enumerate(places)],
    ]
    taken = [Counter(name.casefold() for name in level) for level in levels]
    reserved = {name.casefold() for name in names_in_folder()}

    def is_free(name: str, times: Counter[str]) -> bool:
        return times[name.casefold()] == 1 and PurePosixPath(name).parts[0].casefold() not in reserved

    chosen = [
        next(level[i] for level, times in zip(levels, taken, strict=True) if is_free(level[i], times))
        for i in range(len(names))
    ]
    # The short name of one may be the long name of another, or a folder above it: then all take their numbers.
    folded = {name.casefold() for name in chosen}
    nested = any(parent.as_posix() in folded for name in folded for parent in PurePosixPath(name).parents)
    return chosen if len(folded) == len(names) and not nested else levels[-1]


def _place(name: str) -> PurePosixPath:
    """A path below the run's folder: of a name that leads elsewhere its last part only."""
    path = PurePosixPath(name)
    place = PurePosixPath(path.name) if path.is_absolute() or ".." in path.parts else path
    return place if place.name not in ("", "..") else PurePosixPath("photo")


class PhotoReader:
    """Reads photos in threads, a few ahead of who asks for them, and keeps account of those that cannot be used.

    A photo that cannot be used is left out with a warning; the only one, or any with `strict`, ends the run.
    """

    def __init__(
        self, photos: Sequence[MonoPhoto], prepare: Callable[[Photo, int], SinglePhoto], *, strict: bool
    ) -> None:
        """`prepare` makes of a photo, and of its place among `photos`, what the network needs; it may raise
        InputError."""
        self.photos = photos
        self._prepare = prepare
        self._strict = strict or len(photos) == 1
        self._failures: dict[int, InputError] = {}

    @property
    def dropped(self) -> tuple[tuple[str, str], ...]:
        """Name of each photo left out so far, and why."""
        return tuple((self.photos[index].name, str(self._failures[index])) for index in sorted(self._failures))

    def leave_out(self, index: int, failure: InputError) -> None:
        """Photo number `index` cannot be used. Raises `failure` where that ends the run, or where none is left."""
        self._failures[index] = failure
        if self._strict:
            raise failure
        if len(self._failures) == len(self.photos):
            first = self._failures[min(self._failures)]
            raise InputError(f"none of the {len(self.photos)} images can be used; the first: {first}") from first
        warn(f"left out: {failure}")

    def batches(self, size: int, wanted: Sequence[int] | None = None) -> Iterator[dict[int, SinglePhoto]]:
        """The usable ones of the first `size` photos `wanted` [all], by their number, then those of the next, …"""
        wanted = range(len(self.photos)) if wanted is None else wanted
        outcomes = self._outcomes(wanted, 2 * size)
        for start in range(0, len(wanted), size):
            batch: dict[int, SinglePhoto] = {}
            for index in wanted[start : start + size]:
                outcome = next(outcomes)
                if isinstance(outcome, InputError):
                    self.leave_out(index, outcome)
                else:
                    batch[index] = outcome
            if batch:
                yield batch

    def _outcomes(self, wanted: Sequence[int], ahead: int) -> Iterator[SinglePhoto | InputError]:
        """In order, up to `ahead` of them under way or waiting."""
        pool = ThreadPoolExecutor(min(_READERS, usable_cores(), max(1, len(wanted))))
        pending: deque[Future[SinglePhoto | InputError]] = deque()
        try:
            for index in wanted:
                # In the caller's context, so that warnings reach whoever collects them.
                pending.append(pool.submit(contextvars.copy_context().run, self._outcome, index))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # on Ctrl-C, without reading the rest first

    def _outcome(self, index: int) -> SinglePhoto | InputError:
        """A failure is returned, for `leave_out` to deal with in the caller's thread."""
        try:
            return self.photos[index].read(lambda photo: self._prepare(photo, index))
        except MissingExtraError:  # no fault of the photo
            raise
        except InputError as error:
            return error
