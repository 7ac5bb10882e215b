"""Photos and cameras brought together by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from recon.messages import warn
from recon.sources.names import normalise_name

_SHOWN = 3


@dataclass(frozen=True)
class NameMatches:
    """Which photo has which camera."""

    cameras: tuple[int | None, ...]
    """For each photo the number of its camera; None: it has none."""
    unused: tuple[int, ...]
    """Numbers of the cameras that no photo has."""


def match_names(photos: Sequence[str], cameras: Sequence[str], where: str) -> NameMatches:
    """Bring photos and cameras together by their names, whatever the Unicode form.

    Where a photo's own name is not among those of the cameras, one that differs in upper and lower case counts, then
    one that is the end of the other's path (`a.jpg` and `left/a.jpg`), then one with another suffix (`a.png`), each
    only if no other photo or camera could be meant. All are warned of, naming `where` the cameras are from.
    """
    own, known = [_path(name) for name in photos], [_path(name) for name in cameras]
    exact = {name: index for index, name in reversed(list(enumerate(known)))}
    found: list[int | None] = [exact.get(name) for name in own]
    for described, form in _FORMS.items():
        close = _unique_pairs(own, known, found, form)
        for photo, camera in close:
            found[photo] = camera
        if close:
            pairs = few([f"'{photos[photo]}' with '{cameras[camera]}'" for photo, camera in close])
            warn(f"{len(close)} of {len(photos)} photos are matched to cameras of '{where}' {described}: {pairs}")
    taken = set(found)
    return NameMatches(tuple(found), tuple(index for index in range(len(cameras)) if index not in taken))


def few(names: Iterable[str]) -> str:
    """The first few names, in a message."""
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (", …" if len(listed) > _SHOWN else "")


def _path(name: str) -> str:
    """One form of a relative path: `/` between folders, no `./` before them."""
    path = normalise_name(name).replace("\\", "/")
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    return path


def _last_part(path: str) -> str:
    return path.casefold().rsplit("/", 1)[-1]


def _stem(path: str) -> str:
    return _last_part(path).rsplit(".", 1)[0]


_FORMS: Mapping[str, Callable[[str], str]] = {
    "upper and lower case aside": str.casefold,
    "by the end of their paths": _last_part,
    "whatever their suffix": _stem,
}
"""What two names may have in common, in the order in which it counts."""


def _unique_pairs(
    photos: Sequence[str], cameras: Sequence[str], found: Sequence[int | None], form: Callable[[str], str]
) -> list[tuple[int, int]]:
    """Photos without a camera, and cameras without a photo, that are alike in this form and unlike all others left.

    Where more is known of both than the form says, it must not contradict: `left/a.jpg` is not `right/a.jpg`.
    """
    taken = set(found)
    photos_left: dict[str, list[int]] = {}
    for index, name in enumerate(photos):
        if found[index] is None:
            photos_left.setdefault(form(name), []).append(index)
    cameras_left: dict[str, list[int]] = {}
    for index, name in enumerate(cameras):
        if index not in taken:
            cameras_left.setdefault(form(name), []).append(index)

    def whole(name: str) -> str:
        return name.casefold().rsplit(".", 1)[0] if form is _stem else name.casefold()

    def ends(one: str, other: str) -> bool:
        return f"/{one}".endswith(f"/{other}") or f"/{other}".endswith(f"/{one}")

    pairs = []
    for key, those in photos_left.items():
        rivals = cameras_left.get(key, [])
        if len(those) == 1 and len(rivals) == 1 and ends(whole(photos[those[0]]), whole(cameras[rivals[0]])):
            pairs.append((those[0], rivals[0]))
    return sorted(pairs)
