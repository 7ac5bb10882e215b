"""Depth where stereo has least to go by: no texture, texture that repeats, things that move, varying exposure."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.stereo.multi_view import multi_view_depth

from ..synthetic.camera_paths import camera_path, pinhole
from ..synthetic.render import SyntheticViews, render_views
from ..synthetic.scenes import make_scene

pytestmark = pytest.mark.slow

SIZE = (189, 252)
VIEWS = 8
EXPOSURE = np.array([1.0, 0.7, 1.4, 0.85, 1.2, 0.75, 1.3, 0.95])


def photograph(name: str, exposure: NDArray[np.float64] | None = None) -> SyntheticViews:
    scene = make_scene(name)
    cameras = camera_path(scene, "orbit", 12)[:VIEWS]
    return render_views(scene, cameras, pinhole(SIZE, scene.stage.field_of_view), SIZE, exposure=exposure)


@pytest.mark.parametrize(
    ("name", "exposure", "least_kept"),
    [
        ("textureless_wall", None, 0.4),
        ("repeated_texture", None, 0.5),
        ("moving_object", None, 0.6),
        ("courtyard", EXPOSURE, 0.6),
    ],
)
def test_what_is_kept_is_right(name: str, exposure: NDArray[np.float64] | None, least_kept: float):
    """Cameras are the true ones; neither points nor a depth range are given."""
    views = photograph(name, exposure)
    depth = multi_view_depth(views.images, views.cameras, None).depth
    solid = views.depth > 0
    kept = (depth > 0) & solid
    errors = np.abs(depth[kept] / views.depth[kept] - 1)
    assert (errors < 0.05).mean() >= 0.95
    assert kept.sum() > least_kept * solid.sum()
    if (~solid).any():
        assert (depth > 0)[~solid].mean() < 0.05
