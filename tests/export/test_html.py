"""The page with everything inside: what its data hold, how large it gets, and what a browser draws of it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from recon.errors import InputError
from recon.export import check_options, html
from recon.export.html import HtmlOptions
from recon.export.packing import Packed, PackedSplats, dequantise, pack_splats, quantise, unpack_splats
from recon.export.page_file import page_size
from recon.export.points import PointOptions, select_points
from recon.geometry.quaternions import to_matrix
from recon.geometry.up import estimate_up
from recon.messages import ReconWarning
from recon.types import MadeBy
from tests.seeds import numpy_random
from tests.splats.scenes import random_gaussians

WHOLE = HtmlOptions(prune_border=False, prune_by_depth_percent=1.0)


class Scripts(HTMLParser):
    """The text of every script of a page, by id, else by type."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.count = 0
        self._name: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "script":
            self._name = dict(attrs).get("id") or dict(attrs)["type"]
            self.found[self._name] = ""
            self.count += 1

    def handle_endtag(self, tag):
        if tag == "script":
            self._name = None

    def handle_data(self, data):
        if self._name is not None:
            self.found[self._name] += data


def read_page(path):
    """The scene, and its quantised arrays by layer and name, as the page has them."""
    scripts = Scripts(path.read_text(encoding="utf-8")).found
    scene = json.loads(scripts["scene"])
    blocks = {}
    for layer in ("points", "splats", "mesh", "sparse"):
        for name, one in (scene[layer] or {"blocks": {}})["blocks"].items():
            data = base64.b64decode(scripts[one["block"]])
            blocks[layer, name] = Packed(data, one["count"], one["bits"], tuple(one["low"]), tuple(one["high"]))
    return scene, blocks


@pytest.mark.parametrize("bits", [8, 16, 24])
def test_quantised_within_half_a_step(bits):
    values = numpy_random(1).normal(0, 5, (300, 3)) * (1, 100, 1e-3)
    packed = quantise(values, bits)
    steps = np.ptp(values, axis=0) / (2**bits - 1)
    error = np.abs(dequantise(packed) - values)
    assert (error <= steps * (0.5 + 1e-6)).all()
    assert error.max() > 0
    assert len(packed.low) == 3


def test_quantised_whole_numbers_are_exact_and_a_constant_stays():
    numbers = np.array([[0], [255], [300], [65535]])
    np.testing.assert_array_equal(dequantise(quantise(numbers, 16, 0, 65535)), numbers)
    constant = np.full((4, 2), -3.25)
    np.testing.assert_array_equal(dequantise(quantise(constant, 8)), constant)
    assert dequantise(quantise(np.zeros((0, 3)), 24)).shape == (0, 3)


@pytest.mark.parametrize("degree", range(4))
def test_splats_survive_packing(degree):
    gaussians = random_gaussians(numpy_random(degree), 500, degree)
    packed = pack_splats(gaussians)
    read = unpack_splats(packed)
    assert read.sh_degree == packed.degree == degree
    np.testing.assert_allclose(read.means, gaussians.means, atol=1e-6)
    np.testing.assert_allclose(read.scales, gaussians.scales, rtol=2e-4)
    np.testing.assert_allclose(to_matrix(read.rotations), to_matrix(gaussians.rotations), atol=2e-4)
    np.testing.assert_allclose(read.opacities, gaussians.opacities, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(read.harmonics[:, :, 0], gaussians.harmonics[:, :, 0], atol=2e-4)
    largest = np.abs(gaussians.harmonics).max()
    np.testing.assert_allclose(read.harmonics, gaussians.harmonics, atol=largest / 127)
    lowered = unpack_splats(packed.lowered(min(degree, 1)))
    np.testing.assert_array_equal(lowered.harmonics, read.harmonics[:, :, : 4 if degree else 1])


def test_no_harmonics_stay_none():
    gaussians = random_gaussians(numpy_random(0), 20, 1)
    gaussians.harmonics[:, :, 1:] = 0
    assert (unpack_splats(pack_splats(gaussians)).harmonics[:, :, 1:] == 0).all()


def test_what_the_page_holds(make_prediction, tmp_path):
    prediction = make_prediction(gaussians=True)
    written = html.write(prediction, tmp_path, WHOLE)
    assert written.files == (tmp_path / "view.html",)
    scene, blocks = read_page(written.files[0])
    cloud = select_points(prediction, PointOptions())
    np.testing.assert_allclose(dequantise(blocks["points", "position"]), cloud.points, atol=1e-5)
    np.testing.assert_array_equal(dequantise(blocks["points", "color"]), cloud.colors)
    np.testing.assert_array_equal(dequantise(blocks["points", "view"])[:, 0], cloud.pixels // (28 * 42))
    # The rank of a point among all, and the confidence at each rank.
    conf = prediction.conf.ravel()[cloud.pixels]
    ranks = dequantise(blocks["points", "confidence"])[:, 0].astype(int)
    levels = np.array(scene["points"]["confidence_levels"])
    assert len(levels) == 256
    assert (levels[ranks] <= conf + 1e-4).mean() > 0.98
    assert np.corrcoef(ranks, np.argsort(np.argsort(conf)))[0, 1] > 0.999
    splats = {name: one for (layer, name), one in blocks.items() if layer == "splats"}
    read = unpack_splats(PackedSplats(splats, tuple(scene["splats"]["limits"])))
    np.testing.assert_allclose(read.means, prediction.gaussians.means, atol=1e-5)
    np.testing.assert_allclose(scene["views"][1]["world_to_camera"], prediction.extrinsics[1].ravel())
    assert scene["views"][1]["intrinsics"] == pytest.approx([46.2, 46.2, 21, 14])
    assert scene["left_out"] == written.details["left_out"] == []
    assert written.details["bytes"] == written.files[0].stat().st_size
    assert written.details["splats"] == prediction.depth.size


def test_what_a_run_says_of_itself_is_shown(make_prediction, tmp_path):
    run = {
        "model": {"preset": "da3-large", "weights": {"licence": "CC BY-NC 4.0"}},
        "quality": {"depth_agreeing": 0.876, "depth_difference": None},
        "seconds": {"predict": 12.4, "load": 3.0},
        "cleaning": {"points": 2000, "removed": {"edges": 50, "of_tomorrow": 10}, "tolerance": None},
        "optimised": {"before": {"psnr": 20.04}, "after": {"psnr": 27.96}, "held_out_before": None},
        "dropped_images": [{"name": "</script>.jpg", "reason": "cut short"}],
        "warnings": ["<b>dark"],
    }
    made_by = MadeBy("network", "da3-large")
    path = html.write(make_prediction(run=run, made_by=made_by, gaussians=True), tmp_path, WHOLE).files[0]
    shown = [tuple(fact) for fact in read_page(path)[0]["facts"]]
    assert {
        ("Depth by", "da3-large (network)"),
        ("Licence of the weights", "CC BY-NC 4.0"),
        ("Units", "aligned"),
        ("Depth that views agree on", "88 %"),
        ("Splats against photos fitted to", "20.0 dB before fitting, 28.0 dB after"),
        ("Left out at depth edges", "50 points, 2.5 %"),
        ("Left out of_tomorrow", "10 points, 0.5 %"),
        ("Seconds", "15"),
        ("Of these", "predict 12.4, load 3.0"),
        ("Photo left out", "</script>.jpg: cut short"),
        ("Warning", "<b>dark"),
    } <= set(shown)
    facts = json.loads(Scripts(path.read_text(encoding="utf-8")).found["facts-json"])
    assert facts["model"] == {"kind": "network", "name": "da3-large"}
    assert facts["licence"] == "CC BY-NC 4.0"
    assert facts["gaussians"] == {"source": "head", "count": 3 * 28 * 42, "degree": 2}
    assert facts["optimised"] == {"before": 20.04, "after": 27.96}
    for name in ("quality", "cleaning", "seconds", "dropped_images", "warnings"):
        assert facts[name] == run[name]


def test_how_sure_cameras_are_is_in_the_page(make_prediction, tmp_path):
    certainty = [
        {"name": "a.jpg", "degrees": 0.0123, "distance": 0.00456, "points": 900},
        {"name": "b.jpg", "degrees": 1.2, "distance": 0.3, "points": 9},
        {"name": "c.jpg", "degrees": None, "distance": None, "points": 0},
    ]
    run = {"cameras": {"sfm": {"certainty": certainty}}, "quality": {"weak_cameras": ["b.jpg", "c.jpg"]}}
    prediction = make_prediction(run=run, image_names=("a.jpg", "b.jpg", "c.jpg"))
    scene = read_page(html.write(prediction, tmp_path, WHOLE).files[0])[0]
    assert [(view["certainty"], view["weak"]) for view in scene["views"]] == [
        ("sure to 0.012°, 0.0046 units", False),
        ("sure to 1.2°, 0.3 units", True),
        ("", True),
    ]


def test_facts_of_a_record_of_another_version(make_prediction, tmp_path):
    run = {"quality": None, "seconds": "15", "cleaning": [], "warnings": None, "optimised": {"before": 3}, "model": "a"}
    path = html.write(make_prediction(run=run), tmp_path, WHOLE).files[0]
    facts = json.loads(Scripts(path.read_text(encoding="utf-8")).found["facts-json"])
    assert facts["seconds"] == facts["quality"] == facts["optimised"] == {}
    assert facts["licence"] is facts["model"] is None
    assert facts["units"] == "aligned"


def test_views_with_photos_of_their_own_size(make_prediction, tmp_path):
    boxes = np.array([[0, 0, 42, 28], [6, 4, 30, 20], [0, 0, 42, 28]])
    path = html.write(make_prediction(photo_boxes=boxes), tmp_path, WHOLE).files[0]
    view = read_page(path)[0]["views"][1]
    assert view["size"] == [30, 20]
    assert view["intrinsics"] == pytest.approx([46.2, 46.2, 15, 10])


def test_nothing_is_loaded_from_anywhere(make_prediction, tmp_path):
    text = html.write(make_prediction(gaussians=True), tmp_path, WHOLE).files[0].read_text(encoding="utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text
    assert page_size() < 200_000


def test_names_with_markup_stay_names(make_prediction, tmp_path):
    names = ("</script><script>alert(1)</script>", "<!--<script>", "b")
    plain = Scripts(html.write(make_prediction(), tmp_path / "a", WHOLE).files[0].read_text(encoding="utf-8"))
    path = html.write(make_prediction(image_names=names), tmp_path / "b", WHOLE).files[0]
    assert Scripts(path.read_text(encoding="utf-8")).count == plain.count
    assert tuple(view["name"] for view in read_page(path)[0]["views"]) == names


def test_a_file_that_is_too_large_holds_less(make_prediction, tmp_path):
    prediction = make_prediction(height=80, width=120)
    rng = numpy_random(3)
    many = replace(prediction, gaussians=random_gaussians(rng, 40_000, 2), gaussian_source="depth")
    with pytest.warns(ReconWarning, match=r"html\.max_mb=1 is the limit"):
        written = html.write(many, tmp_path, HtmlOptions(max_mb=1))
    size = written.files[0].stat().st_size
    assert 0.85e6 < size <= 1e6
    scene, _ = read_page(written.files[0])
    assert scene["left_out"] == written.details["left_out"]
    said = " ".join(scene["left_out"])
    assert "degree 0 instead of 2" in said
    assert f"{scene['splats']['count']:,} of 40,000 splats" in said
    assert 5000 < scene["splats"]["count"] < 40_000
    assert scene["points"]["count"] > 1000


def test_the_most_visible_splats_stay(make_prediction, tmp_path):
    gaussians = random_gaussians(numpy_random(3), 60_000)
    gaussians.opacities[::2] = 0.001
    many = replace(make_prediction(), gaussians=gaussians, gaussian_source="depth")
    with pytest.warns(ReconWarning, match="splats"):
        written = html.write(many, tmp_path, HtmlOptions(max_mb=1))
    _, blocks = read_page(written.files[0])
    assert (dequantise(blocks["splats", "opacity"]) < 0.002).mean() < 0.01


def test_up_is_how_cameras_were_held():
    up = np.array([0.6, 0.0, 0.8])
    rng = numpy_random(4)
    cameras = []
    for _ in range(6):
        forward = rng.normal(size=3) - 0.8 * up  # most look down
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, up)
        right /= np.linalg.norm(right)
        cameras.append(np.column_stack([np.stack([right, np.cross(forward, right), forward]), rng.normal(size=3)]))
    np.testing.assert_allclose(estimate_up(np.array(cameras)), up, atol=1e-9)
    np.testing.assert_allclose(estimate_up(np.eye(3, 4)[None]), [0, -1, 0])


@pytest.mark.parametrize("value", [0.5, 501, "large"])
def test_wrong_sizes(value):
    with pytest.raises(InputError, match=r"html\.max_mb"):
        check_options({"html": {"max_mb": value}})
