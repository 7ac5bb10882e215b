"""What views show of splats: summed weights against pictures, and splats that nothing shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.geometry.cameras import to_4x4
from recon.refine import from_depth
from recon.splats.coverage import SEEN, Coverage, coverage, without_unseen
from recon.splats.rendering import render
from recon.types import Gaussians
from tests.refine.depth_scene import make_prediction

SIZE = (30, 40)
ROOM = make_prediction(3, *SIZE)
assert ROOM.extrinsics is not None
assert ROOM.intrinsics is not None
CAMERAS, LENSES = to_4x4(ROOM.extrinsics.astype(np.float64)), ROOM.intrinsics.astype(np.float64)


@pytest.fixture(scope="module")
def splats() -> Gaussians:
    """Those of the room, and as the last one, one behind all cameras."""
    room = from_depth(ROOM)
    away = replace(room, means=room.means + np.array([0, 0, -50], np.float32))
    names = Gaussians.__dataclass_fields__
    return Gaussians(**{name: np.concatenate([getattr(room, name), getattr(away, name)[:1]]) for name in names})


def test_weights_are_what_the_pictures_hold(splats: Gaussians) -> None:
    found = coverage(splats, CAMERAS, LENSES, SIZE)
    alpha = render(splats, ROOM.cameras, SIZE, rasterizer="cpu").alpha
    assert found.weights.sum() == pytest.approx(float(alpha.sum()), rel=1e-4)
    singly = [coverage(splats, CAMERAS[[i]], LENSES[[i]], SIZE, threads=1).weights for i in range(3)]
    np.testing.assert_allclose(found.weights, np.sum(singly, axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.views, (np.array(singly) >= SEEN).sum(axis=0))
    assert (found.weights[-1], found.views[-1]) == (0, 0)
    # One splat alone, against its own picture.
    one = int(found.weights.argmax())
    names = Gaussians.__dataclass_fields__
    alone = Gaussians(**{name: getattr(splats, name)[[one]] for name in names})
    by_itself = coverage(alone, CAMERAS, LENSES, SIZE).weights[0]
    assert by_itself == pytest.approx(float(render(alone, ROOM.cameras, SIZE, rasterizer="cpu").alpha.sum()), rel=1e-4)
    assert by_itself >= found.weights[one] - 1e-4  # nothing before it


def test_what_nothing_shows_fades_or_goes(splats: Gaussians) -> None:
    shown = coverage(splats, CAMERAS, LENSES, SIZE)
    seen = shown.weights >= SEEN
    faded, kept = without_unseen(splats, shown, prune=False)
    assert seen.sum() < len(faded) == len(kept.weights) < len(splats)
    of_seen = kept.weights >= SEEN
    np.testing.assert_array_equal(faded.opacities[of_seen], splats.opacities[seen])
    assert (faded.opacities[~of_seen] < splats.opacities[~seen].max()).all()
    np.testing.assert_allclose(faded.opacities[~of_seen] * SEEN / kept.weights[~of_seen], 0.98, rtol=1e-4)
    left, kept = without_unseen(splats, shown, prune=True)
    assert len(left) == len(kept.views) == seen.sum() < len(splats)
    np.testing.assert_array_equal(left.means, splats.means[seen])
    before, after = (render(each, ROOM.cameras, SIZE, rasterizer="cpu").color for each in (splats, left))
    assert np.abs(before - after).max() < 2 * SEEN
    nothing = Coverage(np.zeros(len(splats), np.float32), np.zeros(len(splats), np.int32))
    assert len(without_unseen(splats, nothing, prune=True)[0]) == len(splats)
