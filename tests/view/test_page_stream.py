"""A page whose data come in pieces: together they are everything, and a browser draws them."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest

from recon.export import page_stream
from recon.export.packing import Packed, dequantise
from recon.export.page_content import PageContent, PagePoints
from recon.export.page_of_prediction import content_of
from recon.export.page_stream import streamed_page
from recon.export.points import PointOptions
from recon.export.splats import SplatOptions
from recon.view.app import make_app
from recon.view.page import page_routes
from recon.view.server import Address, Server
from tests.export.browser import browse, find_browser
from tests.seeds import numpy_random
from tests.splats.scenes import random_gaussians

COUNT = 5000


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(page_stream, "_FIRST_POINTS", 100)
    monkeypatch.setattr(page_stream, "_LARGEST_PIECE", 2000)
    monkeypatch.setattr(page_stream, "_FIRST_SPLATS", 50)


def some_points(count=COUNT):
    rng = numpy_random(1)
    return PagePoints(
        rng.normal(size=(count, 3)).astype(np.float32),
        rng.integers(0, 256, (count, 3), dtype=np.uint8),
        np.arange(count) % 3,
        rng.random(count),
    )


def scene_of(page):
    return json.loads(page.page.decode().partition('id="scene">')[2].partition("</script>")[0])


def read(page, of, name):
    """One array of all pieces of a layer, piece by piece."""
    layer = scene_of(page)[of]
    found = []
    for piece in [layer, *layer["more"]]:
        one = piece["blocks"][name]
        data = page.pieces[one["block"]]()
        packed = Packed(data, one["count"], one["bits"], tuple(one["low"]), tuple(one["high"]))
        assert len(zlib.decompress(data)) == one["count"] * len(one["low"]) * one["bits"] // 8
        found.append(dequantise(packed))
    return found


def sorted_rows(array):
    return array[np.lexsort(np.round(array, 4).T)]


def test_pieces_are_everything_once_the_coarsest_first(small_pieces):
    points = some_points()
    page = streamed_page(PageContent("a", "m", {}, (), points=points))
    found = read(page, "points", "position")
    assert [len(one) for one in found] == [100, 400, 1600, 2000, 900]
    assert scene_of(page)["points"]["count"] == COUNT
    np.testing.assert_allclose(sorted_rows(np.concatenate(found)), sorted_rows(points.positions), atol=1e-4)
    spread = np.ptp(found[0], axis=0) / np.ptp(points.positions, axis=0)
    assert (spread > 0.5).all()
    views = np.concatenate(read(page, "points", "view"))[:, 0]
    assert np.bincount(views.astype(int)).tolist() == [1667, 1667, 1666]
    ranks = np.concatenate(read(page, "points", "confidence"))[:, 0]
    assert 120 < ranks.mean() < 135


def test_splats_come_as_the_most_visible_ones_first(small_pieces):
    splats = random_gaussians(numpy_random(2), 300, 1)
    page = streamed_page(PageContent("a", "m", {}, (), splats=splats))
    opacity = read(page, "splats", "opacity")
    assert [len(one) for one in opacity] == [50, 250]
    means = np.concatenate(read(page, "splats", "position"))
    np.testing.assert_allclose(sorted_rows(means), sorted_rows(splats.means), atol=1e-4)
    assert opacity[0].mean() > opacity[1].mean()


def test_more_than_a_browser_holds_is_thinned_and_said():
    content = PageContent("a", "m", {}, (), points=some_points(), splats=random_gaussians(numpy_random(2), 300))
    page = streamed_page(content, most_points=1000, most_splats=100)
    assert page.left_out == ("100 of 300 splats, the most visible ones.", "1,000 of 5,000 points.")
    scene = scene_of(page)
    assert scene["left_out"] == list(page.left_out)
    assert (scene["points"]["count"], scene["splats"]["count"]) == (1000, 100)


@pytest.mark.parametrize(("up", "ahead"), [((0, 0, 1), 1), ((0, 1, 0), -2), ((0, -1, 0), 2)])
def test_a_scene_without_photos_is_seen_whole_from_its_front(up, ahead):
    points = some_points()
    start = scene_of(streamed_page(PageContent("a", "m", {}, (), points=points, up=up)))["start"]
    world_to_camera = np.array(start["world_to_camera"]).reshape(3, 4)
    np.testing.assert_allclose(world_to_camera[:, :3] @ world_to_camera[:, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(world_to_camera[:, :3]) == pytest.approx(1)
    assert world_to_camera[1, :3] @ up < -0.9  # up of the world is up in the picture
    assert world_to_camera[2, abs(ahead)] * np.sign(ahead) > 0.9
    x, y, z = world_to_camera[:, :3] @ points.positions.T + world_to_camera[:, 3:]
    fx, fy, cx, cy = start["intrinsics"]
    inside = (z > 0) & (np.abs(fx * x / z) < cx) & (np.abs(fy * y / z) < cy)
    assert inside.mean() > 0.9


@pytest.mark.skipif(find_browser() is None, reason="no chromium to open the page with")
@pytest.mark.slow
def test_a_browser_takes_the_pieces(small_pieces, make_prediction, tmp_path):
    splats = random_gaussians(numpy_random(3), 300, 2)
    prediction = replace(make_prediction(), gaussians=splats, gaussian_source="depth")
    page = streamed_page(content_of(prediction, PointOptions(), SplatOptions()))
    with (
        Address(18200) as address,
        Server(make_app(page_routes(page), address.hosts), address),
        browse(address.url, tmp_path / "profile", (600, 450)) as browser,
    ):
        browser.run("recon.complete.then(() => true)")
        browser.run("recon.show({points: false, photos: false, mesh: false})")
        assert np.ptp(browser.picture()) > 50
        browser.run("recon.show({points: true, splats: false})")
        assert np.ptp(browser.picture()) > 50
        browser.run("recon.show({photos: true})")  # what loads them
        browser.picture()
        browser.run("recon.flyTo(1)")
        loaded = "performance.getEntriesByType('resource').filter((e) => e.name.includes('/photo-')).length"
        browser.run(
            f"new Promise((done) => {{ const i = setInterval(() => {{ if ({loaded} >= 3) {{ clearInterval(i); "
            "done(true); } }, 20); })"
        )
        assert browser.errors == []
        wanted = {name for name in page.pieces if name.startswith(("points-", "splats-", "photo-"))}
        asked = {one.rpartition("/")[2] for one in browser.requests if one.startswith(f"{address.url}data/")}
        assert wanted <= asked
        elsewhere = [one for one in browser.requests if not one.startswith((address.url, "data:", "blob:"))]
        assert elsewhere == []
