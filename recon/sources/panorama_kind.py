"""360° photos and videos as a kind of source."""

from __future__ import annotations

import re
from pathlib import Path

from recon.choices import MaskOptions, SourceOptions
from recon.errors import InputError
from recon.options import asked_for, part_of
from recon.sources.formats import PHOTO_SUFFIXES
from recon.sources.kind import SourceKind
from recon.sources.source import Source
from recon.sources.video_kind import VIDEO

_START = 1 << 16
"""Bytes of a photo in which its XMP is looked for."""
_EQUIRECTANGULAR = re.compile(rb"ProjectionType\W{1,12}equirectangular", re.IGNORECASE)
"""In XMP, as an attribute or an element (Google's Photo Sphere metadata, GPano)."""


def _is_panorama(path: Path) -> bool:
    """Of a folder, whether its first photo is one."""
    try:
        if path.is_dir():
            photos = sorted(one for one in path.iterdir() if one.suffix.lower() in PHOTO_SUFFIXES and one.is_file())
            return bool(photos) and _is_panorama(photos[0])
        if not path.is_file():
            return False
        if VIDEO.recognises(path):
            return _video_shows_panoramas(path)
        return path.suffix.lower() in PHOTO_SUFFIXES and _photo_is_panorama(path)
    except Exception:  # decoders raise almost anything on a damaged file; reading it says what is wrong
        return False


def _photo_is_panorama(path: Path) -> bool:
    from PIL import Image

    with path.open("rb") as file:
        if _EQUIRECTANGULAR.search(file.read(_START)):
            return True
    with Image.open(path) as image:
        if image.width != 2 * image.height:
            return False
    from recon.sources.panoramas import looks_like_panorama
    from recon.sources.pixels import read_image

    return looks_like_panorama(read_image(path)[0])


def _video_shows_panoramas(path: Path) -> bool:
    from recon.sources.panoramas import looks_like_panorama
    from recon.sources.video_file import VideoFile, stored_size
    from recon.sources.video_pixels import rgb_pixels

    width, height = stored_size(path)
    if width != 2 * height:
        return False
    first = next(VideoFile.probe(path).frames(), None)
    return first is not None and looks_like_panorama(rgb_pixels(first[1]))


def _open_panoramas(path: Path, options: SourceOptions) -> Source:
    from recon.sources.images import ImageSource
    from recon.sources.masked import with_masks
    from recon.sources.panoramas import PanoramaSource
    from recon.sources.thinned import EVERY_KIND, thinned
    from recon.sources.video import VideoSource

    masks = part_of(options, MaskOptions)
    if VIDEO.recognises(path):
        return PanoramaSource(with_masks(VideoSource(path, options), masks))
    for one in asked_for(options):
        if one.name in VIDEO.heeds and one.name not in EVERY_KIND:
            raise InputError(f"{one.name} is for a video; these are 360° photos")
    photos = ImageSource.of([path], in_use=masks.masks)
    return PanoramaSource(thinned(with_masks(photos, masks), options))


PANORAMA = SourceKind(
    "panorama",
    "a 360° photo or video, or a folder of such photos",
    _is_panorama,
    _open_panoramas,
    heeds=VIDEO.heeds | {"masks", "invert_masks"},
)
"""Each becomes several pinhole views; masks are named like the panoramas, and cut as they are."""
