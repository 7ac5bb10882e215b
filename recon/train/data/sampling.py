"""One sample of a scene's views: cropped, mirrored and changed in colour, with cameras and labels that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.geometry.cameras import invert_rigid
from recon.sources.fitting import IMAGENET_MEAN, IMAGENET_STD
from recon.train.batches import Sample
from recon.train.data.colours import Augment, changed
from recon.train.data.crops import Crop, draw_crop, whole
from recon.train.data.scene import Labels, Picture, Scene, Size
from recon.train.data.teachers import Teacher
from recon.types import LARGEST_DEPTH, SMALLEST_DEPTH


@dataclass(frozen=True)
class Contents:
    """What all samples of a set hold, so that any of them go into one batch."""

    labels: bool
    """Whether they have depth of their own."""
    sky: bool
    extrinsics: bool
    intrinsics: bool
    metric: bool
    exact: bool
    teacher: Teacher | None = None


@dataclass(frozen=True)
class Changes:
    """What is done to the photos of a sample, beside what is drawn for each."""

    size: Size
    """Height and width of all its views."""
    zoom: tuple[float, float] = (1.0, 1.0)
    """Bounds of a crop's side, as a share of the largest crop's."""
    centred: bool = True
    """Whether principal points stay in the middle."""
    mirror_share: float = 0.0
    augment: Augment = "none"
    cameras_given: bool = False


def make_sample(
    scene: Scene, views: Sequence[int], contents: Contents, changes: Changes, random: np.random.Generator | None
) -> Sample:
    """N views of a scene as the network is to see them; its world is the frame of the first.

    Args:
        scene: which has all that `contents` says.
        views: N indices; the first is the reference view.
        contents: what to read.
        changes: what to do.
        random: of this sample; None for the middle of the photos as they are.

    Raises:
        InputError: a photo that cannot be read, cameras that are no numbers, or a view in which no depth is known.
    """
    mirrored = random is not None and bool(random.uniform() < changes.mirror_share)
    images, crops, labels, of_teacher = [], [], [], []
    for view in views:
        picture = scene.read_picture(view)
        crop = _crop(scene, view, picture, changes, mirrored, random)
        part = crop.picture(picture)
        shown = changed(part.pixels, "none" if random is None else changes.augment, random)
        images.append(normalised(shown))
        crops.append(crop)
        if contents.labels:
            labels.append(_labels(scene, view, crop, part))
        if contents.teacher is not None:
            of_teacher.append(contents.teacher.labels(scene, view, picture, changes.size, crop.to_photo))
    depth = np.stack([one.depth for one in labels]) if labels else None
    skies = [one.sky for one in (labels or of_teacher) if one.sky is not None]
    return Sample(
        images=np.stack(images),
        names=tuple(scene.label(view) for view in views),
        depth=depth,
        valid=None if depth is None else depth > 0,
        world_to_camera=_extrinsics(scene, views, crops) if contents.extrinsics else None,
        intrinsics=_intrinsics(scene, views, crops) if contents.intrinsics else None,
        sky=np.stack(skies) if contents.sky and len(skies) == len(views) else None,
        teacher=np.stack([one.depth for one in of_teacher]) if of_teacher else None,
        teacher_kind="depth" if contents.teacher is None else contents.teacher.kind,
        cameras_given=changes.cameras_given and contents.extrinsics and contents.intrinsics,
        metric=contents.metric,
        exact=contents.exact,
    )


def normalised(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3, H, W) as networks take it, of RGB (H, W, 3) from 0 to 1."""
    return np.ascontiguousarray(((image - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1), np.float32)


def _crop(
    scene: Scene,
    view: int,
    picture: Picture,
    changes: Changes,
    mirrored: bool,
    random: np.random.Generator | None,
) -> Crop:
    height, width = picture.pixels.shape[:2]
    centre = np.array([width / 2, height / 2])
    if scene.cameras is not None and scene.has_intrinsics:
        assert scene.cameras.intrinsics is not None
        centre = scene.cameras.intrinsics[view, :2, 2]
    if random is None:
        return whole((height, width), changes.size, centre)
    try:
        around = centre if changes.centred else None
        return draw_crop(random, (height, width), changes.size, changes.zoom, around, mirrored)
    except InputError as error:
        raise InputError(f"{scene.label(view)}: {error}") from None


def _labels(scene: Scene, view: int, crop: Crop, part: Picture) -> Labels:
    """With depth 0 where there is none that can be used. Raises InputError for a view without any."""
    assert scene.read_labels is not None
    labels = scene.read_labels(view, crop.size, crop.to_photo)
    usable = (labels.depth >= SMALLEST_DEPTH) & (labels.depth <= LARGEST_DEPTH)  # False for NaN
    if part.mask is not None:
        usable &= part.mask
    if labels.sky is not None:
        usable &= ~labels.sky
    if not usable.any():
        raise InputError(f"{scene.label(view)}: no valid depth in what a sample shows of it")
    return Labels(np.where(usable, labels.depth, np.float32(0)), labels.sky)


def _extrinsics(scene: Scene, views: Sequence[int], crops: Sequence[Crop]) -> NDArray[np.float32]:
    assert scene.cameras is not None
    assert scene.cameras.world_to_camera is not None
    matrices = scene.cameras.world_to_camera
    found = np.stack([crop.world_to_camera(matrices[view]) for view, crop in zip(views, crops, strict=True)])
    # In the first camera's frame, before float32: worlds of surveys have their origin far away.
    return _finite(found @ invert_rigid(found[0]), scene, views, "extrinsics")


def _intrinsics(scene: Scene, views: Sequence[int], crops: Sequence[Crop]) -> NDArray[np.float32]:
    assert scene.cameras is not None
    assert scene.cameras.intrinsics is not None
    matrices = scene.cameras.intrinsics
    found = np.stack([crop.intrinsics(matrices[view]) for view, crop in zip(views, crops, strict=True)])
    return _finite(found, scene, views, "intrinsics")


def _finite(matrices: NDArray[np.float64], scene: Scene, views: Sequence[int], what: str) -> NDArray[np.float32]:
    wrong = ~np.isfinite(matrices).all(axis=(1, 2))
    if wrong.any():
        raise InputError(f"{scene.label(views[int(np.argmax(wrong))])}: its {what} hold NaN or infinity")
    return matrices.astype(np.float32)
