"""What is found of photos whose lens came out as a fisheye, as the pinhole photos that they become have it.

Nothing after structure from motion knows a fisheye. Its photos become pinhole photos when they are read again
(`recon.sources.lenses.pinhole_view`), so cameras and points are given as these show them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recon.geometry.sparse_points import SparsePoints
from recon.sfm.lens_models import FISHEYE
from recon.sfm.photos import SfmPhoto
from recon.sources.lenses import Lens, pinhole_view

if TYPE_CHECKING:
    import pycolmap


def fisheye_of(camera: pycolmap.Camera, photo: SfmPhoto) -> Lens | None:
    """The lens of `camera`, which is of the small picture of `photo`, in pixels of the photo; None where it is none."""
    if camera.model_name != FISHEYE:
        return None
    params = np.array(camera.params)
    params[[*camera.focal_length_idxs(), *camera.principal_point_idxs()]] /= photo.scale
    return Lens(camera.model_name, tuple(params.tolist()), photo.original_size)


def fisheyes_of(model: pycolmap.Reconstruction, photos: Sequence[SfmPhoto]) -> tuple[Lens | None, ...]:
    """Of each of the N photos, those without a place in `model` too, which have the lens of those that are alike."""
    lens_of: dict[object, Lens | None] = {}
    found: dict[int, Lens | None] = {}
    for image_id in model.reg_image_ids():
        photo = photos[image_id - 1]
        found[image_id - 1] = lens = fisheye_of(model.cameras[model.images[image_id].camera_id], photo)
        lens_of.setdefault(photo.camera_key, lens)
    return tuple(found.get(index, lens_of.get(photo.camera_key)) for index, photo in enumerate(photos))


def seen_in_pinhole(sparse: SparsePoints, lenses: Sequence[Lens | None]) -> SparsePoints:
    """Points as the pinhole photos of M views see them; those that a pinhole photo does not show, it does not see.

    Args:
        sparse: as the views see them with `lenses`.
        lenses: of each view; None: it stays as it is.
    """
    if sparse.pixels is None or all(lens is None for lens in lenses):
        return sparse
    observed, pixels = list(sparse.observed), list(sparse.pixels)
    for view, lens in enumerate(lenses):
        if lens is not None:
            places = in_pinhole(lens, pixels[view])
            shown = ((places >= 0) & (places <= lens.size)).all(axis=1)  # False for NaN
            observed[view], pixels[view] = observed[view][shown], places[shown]
    return replace(sparse, observed=tuple(observed), pixels=tuple(pixels))


def in_pinhole(lens: Lens, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 2) where the pinhole photo shows what the lens has at `pixels` (K, 2); NaN for what is not ahead."""
    if not len(pixels):
        return pixels
    rays = lens.rays_of(pixels)
    ahead = rays[:, 2:] > 0
    places = np.where(ahead, rays, np.nan) @ pinhole_view(lens).intrinsics.T
    return np.asarray(places[:, :2] / places[:, 2:], np.float64)
