"""How soon the page shows something, how fast it draws splats, and how long it takes to write; beside another viewer.

    python -m tests.benchmarks.bench_view [--splats 300000] [--points 20000000] [--seconds 6]
        [--demo outputs/demo/courtyard/view.html] [--splat-transform node_modules/.bin/splat-transform]
        [--pictures FOLDER]

In a headless Chromium with software rendering, in one run:

- the first picture of `view.html` of the demo, from the disk, and of `recon view` of a run of about a million points
  and of a cloud of `--points`: from the page's beginning to the end of the first frame that draws much, its pixels read
  back;
- writing `view.html` of that run;
- `--splats` splats of a sample scene's true depth: time to sort them, and frames per second while a mouse turns the
  scene as fast as frames come; and with npm's `@playcanvas/splat-transform` the same of its viewer, of the same splats
  in its page, served the same way. A frame counts once its pixels have been read back.

The bars: first pictures 2 s, writing 3 s, sorting 60 ms, and frames per second of the other viewer at least.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from recon.export import html
from recon.export.page_content import PageContent, PagePoints
from recon.export.page_of_prediction import content_of
from recon.export.page_stream import StreamedPage, streamed_page
from recon.export.points import PointOptions
from recon.export.splats import SplatOptions
from recon.refine import from_depth
from recon.refine.depth_splats import DepthSplatOptions
from recon.splats.ply import write_ply
from recon.types import Prediction
from recon.view.app import make_app
from recon.view.page import page_routes
from recon.view.server import Address, Server
from tests.export.browser import Page, browse
from tests.export.true_scene import true_prediction

WINDOW = (1000, 700)
_BACKGROUND = "about:blank"
WATCH = """(() => {
  const seen = window.seen = { first: null, frames: 0, sorts: [] };
  const drawn = new Set();
  for (const name of ["drawArrays", "drawArraysInstanced", "drawElements", "drawElementsInstanced"]) {
    const draw = WebGL2RenderingContext.prototype[name];
    const instances = { drawArraysInstanced: 3, drawElementsInstanced: 4 }[name];
    WebGL2RenderingContext.prototype[name] = function (...given) {
      draw.apply(this, given);
      const points = name === "drawArrays" && given[0] === this.POINTS ? given[2] : 0;
      if ((given[instances] ?? 0) >= 8 || points >= 1000) drawn.add(this); // others draw splats 128 at a time
    };
  }
  const request = window.requestAnimationFrame.bind(window);
  const finish = () => {
    for (const gl of drawn) {
      gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
      seen.first ??= performance.now();
      seen.frames++;
    }
    drawn.clear();
  };
  window.requestAnimationFrame = (use) => request((now) => { use(now); finish(); });
  setInterval(finish, 5); // what is drawn outside of an animation frame
  const Plain = window.Worker;
  window.Worker = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        if (data?.sorted && data.milliseconds) seen.sorts.push(data.milliseconds.sort);
      });
    }
  };
})();"""
"""Runs in a page before its own scripts: notes the first frame that draws much, frames, and what sorting takes."""


@contextlib.contextmanager
def opened(address: str) -> Iterator[Page]:
    """A page that is watched from its first moment."""
    with tempfile.TemporaryDirectory() as folder, browse(_BACKGROUND, Path(folder), WINDOW) as page:
        page.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        page.call("Page.navigate", url=address)
        yield page


def first_picture(page: Page, seconds: float = 120.0) -> float:
    """Seconds from the page's beginning to its first picture."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = page.run("window.seen?.first ?? null")
        if found is not None:
            return float(found) / 1000
        time.sleep(0.05)
    raise TimeoutError("nothing was drawn")


def turned(page: Page, seconds: float, pause: float = 0.0) -> tuple[float, float]:
    """Frames per second while a mouse turns the scene; and the median time that sorting took then, in milliseconds."""
    x, y = WINDOW[0] * 0.3, WINDOW[1] * 0.5

    def mouse(kind: str, at: float, buttons: int) -> None:
        page.call(
            "Input.dispatchMouseEvent", type=kind, x=at, y=y, button="left" if buttons else "none", buttons=buttons,
            clickCount=int(kind == "mousePressed"),
        )  # fmt: skip

    mouse("mousePressed", x, 1)
    mouse("mouseMoved", x + 5, 1)
    page.run("seen.frames = 0; seen.sorts = []; seen.start = performance.now()")
    start, step = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        step += 1
        mouse("mouseMoved", x + 60 * np.sin(step / 25), 1)
        time.sleep(pause)
    rate, sorts = page.run("[seen.frames / (performance.now() - seen.start) * 1000, seen.sorts]")
    mouse("mouseReleased", x, 0)
    return float(rate), statistics.median(sorts) if sorts else float("nan")


def processor_seconds() -> float:
    """Of all processes that this one started, the browser's among them."""
    parents, spent = {}, {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            number = int(folder.name)
            values = (folder / "stat").read_text().rpartition(") ")[2].split()
            parents[number], spent[number] = int(values[1]), int(values[11]) + int(values[12])
    total = 0
    for number, ticks in spent.items():
        above = number
        while above in parents and above != os.getpid():
            above = parents[above]
        total += ticks if above == os.getpid() and number != above else 0
    return total / os.sysconf("SC_CLK_TCK")


def sorting(page: Page) -> float:
    """Milliseconds in the worker while the processor has nothing to draw that takes long."""
    page.run("recon.setSize(64, 48)")
    return turned(page, 4, pause=0.25)[1]


@contextlib.contextmanager
def folder_served(folder: Path) -> Iterator[str]:
    """The address of a folder."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def page_served(shown: StreamedPage) -> Iterator[str]:
    """The address of a page of `recon view`."""
    with Address(18500) as address, Server(make_app(page_routes(shown), address.hosts), address):
        yield address.url


def large_cloud(count: int) -> PageContent:
    """Points on waves of a square."""
    rng = np.random.default_rng(0)
    positions = rng.random((count, 3), np.float32) * 10
    positions[:, 2] = np.sin(positions[:, 0]) + np.cos(1.3 * positions[:, 1])
    colors = (positions / 10 * 255).astype(np.uint8)
    return PageContent("points", "units", {}, (), points=PagePoints(positions, colors), up=(0, 0, 1))


def report(name: str, value: float, unit: str, bar: float | None = None) -> None:
    """One line."""
    held = "" if bar is None else f"   bar {bar:g}"
    print(f"{name:58} {value:9.2f} {unit}{held}", flush=True)


def first_pictures(prediction: Prediction, demo: Path, points: int) -> None:
    """Time to the first picture of each kind of page."""
    if demo.is_file():
        with opened(demo.absolute().as_uri()) as page:
            report("first picture, view.html of the demo", first_picture(page), "s", 2)
    else:
        print(f"no {demo}: `recon demo` makes it")
    start = time.perf_counter()
    content = content_of(prediction, PointOptions(num_max_points=10**8), SplatOptions())
    shown = streamed_page(content)
    made = time.perf_counter() - start
    assert content.points is not None
    with page_served(shown) as url, opened(url) as page:
        report(f"first picture, recon view of {len(content.points):,} points", first_picture(page), "s", 2)
        report("  its page, before that", made, "s")
    if points:
        with page_served(streamed_page(large_cloud(points))) as url, opened(url) as page:
            report(f"first picture, recon view of {points:,} points", first_picture(page), "s", 2)
            page.run("recon.complete.then(() => true)")
            report("  all of them there", page.run("performance.now()") / 1000, "s")


def settings_of_other(prediction: Prediction) -> dict[str, Any]:
    """Of splat-transform's viewer: to begin where recon's page does, at the first view with its lens in the window.

    It turns the world by half a turn about z.
    """
    assert prediction.extrinsics is not None
    assert prediction.intrinsics is not None
    rotation, shift = np.split(prediction.extrinsics[0].astype(float), [3], axis=1)
    height, width = prediction.depth.shape[1:]
    centre, ahead = -rotation.T @ shift[:, 0], rotation[2]
    target = centre + ahead * float(np.median(prediction.depth[0][prediction.valid[0]]))
    focal = prediction.intrinsics[0, 0, 0] * min(WINDOW[0] / width, WINDOW[1] / height)
    turned_about_z = np.array([-1, -1, 1])
    camera = {
        "position": (centre * turned_about_z).tolist(),
        "target": (target * turned_about_z).tolist(),
        "fov": float(np.degrees(2 * np.arctan(WINDOW[0] / 2 / focal))),
    }
    return {
        "version": 2,
        "tonemapping": "none",
        "highPrecisionRendering": False,
        "background": {"color": [0.4, 0.4, 0.4]},
        "postEffectSettings": {
            "sharpness": {"enabled": False, "amount": 0},
            "bloom": {"enabled": False, "intensity": 1, "blurLevel": 2},
            "grading": {"enabled": False, "brightness": 0, "contrast": 1, "saturation": 1, "tint": [1, 1, 1]},
            "vignette": {"enabled": False, "intensity": 0.5, "inner": 0.3, "outer": 0.75, "curvature": 1},
            "fringing": {"enabled": False, "intensity": 0.5},
        },
        "animTracks": [],
        "cameras": [{"initial": camera}],
        "annotations": [],
        "startMode": "default",
    }


def beside_another(
    prediction: Prediction, folder: Path, seconds: float, splat_transform: str | None, pictures: Path | None = None
) -> None:
    """Frames per second of the same splats in both viewers, from the same place; what they show, into `pictures`."""
    assert prediction.gaussians is not None
    start = time.perf_counter()
    html.write(prediction, folder, html.HtmlOptions(max_mb=100))
    report("writing view.html", time.perf_counter() - start, "s", 3)
    print(f"{len(prediction.gaussians):,} splats of degree {prediction.gaussians.sh_degree}")
    found = {}
    names = {"recon": "view.html"}
    if splat_transform is not None:
        write_ply(folder / "splats.ply", prediction.gaussians)
        (folder / "settings.json").write_text(json.dumps(settings_of_other(prediction)))
        options = ["--no-tty", "--gpu", "cpu", "-w", "-E", str(folder / "settings.json")]
        command = [splat_transform, *options, str(folder / "splats.ply"), str(folder / "other.html")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        names["splat-transform"] = "other.html"
    with folder_served(folder) as url:
        for name, file in names.items():
            with opened(f"{url}/{file}") as page:
                soon = first_picture(page)
                time.sleep(3)
                if pictures is not None:
                    Image.fromarray(page.screenshot()).save(pictures / f"{name}.png")
                before = processor_seconds()
                rate, sort = turned(page, seconds)
                spent = (processor_seconds() - before) / max(page.run("seen.frames"), 1)
                found[name] = (soon, rate)
                report(f"first picture, {name} ({(folder / file).stat().st_size / 1e6:.1f} MB)", soon, "s")
                report(f"frames per second, {name}", rate, "")
                report("  the browser's processor time for each", 1000 * spent, "ms")
                if name == "recon":
                    report("sorting, while it draws", sort, "ms")
                    report("sorting, alone", sorting(page), "ms", 60)
    if len(found) == 2:
        (soon, rate), (other_soon, other_rate) = found.values()
        report("frames per second, recon / splat-transform", rate / other_rate, "", 1)
        report("first picture, recon / splat-transform", soon / other_soon, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splats", type=int, default=300_000)
    parser.add_argument("--points", type=int, default=20_000_000)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--demo", type=Path, default=Path("outputs/demo/courtyard/view.html"))
    parser.add_argument("--splat-transform")
    parser.add_argument("--pictures", type=Path, help="a folder for what the two viewers show")
    given = parser.parse_args()
    prediction = true_prediction(range(6), 504)
    splats = from_depth(prediction, DepthSplatOptions(budget=given.splats))
    with_splats = replace(prediction, gaussians=splats, gaussian_source="depth")
    first_pictures(prediction, given.demo, given.points)
    with tempfile.TemporaryDirectory() as folder:
        beside_another(with_splats, Path(folder), given.seconds, given.splat_transform, given.pictures)


if __name__ == "__main__":
    main()
