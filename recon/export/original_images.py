"""The photos of a prediction as image files for programs that start from cameras and images, and their cameras.

Written are the photos at their own resolution, as they were taken or as a pinhole camera would have taken them; of
photos that are not at hand, the processed images. A file whose pixels need no change is copied byte by byte.
"""

from __future__ import annotations

import contextvars
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recon.cores import usable_cores
from recon.errors import InputError
from recon.export.pictures import write_jpeg, write_png
from recon.files import atomic_write
from recon.geometry.cameras import has_skew
from recon.geometry.unprojection import pixel_centres
from recon.messages import warn
from recon.types import FloatArray, Prediction
from recon.types.cameras import Cameras
from recon.types.lens import is_negligible

LensChoice = Literal["pinhole", "original"]
IMAGES, MASKS = "images", "masks"
"""Folders under that of a run."""
_COPIED = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",)}
"""Formats that every program reads, by Pillow's name, and their suffixes."""
_JPEG_QUALITY = 98
"""Of images that others are to be optimised to look like."""
_ORIENTATION = 0x0112
"""Of EXIF; 1 or none is upright."""


@dataclass(frozen=True)
class WrittenImages:
    """N images that were written, and what they show."""

    names: tuple[str, ...]
    """N paths below `images/`, with `/`; each once."""
    cameras: Cameras
    """Of the N images: extrinsics, intrinsics in their pixels, sizes, and distortion where lenses were kept."""
    pinhole_intrinsics: NDArray[np.float64]
    """(N, 3, 3) of the images without distortion: what `processed_to_pinhole` leads to."""
    processed_to_pinhole: NDArray[np.float64]
    """(N, 3, 3) affine from processed pixels to those of the images without distortion."""
    masks: tuple[str | None, ...]
    """Path of each image's mask below `masks/`; None where all of all images may be used."""
    files: tuple[Path, ...]
    """Images and masks."""
    copied: int
    """How many are the files of the photos, byte by byte."""
    processed: int
    """How many are processed images, for want of the photo."""

    @property
    def details(self) -> dict[str, int]:
        """For `run.json`."""
        return {"images_copied": self.copied, "images_processed": self.processed}


@dataclass(frozen=True)
class _Written:
    """What became of one view."""

    size: tuple[int, int]
    """Width and height."""
    original: bool
    copied: bool
    has_mask: bool
    why: str = ""
    """Why the photo could not be written, where it could not."""


def write_images(prediction: Prediction, folder: Path, lens: LensChoice) -> WrittenImages:
    """Write `images/NAME` of every view, and where any is masked, `masks/NAME.png` of all, black where not to be used.

    Args:
        prediction: with cameras.
        folder: of the run.
        lens: `pinhole` undistorts photos whose lens bends, `original` leaves all as they were taken.

    Raises:
        InputError: a photo that one of the files would replace.
    """
    names = image_names(prediction)
    _refuse_to_replace_photos(prediction, folder / IMAGES, names)
    cameras = _cameras_of_originals(prediction)
    pinholes = cameras.pinhole()
    views = range(len(prediction.depth))

    def write(view: int) -> _Written:
        return _write_view(prediction, cameras, pinholes, lens, view, names[view], folder)

    with ThreadPoolExecutor(min(8, usable_cores(), len(views))) as pool:
        # In the caller's context, so that warnings reach whoever collects them.
        tasks = [pool.submit(contextvars.copy_context().run, write, view) for view in views]
        written = [task.result() for task in tasks]
    _say_what_is_processed(prediction, written)
    files = [folder / IMAGES / name for name in names]
    masks: tuple[str | None, ...] = (None,) * len(names)
    if any(one.has_mask for one in written):
        masks = tuple(f"{name}.png" for name in names)
        for name, one in zip(names, written, strict=True):
            if not one.has_mask:  # readers want one for each image, or none at all
                write_png(folder / MASKS / f"{name}.png", np.full(one.size[::-1], 255, np.uint8))
        files += [folder / MASKS / f"{name}.png" for name in names]
    original = np.array([one.original for one in written])
    return _described(prediction, cameras, pinholes, lens, original, names, masks, tuple(files), written)


def check_intrinsics(name: str, intrinsics: FloatArray) -> None:
    """Raise InputError where (N, 3, 3) intrinsics have skew, which no camera of format `name` has."""
    skewed = np.flatnonzero(has_skew(intrinsics))
    if len(skewed):
        raise InputError(f"{name}: intrinsics[{skewed[0]}] have skew, which its cameras have not: give some without")


def shared_images(lens: LensChoice) -> Mapping[str, object]:
    """What decides which images are written; as `Exporter.shared`."""
    return {IMAGES: lens}


def image_names(prediction: Prediction) -> tuple[str, ...]:
    """N names of image files: those of the photos, sub-folders included, made safe, readable and different.

    Names differ on any file system, and end in a suffix that every program reads.
    """
    given = prediction.image_names or tuple(f"{view:04d}" for view in range(len(prediction.depth)))
    places = [_place(name) for name in given]
    if all(place.parts[0] == IMAGES and len(place.parts) > 1 for place in places):
        places = [place.relative_to(IMAGES) for place in places]  # of a scene's folder; they are written to such a one
    names = [_with_suffix(place) for place in places]
    times = Counter(name.casefold() for name in names)
    apart = [
        name if times[name.casefold()] == 1 else f"{place}{PurePosixPath(name).suffix}"
        for name, place in zip(names, places, strict=True)
    ]
    times = Counter(name.casefold() for name in apart)
    return tuple(
        name
        if times[name.casefold()] == 1
        else (PurePosixPath(name).parent / f"{view:04d}_{PurePosixPath(name).name}").as_posix()
        for view, name in enumerate(apart)
    )


def _place(name: str) -> PurePosixPath:
    """A path below a folder: of a name that leads elsewhere its last part only."""
    path = PurePosixPath(name.replace("\\", "/"))
    leads_away = path.is_absolute() or ".." in path.parts or ":" in path.parts[0] if path.parts else True
    place = PurePosixPath(path.name) if leads_away else path
    return place if place.name not in ("", "..") else PurePosixPath("photo")


def _with_suffix(place: PurePosixPath) -> str:
    """The path of an image that is written for the photo at `place`."""
    suffix = place.suffix.lower()
    if any(suffix in suffixes for suffixes in _COPIED.values()):
        return place.as_posix()
    # Only a suffix of letters is one: "frame.001" and "0003" are names of pictures given otherwise.
    return (
        place.with_suffix(".jpg")
        if suffix[1:].isalnum() and not suffix[1:].isdigit()
        else place.parent / f"{place.name}.png"
    ).as_posix()


def _refuse_to_replace_photos(prediction: Prediction, folder: Path, names: Sequence[str]) -> None:
    paths = () if prediction.originals is None else prediction.originals.paths
    photos = {path.resolve() for path in paths if path is not None}
    for name in names:
        if (folder / name).resolve() in photos:
            raise InputError(
                f"{folder / name} is one of the photos themselves, and would be written over: choose another folder"
            )


def _cameras_of_originals(prediction: Prediction) -> Cameras:
    """Of the upright originals as they were taken; of the processed images where nothing is known of originals."""
    cameras = prediction.original_cameras
    if cameras.intrinsics is None or cameras.sizes is None:
        return prediction.cameras
    return cameras


def _knows_originals(prediction: Prediction) -> bool:
    return prediction.original_sizes is not None and prediction.processed_to_original is not None


def _write_view(
    prediction: Prediction,
    cameras: Cameras,
    pinholes: Cameras,
    lens: LensChoice,
    view: int,
    name: str,
    folder: Path,
) -> _Written:
    """One image, and its mask."""
    from recon.sources.undistortion import undistort

    path, mask_path = folder / IMAGES / name, folder / MASKS / f"{name}.png"
    why = "they are not at hand"
    if prediction.originals is not None and _knows_originals(prediction):
        assert prediction.original_sizes is not None
        size = (int(prediction.original_sizes[view, 0]), int(prediction.original_sizes[view, 1]))
        undistorts = lens == "pinhole" and _bends(cameras, view)
        file = prediction.originals.paths[view]
        try:
            if not undistorts and prediction.mask is None and file is not None and _is_plain(file, path, size):
                _copy(file, path)
                return _Written(size, True, True, False)
            pixels, mask = prediction.originals.read(view)
            if (pixels.shape[1], pixels.shape[0]) != size:
                raise InputError(f"it is {pixels.shape[1]}×{pixels.shape[0]} pixels now, and was {size[0]}×{size[1]}")
        except (InputError, OSError) as error:
            why = str(error)
        else:
            copied = not undistorts and file is not None and _is_plain(file, path, size, pixels)
            camera, pinhole = cameras[[view]], pinholes[[view]]
            if copied:
                assert file is not None
                _copy(file, path)
            else:
                _write_image(path, undistort(pixels, camera, pinhole) if undistorts else pixels)
            if mask is None and prediction.mask is not None:
                mask = _on_pinhole(prediction, view, size)
                if lens == "original" and _bends(cameras, view):
                    mask = _as_taken(mask, camera)
            elif mask is not None and undistorts:
                mask = undistort(mask, camera, pinhole)
            return _Written(size, True, copied, _write_mask(mask_path, mask))
    pixels = prediction.processed_images[view][prediction.photo_area(view)]
    _write_image(path, pixels)
    mask = None if prediction.mask is None else prediction.mask[view][prediction.photo_area(view)]
    return _Written((pixels.shape[1], pixels.shape[0]), False, False, _write_mask(mask_path, mask), why)


def _bends(cameras: Cameras, view: int) -> bool:
    """Whether the lens moves pixels to speak of."""
    if cameras.distortion is None:
        return False
    assert cameras.intrinsics is not None
    assert cameras.sizes is not None
    size = (int(cameras.sizes[view, 0]), int(cameras.sizes[view, 1]))
    return not is_negligible(cameras.intrinsics[view], cameras.distortion[view], size)


def _is_plain(file: Path, target: Path, size: tuple[int, int], pixels: NDArray[np.uint8] | None = None) -> bool:
    """Whether every program that opens `file` sees the upright photo of that size in the colours that we see.

    A colour profile may change them: with one, the answer needs the pixels that we see.
    """
    from PIL import Image

    with Image.open(file) as image:
        suffixes = _COPIED.get(image.format or "", ())
        plain = target.suffix.lower() in suffixes and image.mode in ("RGB", "L") and image.size == size
        if not plain or image.getexif().get(_ORIENTATION, 1) != 1:
            return False
        if "icc_profile" not in image.info and "gamma" not in image.info and "transparency" not in image.info:
            return True
        return pixels is not None and np.array_equal(np.asarray(image.convert("RGB")), pixels)


def _copy(file: Path, target: Path) -> None:
    with atomic_write(target) as temporary:
        shutil.copyfile(file, temporary)


def _write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    if path.suffix.lower() == ".png":
        write_png(path, pixels)
    else:
        write_jpeg(path, pixels, _JPEG_QUALITY)


def _write_mask(path: Path, mask: NDArray[np.bool_] | None) -> bool:
    """Write it where it leaves something out; returns whether it does."""
    if mask is None or mask.all():
        return False
    write_png(path, mask.astype(np.uint8) * np.uint8(255))
    return True


def _on_pinhole(prediction: Prediction, view: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The processed mask on the undistorted original, the nearest pixel each; True where a crop has cut."""
    import cv2

    assert prediction.mask is not None
    assert prediction.processed_to_original is not None
    to_original = prediction.processed_to_original[view].astype(np.float64)
    # OpenCV's first pixel centre is (0, 0).
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(half) @ to_original @ half
    mask = prediction.mask[view].astype(np.uint8)
    warped = cv2.warpAffine(mask, matrix[:2], size, flags=cv2.INTER_NEAREST, borderValue=(1,))
    return np.asarray(warped, np.bool_)


def undistorted_pixels(pixels: NDArray[np.float64], camera: Cameras) -> NDArray[np.float64]:
    """Where pixels (K, 2) of a photo as `camera` (N = 1) took it are in the undistorted photo."""
    import cv2

    if camera.distortion is None or camera.intrinsics is None or not len(pixels):
        return pixels
    pinhole = camera.pinhole().intrinsics
    assert pinhole is not None
    straight = cv2.undistortPoints(pixels[:, None], camera.intrinsics[0], camera.distortion[0], P=pinhole[0])
    return np.asarray(straight, np.float64).reshape(-1, 2)


def _as_taken(mask: NDArray[np.bool_], camera: Cameras) -> NDArray[np.bool_]:
    """A mask (H, W) of an undistorted photo as its lens shows it; True beyond what the undistorted photo shows."""
    import cv2

    height, width = mask.shape
    straight = undistorted_pixels(pixel_centres(height, width).reshape(-1, 2), camera)
    x, y = np.moveaxis(straight.reshape(height, width, 2).astype(np.float32) - np.float32(0.5), -1, 0)
    taken = cv2.remap(mask.astype(np.uint8), x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(1,))
    return np.asarray(taken, np.bool_)


def _say_what_is_processed(prediction: Prediction, written: Sequence[_Written]) -> None:
    missing = [view for view, one in enumerate(written) if not one.original]
    if not missing or not _knows_originals(prediction):
        return
    assert prediction.original_sizes is not None
    height, width = prediction.depth.shape[1:]
    if (prediction.original_sizes[missing] == (width, height)).all() and prediction.originals is None:
        return
    who = f"{len(missing)} of {len(written)} photos" if len(missing) < len(written) else "the photos"
    warn(
        f"{who} could not be written at their own resolution, and are {width}×{height} pixels in {IMAGES}/, with "
        f"cameras to match: {written[missing[0]].why}"
    )


def _in_views(prediction: Prediction) -> NDArray[np.float64]:
    """(N, 3, 3) from pixels of the photo in each view, which may be smaller than the view, to those of the view."""
    shifts = np.tile(np.eye(3), (len(prediction.depth), 1, 1))
    if prediction.photo_boxes is not None:
        shifts[:, :2, 2] = prediction.photo_boxes[:, :2]
    return shifts


def _described(
    prediction: Prediction,
    cameras: Cameras,
    pinholes: Cameras,
    lens: LensChoice,
    original: NDArray[np.bool_],
    names: tuple[str, ...],
    masks: tuple[str | None, ...],
    files: tuple[Path, ...],
    written: Sequence[_Written],
) -> WrittenImages:
    """With the camera of each image: that of the original, or of the processed image where that was written."""
    processed = prediction.cameras.mapped(_in_views(prediction), [one.size for one in written])
    chosen = cameras if lens == "original" else pinholes
    assert chosen.intrinsics is not None
    assert chosen.sizes is not None
    assert pinholes.intrinsics is not None
    assert processed.intrinsics is not None
    assert processed.sizes is not None
    to_pinhole: NDArray[np.float64] = np.linalg.inv(_in_views(prediction)).astype(np.float64)
    if original.any():
        assert prediction.processed_to_original is not None
        to_pinhole[original] = prediction.processed_to_original[original]
    distortion = None if chosen.distortion is None else np.where(original[:, None], chosen.distortion, 0.0)
    matrices = original[:, None, None]
    return WrittenImages(
        names=names,
        cameras=replace(
            chosen,
            intrinsics=np.where(matrices, chosen.intrinsics, processed.intrinsics),
            sizes=np.where(original[:, None], chosen.sizes, processed.sizes),
            distortion=distortion if distortion is not None and distortion.any() else None,
        ),
        pinhole_intrinsics=np.where(matrices, pinholes.intrinsics, processed.intrinsics),
        processed_to_pinhole=to_pinhole,
        masks=masks,
        files=files,
        copied=sum(one.copied for one in written),
        processed=int((~original).sum()),
    )
