"""Reading the photos of a source, several at a time, and leaving out those that cannot be used."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from recon.cores import usable_cores
from recon.errors import InputError, MissingExtraError
from recon.messages import warn
from recon.sources.in_flight import IN_FLIGHT
from recon.sources.open_source import PhotoSource, open_source
from recon.sources.photo import Photo
from recon.sources.source import Source

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class LoadedPhotos(Generic[Loaded]):
    """The usable photos among the images given."""

    photos: list[Loaded]
    """At least one: the photos, or what `load_each` was told to make of them."""
    kept: list[int]
    """For each photo, its index among the images given (a folder counts as its images in natural order)."""
    names: list[str]
    """Names of all images given, those left out included: their number is what per-image cameras must match."""
    dropped: list[tuple[str, str]]
    """Name of each image left out, and why."""


def load_photos(source: PhotoSource, strict: bool = False) -> LoadedPhotos[Photo]:
    """Read photos and keep them all in memory; arguments and errors are those of `load_each`."""
    return load_each(source, lambda photo: photo, strict)


def load_each(source: PhotoSource, convert: Callable[[Photo], Loaded], strict: bool = False) -> LoadedPhotos[Loaded]:
    """Read photos, several files at a time as far as memory allows, and keep of each only what `convert` makes of it.

    Args:
        source: what `open_source` takes.
        convert: called in the thread that read the photo; an InputError from it makes the photo a bad one.
        strict: refuse a bad image among several; otherwise it is left out with a warning that names it.

    Raises:
        InputError: nothing usable is left, a bad image with `strict`, or something that is no image at all.
        MissingExtraError: a package is not installed that one of the files needs: that is no fault of the photo.
    """
    return load_numbered(open_source(source), lambda photo, index: convert(photo), strict)


def load_one(source: Source, index: int, convert: Callable[[Photo], Loaded]) -> Loaded:
    """What `convert` makes of photo number `index`, read as soon as memory allows; raises InputError as it does."""
    with IN_FLIGHT.share() as admit:
        return convert(source.read(index, admit))


def load_numbered(
    source: Source, convert: Callable[[Photo, int], Loaded], strict: bool = False
) -> LoadedPhotos[Loaded]:
    """`load_each` of an open source; `convert` is told the index of the photo, too."""
    names = list(source.names)
    count = len(names)

    def load(index: int) -> Loaded | InputError:
        """Failures are returned, for the caller to raise or to warn about in its own thread."""
        try:
            return load_one(source, index, lambda photo: convert(photo, index))
        except MissingExtraError:
            raise
        except InputError as error:
            return error

    if count > 1:
        with ThreadPoolExecutor(min(8, usable_cores(), count)) as pool:
            # Each task runs in the caller's context, so that its warnings reach whoever collects them.
            tasks = [pool.submit(contextvars.copy_context().run, load, index) for index in range(count)]
            try:
                outcomes = [task.result() for task in tasks]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # on Ctrl-C, without reading the rest first
                raise
    else:
        outcomes = [load(0)]

    failures = [
        (name, outcome) for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, InputError)
    ]
    if failures and (strict or count == 1):
        raise failures[0][1]
    if len(failures) == count:
        raise InputError(f"none of the {count} images can be used; the first: {failures[0][1]}") from failures[0][1]
    for _, failure in failures:
        warn(f"left out: {failure}")
    return LoadedPhotos(
        photos=[outcome for outcome in outcomes if not isinstance(outcome, InputError)],
        kept=[index for index, outcome in enumerate(outcomes) if not isinstance(outcome, InputError)],
        names=names,
        dropped=[(name, str(failure)) for name, failure in failures],
    )
