"""True cameras, depth and surfaces of a scene, whatever the layout of the folder that they come in.

`read_ground_truth` knows the folder layouts of `recon.eval.layouts`. Depth maps and surfaces are read only when they
are asked for: a scene of ETH3D holds gigabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.eval.layouts import LAYOUTS
from recon.eval.truth import GroundTruth, SparseDepth
from recon.geometry.unprojection import pixel_centres
from recon.sources.names import normalise_name
from recon.types import FloatArray


def read_ground_truth(path: str | Path) -> GroundTruth:
    """The ground truth of the scene in the folder `path`.

    Raises:
        InputError: no such folder, a layout that is not known (the message lists those that are), or damaged files.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"ground truth: '{folder}' is not a folder")
    for layout in LAYOUTS:
        root = layout.find(folder)
        if root is not None:
            return layout.read(root)
    known = "; ".join(f"{layout.name}: {layout.holds}" for layout in LAYOUTS)
    raise InputError(f"ground truth: '{folder}' has none of the known layouts ({known})")


def is_ground_truth(path: str | Path) -> bool:
    """Whether `read_ground_truth` knows the layout of the folder `path`."""
    folder = Path(path).expanduser()
    return folder.is_dir() and any(layout.find(folder) is not None for layout in LAYOUTS)


def sample_depth(
    truth: GroundTruth, view: int, size: tuple[int, int], to_image: FloatArray
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None] | None:
    """True depth and sky at the pixel centres of another picture of the same view, from the nearest depth pixel.

    Args:
        truth: of the scene.
        view: index into it.
        size: height and width of the other picture.
        to_image: (3, 3) affine map from its pixels to those of the true image.

    Returns:
        Depth (height, width), 0 where there is none, and the sky (height, width) or None. Without depth, None.
    """
    source = truth.depth_files[view] if truth.depth_files else None
    if source is None:
        return None
    if isinstance(source, SparseDepth):
        return _pixels_of_points(source, size, np.linalg.inv(to_image)), None
    depth = source.read()
    pixels = pixel_centres(*size) @ to_image[:2, :2].T + to_image[:2, 2]  # (height, width, 2)
    if source.from_image is None:
        pixels = pixels * (depth.shape[1], depth.shape[0]) / truth.image_sizes[view]
    else:
        pixels = source.from_image(pixels)
    with np.errstate(invalid="ignore"):
        inside = np.all((pixels >= 0) & (pixels < (depth.shape[1], depth.shape[0])), axis=-1)
    columns, rows = np.where(inside[..., None], pixels, 0).astype(np.int64).transpose(2, 0, 1)
    found = np.where(inside, depth[rows, columns], 0).astype(np.float32)
    sky = None if source.read_sky is None else source.read_sky()[rows, columns] & inside
    return found, sky


def _pixels_of_points(source: SparseDepth, size: tuple[int, int], from_image: FloatArray) -> NDArray[np.float32]:
    """Depth (height, width) at the pixels that points fall into, the nearest where there are several; 0 elsewhere."""
    depth = np.zeros(size, np.float32)
    columns, rows = np.floor(source.pixels @ from_image[:2, :2].T + from_image[:2, 2]).astype(np.int64).T
    inside = (columns >= 0) & (columns < size[1]) & (rows >= 0) & (rows < size[0])
    farthest_first = np.argsort(-source.depth[inside], kind="stable")
    depth[rows[inside][farthest_first], columns[inside][farthest_first]] = source.depth[inside][farthest_first]
    return depth


def match_names(names: Sequence[str], truth_names: Sequence[str]) -> list[int | None]:
    """For each name of a result, the index of the one true image that it means, or None.

    The same path counts, else the same last parts of the path, else the same without the suffix: a data set's
    `dslr_images/DSC_0286.JPG` is the result's `DSC_0286.jpg`. Names in two Unicode forms are one. A name that may
    mean several images is left out.
    """

    matches: list[int | None] = [None] * len(names)
    for without_suffix in (False, True):
        index: dict[tuple[str, ...], list[int]] = {}
        for i, name in enumerate(truth_names):
            for tail in _tails(name, without_suffix):
                index.setdefault(tail, []).append(i)
        for i, name in enumerate(names):
            if matches[i] is None:
                unique = (index[tail][0] for tail in _tails(name, without_suffix) if len(index.get(tail, ())) == 1)
                matches[i] = next(unique, None)
    return matches


def _tails(name: str, without_suffix: bool) -> list[tuple[str, ...]]:
    """The last parts of a path, the longest first."""
    path = Path(normalise_name(name))
    parts = (path.with_suffix("") if without_suffix else path).parts
    return [parts[start:] for start in range(len(parts))]
