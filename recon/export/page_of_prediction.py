"""What the page of a prediction shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.export.depth_vis import CLIPPED_PERCENT, SKY_COLOR, color_depth
from recon.export.page_content import PageContent, PageLayer, PagePoints, PageView
from recon.export.page_facts import CameraCertainty, camera_certainty, facts_of, in_words
from recon.export.page_layers import pack_depth, page_mesh, page_sparse
from recon.export.points import PointCloud, PointOptions, select_points
from recon.export.splats import SplatOptions, select_splats
from recon.geometry.located_depth import with_cameras
from recon.types import Prediction
from recon.types.mapped import any_in, is_mapped, row_pieces
from recon.types.pieces import release_maps

UNITS = {"relative": "units", "aligned": "units", "metric": "m"}
"""How lengths are named, by `Prediction.units`."""
MESH_SHARE = 0.2
SPARSE_SHARE = 0.1
"""Of the size of a page that photos leave."""
_DEPTHS_OF = 100_000
"""About so many pixels decide which depths colours tell apart."""


def content_of(
    prediction: Prediction, points: PointOptions, splats: SplatOptions, *, mesh: PageLayer | bool = True
) -> PageContent:
    """Points, splats, photos and whatever else there is of a prediction.

    Args:
        prediction: of one view or of several with cameras.
        points, splats: which of them.
        mesh: the layer, where there is one already; else whether it is made of the depth.

    Raises:
        InputError: neither a point nor a splat is there to show.
    """
    prediction = with_cameras(prediction)
    cloud = _cloud(prediction, points)
    gaussians = None if prediction.gaussians is None else select_splats(prediction, splats).gaussians
    facts = facts_of(prediction, gaussians)
    count = None if cloud is None else len(cloud.points)
    layers = {}
    if isinstance(mesh, PageLayer):
        layers["mesh"] = mesh
    elif mesh:
        layers["mesh"] = PageLayer(partial(page_mesh, prediction, points), "face", MESH_SHARE, None)
    if prediction.sparse is not None and len(prediction.sparse):
        layers["sparse"] = PageLayer(partial(page_sparse, prediction), "position", SPARSE_SHARE, "no sparse points.")
    views = len(prediction.depth)
    with_photos = any_in(prediction.processed_images)
    unit = UNITS[prediction.units]
    certainty = camera_certainty(prediction.run, unit)
    return PageContent(
        title=f"recon: {views} {'photo' if views == 1 else 'photos'}",
        unit=unit,
        facts=facts,
        words=tuple(in_words(facts, count, None if cloud is None else cloud.conf_threshold)),
        views=tuple(_view(prediction, view, with_photos, certainty) for view in range(views)),
        points=None if cloud is None else _points(prediction, cloud),
        splats=gaussians,
        layers=layers,
        up=known_up(prediction.run),
        depths=_depths(prediction),
        splat_focal=_splat_focal(prediction),
    )


def _cloud(prediction: Prediction, options: PointOptions) -> PointCloud | None:
    """The points to show; None where there are none beside the splats."""
    try:
        return select_points(prediction, options)
    except InputError:
        if prediction.gaussians is None:
            raise
        return None


def _points(prediction: Prediction, cloud: PointCloud) -> PagePoints:
    pixels = prediction.depth.shape[1] * prediction.depth.shape[2]
    views = cloud.pixels // pixels
    confidence = None if prediction.conf is None else prediction.conf.reshape(-1)[cloud.pixels]
    colors = cloud.colors
    if not any_in(prediction.processed_images):
        colors = np.empty_like(colors)
        for view in range(len(prediction.depth)):
            of_view = views == view
            shown = color_depth(prediction.depth[view], prediction.valid_or_filled[view]).reshape(-1, 3)
            colors[of_view] = shown[cloud.pixels[of_view] % pixels]
    return PagePoints(cloud.points, colors, views.astype(np.uint32), confidence)


def _depths(prediction: Prediction) -> tuple[float, float]:
    """Nearest and farthest, but for the most extreme ones."""
    valid = prediction.valid
    step = max(sum(int(valid[views].sum()) for views in row_pieces(valid)) // _DEPTHS_OF, 1)
    if is_mapped(valid):
        usable = np.concatenate([prediction.depth[views][valid[views]][::step] for views in row_pieces(valid)])
        release_maps(prediction)
    else:
        usable = prediction.depth[valid][::step]
    if not len(usable):
        return 1.0, 2.0
    near, far = np.percentile(usable, [CLIPPED_PERCENT, 100 - CLIPPED_PERCENT])
    return float(near), float(far)


def known_up(run: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """z of the world of a run's record that GPS has placed, x east, y north and z up; None for any other."""
    found: Any = run
    for name in ("cameras", "sfm", "georeference", "frame"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return (0.0, 0.0, 1.0) if found == "east-north-up" else None


def _splat_focal(prediction: Prediction) -> float | None:
    """Focal length in pixels, the median of all views, of the pictures that splats were fitted to.

    None for splats of depth, which were fitted to no picture: each is as large as its pixel.
    """
    if prediction.gaussian_source not in ("head", "optimised") or prediction.intrinsics is None:
        return None
    focal = prediction.intrinsics[:, 0, 0].astype(np.float64)
    settings = prediction.run.get("settings")
    resolution = settings.get("gs_resolution", "process") if isinstance(settings, Mapping) else "process"
    affine, sizes = prediction.processed_to_original, prediction.original_sizes
    if prediction.gaussian_source == "optimised" and resolution != "process" and affine is not None:
        if isinstance(resolution, int) and sizes is not None:
            enlarged = affine[:, 0, 0] * np.minimum(resolution / sizes.max(axis=1), 1)
        else:
            enlarged = affine[:, 0, 0]
        focal = focal * np.maximum(enlarged, 1)
    return float(np.median(focal))


def _view(prediction: Prediction, view: int, with_photos: bool, certainty: Mapping[str, CameraCertainty]) -> PageView:
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    rows, columns = prediction.photo_area(view)
    k = prediction.intrinsics[view].astype(float)
    depth = prediction.depth[view][prediction.valid_or_filled[view]]
    name = prediction.image_names[view] if prediction.image_names else f"view {view}"
    sure = certainty.get(name, CameraCertainty("", False))
    return PageView(
        name=name,
        world_to_camera=prediction.extrinsics[view],
        intrinsics=(k[0, 0], k[1, 1], k[0, 2] - columns.start, k[1, 2] - rows.start),
        size=(columns.stop - columns.start, rows.stop - rows.start),
        distance=float(np.median(depth)) if len(depth) else 1.0,
        pictures=_pictures(prediction, view, with_photos),
        depths=partial(pack_depth, prediction, view),
        certainty=sure.text,
        weak=sure.weak,
    )


def _pictures(prediction: Prediction, view: int, with_photos: bool) -> dict[str, Callable[[], NDArray[np.uint8]]]:
    """The photo, unless photos are gone and black, and its depth."""
    pictures: dict[str, Callable[[], NDArray[np.uint8]]] = {"depth": partial(_depth_picture, prediction, view)}
    return {"photo": partial(_photo, prediction, view), **pictures} if with_photos else pictures


def _photo(prediction: Prediction, view: int) -> NDArray[np.uint8]:
    return prediction.processed_images[view, *prediction.photo_area(view)]


def _depth_picture(prediction: Prediction, view: int) -> NDArray[np.uint8]:
    area = view, *prediction.photo_area(view)
    colored = color_depth(prediction.depth[area], prediction.valid_or_filled[area])
    if prediction.sky is not None:
        colored[prediction.sky[area]] = SKY_COLOR
    return colored
