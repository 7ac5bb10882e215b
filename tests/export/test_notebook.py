"""`prediction.show()`: what a notebook gets, and that a browser draws it inside of another page."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from recon.errors import InputError
from recon.messages import ReconWarning
from tests.export.browser import browse, find_browser
from tests.export.test_html import Scripts
from tests.seeds import numpy_random
from tests.splats.scenes import random_gaussians


class Frames(HTMLParser):
    """The attributes of every tag."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_a_cell_holds_the_whole_page_and_nothing_else(make_prediction):
    names = ('"><script>alert(1)</script>', "</iframe>", "b'&amp;")
    shown = make_prediction(image_names=names).show(height=432)
    ((tag, frame),) = Frames(shown._repr_html_()).tags
    assert tag == "iframe"
    assert "height: 432px" in frame["style"]
    assert frame["sandbox"].split() == ["allow-scripts", "allow-downloads"]
    scene = json.loads(Scripts(frame["srcdoc"]).found["scene"])
    assert tuple(view["name"] for view in scene["views"]) == names
    assert scene["points"]["count"] > 100
    assert f"{scene['points']['count']:,} points" in repr(shown)


def test_it_can_be_saved(make_prediction, tmp_path):
    shown = make_prediction().show()
    ((_, frame),) = Frames(shown._repr_html_()).tags
    assert shown.save(tmp_path / "a" / "page.html").read_text(encoding="utf-8") == frame["srcdoc"]


def test_it_is_no_larger_than_asked_for(make_prediction):
    many = random_gaussians(numpy_random(3), 60_000)
    prediction = replace(make_prediction(), gaussians=many, gaussian_source="depth")
    with pytest.warns(ReconWarning, match=r"of 60,000 splats.*max_mb=1 is the limit"):
        shown = prediction.show(max_mb=1)
    ((_, frame),) = Frames(shown._repr_html_()).tags
    assert 0.8e6 < len(frame["srcdoc"].encode()) <= 1e6


@pytest.mark.parametrize(("given", "said"), [({"max_mb": 0.1}, "max_mb"), ({"height": 5}, "height")])
def test_wrong_arguments(make_prediction, given, said):
    with pytest.raises(InputError, match=said):
        make_prediction().show(**given)


def test_views_without_cameras(make_prediction):
    with pytest.raises(InputError, match="cameras"):
        make_prediction(cameras=False).show()


def test_a_prediction_that_someone_made_can_be_shown():
    program = (
        "import numpy as np, recon\n"
        "eye = np.eye(3, 4, dtype=np.float32)[None]\n"
        "k = np.array([[[8, 0, 4], [0, 8, 4], [0, 0, 1]]], np.float32)\n"
        "one = recon.Prediction(np.ones((1, 8, 8), np.float32), np.full((1, 8, 8, 3), 99, np.uint8), "
        "extrinsics=eye, intrinsics=k)\n"
        "assert '<iframe' in one.show()._repr_html_()\n"
        "import sys; assert 'IPython' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.skipif(find_browser() is None, reason="no chromium to open the page with")
@pytest.mark.slow
def test_a_browser_draws_it_in_a_page(make_prediction, tmp_path):
    splats = random_gaussians(numpy_random(7), 500, 2, sharpness=2)
    prediction = replace(make_prediction(), gaussians=splats, gaussian_source="depth")
    page = tmp_path / "notebook.html"
    cell = prediction.show(height=400)._repr_html_()
    page.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin: 0">{cell}</body>', encoding="utf-8")
    with browse(page.as_uri(), tmp_path / "profile", (600, 450)) as browser:
        for _ in range(80):
            picture = browser.screenshot()[:300, :250]  # beside the controls
            colors = len(np.unique(picture.reshape(-1, 3), axis=0))
            if colors > 1000:  # no text has so many
                break
            browser.run("new Promise((done) => setTimeout(done, 250))")
        assert colors > 1000
        assert browser.errors == []
