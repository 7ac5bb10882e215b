"""The Gaussian video: what it shows, its options, and that nothing half-made is left."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from recon.errors import InputError
from recon.export import check_options, export, gs_video
from recon.export.depth_vis import DEPTH_COLORS
from recon.export.gs_video import GsVideoOptions, fit_intrinsics
from recon.geometry.unprojection import project_points, unproject_depth
from recon.messages import ReconWarning
from recon.progress import listen
from recon.splats import rendering
from recon.splats.rasterizer import RenderedView
from recon.types import Gaussians, Prediction
from recon.types.cameras import Cameras


def splats_of(prediction: Prediction) -> Gaussians:
    """A ball per pixel of the depth maps, in its colour."""
    views, height, width = prediction.depth.shape
    extrinsics, intrinsics = prediction.extrinsics, prediction.intrinsics
    if extrinsics is None:
        extrinsics = np.tile(np.eye(3, 4, dtype=np.float32), (views, 1, 1))
        focal = width / 2 / np.tan(np.pi / 6)
        intrinsics = np.tile(np.float32([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]), (views, 1, 1))
    means = unproject_depth(prediction.depth, intrinsics, extrinsics).reshape(-1, 3)
    count = len(means)
    footprint = prediction.depth.reshape(-1, 1) / intrinsics[0, 0, 0]
    colors = prediction.processed_images.reshape(-1, 3, 1) / 255
    return Gaussians(
        means=means,
        scales=np.repeat(0.5 * footprint, 3, axis=1).astype(np.float32),
        rotations=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        harmonics=((colors - 0.5) * 2 * np.sqrt(np.pi)).astype(np.float32),
        opacities=np.full(count, 0.95, np.float32),
    )


@pytest.fixture
def scene(make_prediction):
    """Factory of predictions with Gaussians."""

    def make(**changes) -> Prediction:
        prediction = make_prediction(**changes)
        columns = np.arange(prediction.depth.shape[2])
        smooth = np.stack([4 * columns + 40, 200 - 3 * columns, np.full_like(columns, 90)], axis=1).astype(np.uint8)
        images = np.broadcast_to(smooth, prediction.processed_images.shape).copy()
        prediction = replace(prediction, processed_images=images)
        return replace(prediction, gaussians=splats_of(prediction), gaussian_source="depth")

    return make


class FakeRenderer:
    """Stands for `iter_render`: flat pictures, depth growing from frame to frame; notes what it was asked for."""

    def __init__(self) -> None:
        self.cameras = Cameras()
        self.size = (0, 0)
        self.mode = ""
        self.made = 0
        self.fails_at: int | None = None
        self.error: type[BaseException] = KeyboardInterrupt

    def __call__(self, gaussians, cameras, size, mode, *, rasterizer, near) -> Iterator[RenderedView]:
        self.cameras, self.size, self.mode, self.near, self.made = cameras, size, mode, near, 0
        return self.views()

    def views(self) -> Iterator[RenderedView]:
        for frame in range(len(self.cameras.world_to_camera)):
            if frame == self.fails_at:
                raise self.error
            self.made += 1
            color = np.full((*self.size, 3), 1.2 if frame % 2 else 0.25, np.float32)
            depth = np.full(self.size, 2 + 0.01 * frame, np.float32)
            alpha = np.ones(self.size, np.float32)
            alpha[:, : self.size[1] // 4] = 0.1
            yield RenderedView(color, None if self.mode == "RGB" else depth, alpha)


@pytest.fixture
def renderer(monkeypatch) -> FakeRenderer:
    fake = FakeRenderer()
    monkeypatch.setattr(rendering, "iter_render", fake)
    return fake


def write(prediction: Prediction, folder: Path, **options):
    chosen = GsVideoOptions(**options)
    gs_video.check(prediction, chosen)
    return gs_video.write(prediction, folder, chosen)


def read(path: Path) -> np.ndarray:
    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((a.astype(float) - b) ** 2).mean()))


def test_the_video_shows_the_input_view_and_its_depth(scene, tmp_path):
    prediction = scene(views=1, ref_view=None)
    exported = write(prediction, tmp_path, render_exts=np.repeat(prediction.extrinsics, 3, axis=0), poster=True)
    video, poster = exported.files
    frames = read(video)
    assert frames.shape == (3, 28, 84, 3)
    assert psnr(frames[:, 3:-3, 3:39], prediction.processed_images[:, 3:-3, 3:39]) > 30
    low, high = np.percentile(1 / prediction.depth, [2, 98])
    nearness = ((1 / prediction.depth - low) / (high - low)).clip(0, 1)
    expected = DEPTH_COLORS[np.rint(nearness * 255).astype(int)]
    assert psnr(frames[:, 3:-3, 45:-3], expected[:, 3:-3, 3:-3]) > 20
    picture = np.asarray(Image.open(poster)).astype(float)
    assert np.abs(picture - frames[1]).mean() < 6
    assert exported.details["frames"] == 3
    json.dumps(exported.details, allow_nan=False)


def test_original_is_one_frame_for_each_view(scene, renderer, tmp_path):
    prediction = scene()
    (video,) = write(prediction, tmp_path, trj_mode="original").files
    assert video == tmp_path / "gs_video/0000_original.mp4"
    assert len(read(video)) == 3
    np.testing.assert_allclose(renderer.cameras.world_to_camera[:, :3], prediction.extrinsics, atol=1e-6)
    np.testing.assert_allclose(renderer.cameras.intrinsics, prediction.intrinsics)


@pytest.mark.parametrize("size", [(1, 1), (13, 27)])
@pytest.mark.parametrize("views", [1, 3])
def test_odd_and_tiny_sizes(size, views, scene, tmp_path):
    prediction = scene(height=size[0], width=size[1], views=views, ref_view=None)
    (video,) = write(prediction, tmp_path).files
    assert read(video).shape[1:] == (size[0] + size[0] % 2, 2 * size[1] + (2 * size[1]) % 2, 3)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (28, 84)),
        ({"vis_depth": "vcat"}, (56, 42)),
        ({"vis_depth": "none"}, (28, 42)),
        ({"vis_depth": None}, (28, 42)),
        ({"color_mode": "RGB"}, (28, 42)),
        ({"color_mode": "RGB+D"}, (28, 84)),
    ],
)
def test_layouts(options, shape, scene, renderer, tmp_path):
    (video,) = write(scene(), tmp_path, **options).files
    assert read(video).shape[1:] == (*shape, 3)
    assert renderer.mode == options.get("color_mode", "RGB+ED")


def test_one_depth_has_one_colour_throughout(scene, renderer, tmp_path):
    (video,) = write(scene(), tmp_path, trj_mode="interpolate").files
    panels = read(video)[:, :, 42:].astype(int)
    covered = panels[:, 5:-5, 20:-5]
    assert np.abs(covered - covered.mean(axis=(1, 2), keepdims=True)).max() < 12
    prediction = scene()
    low, high = np.percentile(1 / prediction.depth, [2, 98])
    for frame, panel in enumerate(covered):
        index = round(float(np.clip((1 / (2 + 0.01 * frame) - low) / (high - low), 0, 1)) * 255)
        assert np.abs(panel.mean(axis=(0, 1)) - DEPTH_COLORS[index]).max() < 8
    assert panels[:, 5:-5, 2:8].max() < 40  # hardly covered: no depth


def test_single_views_wander(scene, renderer, tmp_path):
    one = scene(views=1, ref_view=None)
    assert write(one, tmp_path).files == (tmp_path / "gs_video/0000_wander.mp4",)
    with pytest.warns(ReconWarning, match="camera path 'smooth' needs several views: with this one it is 'wander'"):
        write(one, tmp_path, trj_mode="smooth")
    assert write(one, tmp_path, trj_mode="dolly_zoom").details["trajectory"] == "dolly_zoom"


def test_a_single_view_without_cameras_gets_assumed_ones(scene, renderer, tmp_path):
    prediction = scene(views=1, cameras=False, ref_view=None)
    with pytest.warns(ReconWarning, match="field of view"):
        write(prediction, tmp_path)
    np.testing.assert_allclose(renderer.cameras.world_to_camera[0], np.eye(4), atol=1e-9)


def test_given_cameras_replace_the_path(scene, renderer, tmp_path):
    extrinsics = np.tile(np.eye(4), (5, 1, 1))
    extrinsics[:, 0, 3] = np.arange(5)
    intrinsics = np.tile([[50.0, 0, 20], [0, 50, 10], [0, 0, 1]], (5, 1, 1))
    exported = write(
        scene(), tmp_path, render_exts=extrinsics[:, :3].tolist(), render_ixts=intrinsics, render_hw=[20, 40]
    )
    assert exported.files == (tmp_path / "gs_video/0000_render_exts.mp4",)
    assert renderer.size == (20, 40)
    np.testing.assert_array_equal(renderer.cameras.world_to_camera, extrinsics)
    np.testing.assert_array_equal(renderer.cameras.intrinsics, intrinsics)
    assert read(exported.files[0]).shape == (5, 20, 80, 3)


def test_given_cameras_without_intrinsics_take_the_first_views(scene, renderer, tmp_path):
    prediction = scene()
    write(prediction, tmp_path, render_exts=np.tile(np.eye(4), (2, 1, 1)), render_hw=(56, 84))
    expected = prediction.intrinsics[0].astype(float) * [[2], [2], [1]]
    np.testing.assert_allclose(renderer.cameras.intrinsics, np.tile(expected, (2, 1, 1)))


def test_given_cameras_do_for_a_prediction_without(scene, renderer, tmp_path):
    prediction = scene(cameras=False)
    eyes = np.tile(np.eye(4), (2, 1, 1))
    with pytest.raises(InputError, match="gs_video of 3 views needs cameras, and this prediction has no extrinsics"):
        write(prediction, tmp_path)
    with pytest.raises(InputError, match="needs cameras"):
        write(prediction, tmp_path, render_exts=eyes)
    write(prediction, tmp_path, render_exts=eyes, render_ixts=np.tile(np.diag([30.0, 30, 1]), (2, 1, 1)))


@pytest.mark.parametrize("new_size", [(56, 84), (14, 84), (56, 20), (1, 1)])
def test_intrinsics_fit_a_new_size(new_size, scene):
    """Pixels stay square, the middle stays the middle, and every corner lies within the old picture."""
    intrinsics = scene().intrinsics
    fitted = fit_intrinsics(intrinsics, (28, 42), new_size)
    height, width = new_size
    np.testing.assert_allclose(fitted[:, 0, 0] / fitted[:, 1, 1], intrinsics[:, 0, 0] / intrinsics[:, 1, 1])
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1], [width / 2, height / 2, 1]])
    points = np.linalg.solve(fitted, np.tile(corners.T, (3, 1, 1))).swapaxes(1, 2)
    pixels, _ = project_points(points, intrinsics, np.tile(np.eye(3, 4), (3, 1, 1)))
    np.testing.assert_allclose(pixels[:, 4], [[21, 14]] * 3, atol=1e-4)
    assert (pixels > -1e-4).all()
    assert (pixels < np.array([42, 28]) + 1e-4).all()


def test_what_is_cut_off_in_front_follows_the_scale_of_the_scene(scene, renderer, tmp_path):
    prediction = scene()
    write(prediction, tmp_path, trj_mode="original")
    near = renderer.near
    assert 0 < near < 0.02 * prediction.depth.min()
    write(replace(prediction, depth=prediction.depth / 1000), tmp_path, trj_mode="original")
    assert renderer.near == pytest.approx(near / 1000)


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_a_video_cut_short_leaves_nothing(error, scene, renderer, tmp_path):
    renderer.fails_at, renderer.error = 30, error
    with pytest.raises(error):
        write(scene(), tmp_path, poster=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_unwritable_folder_is_named(scene, renderer, tmp_path):
    (tmp_path / "gs_video").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write .*0000_extend\.mp4"):
        write(scene(), tmp_path)


def test_frames_go_to_the_encoder_one_by_one(scene, renderer, tmp_path):
    prediction = scene()

    def peak(count: int) -> int:
        extrinsics = np.tile(np.eye(4), (count, 1, 1))
        tracemalloc.start()
        write(prediction, tmp_path, render_exts=extrinsics, render_hw=(120, 160), video_quality="low")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2)
    assert peak(120) < peak(12) + 2 * 120 * 320 * 3


def test_the_same_prediction_gives_the_same_bytes(scene, renderer, digest_of, tmp_path):
    prediction = scene()
    before = digest_of(prediction)
    first, second = (write(prediction, tmp_path / name, poster=True).files for name in "ab")
    assert digest_of(prediction) == before
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trj_mode": "spiral"}, "unknown camera path 'spiral'; known: original, smooth"),
        ({"color_mode": "D"}, r"color_mode must be one of RGB, RGB\+D, RGB\+ED, got 'D'"),
        ({"vis_depth": "left"}, "vis_depth must be one of hcat, vcat, none, got 'left'"),
        ({"video_quality": "best"}, "video_quality must be one of high, medium, low, got 'best'"),
        ({"rasterizer": "gpu"}, "rasterizer must be one of auto, cpu, gsplat, got 'gpu'"),
        ({"chunk_size": 0}, "chunk_size must be at least 1, got 0"),
        ({"fps": 0}, "fps must be at least 1, got 0"),
        ({"output_name": "../a"}, r"output_name must be a file name without folders, got '\.\./a'"),
        ({"output_name": "a\\b"}, "without folders"),
        ({"output_name": ".."}, "without folders"),
        ({"render_hw": (0, 5)}, "render_hw must be at least 1, got 0"),
        ({"render_hw": (5,)}, r"render_hw must be 2 values, got \(5,\)"),
        ({"render_hw": 7}, "render_hw must be 2 values"),
        ({"render_hw": (4.5, 3)}, "render_hw must be a whole number"),
        ({"render_ixts": np.eye(3)[None]}, "render_ixts goes with render_exts, which is missing"),
        ({"render_exts": np.eye(4)}, r"render_exts and render_ixts: extrinsics must have shape \(4, 4, 4\)"),
        ({"render_exts": []}, "render_exts and render_ixts must hold at least one camera"),
        ({"render_exts": np.full((1, 4, 4), np.nan)}, r"extrinsics\[0\] must be finite"),
        (
            {"render_exts": np.eye(4)[None], "render_ixts": np.tile(np.eye(3), (2, 1, 1))},
            "render_exts and render_ixts: intrinsics must hold one matrix per image",
        ),
    ],
)
def test_wrong_options_are_named_before_the_run(options, message):
    with pytest.raises(InputError, match=message):
        GsVideoOptions(**options)


def test_options_are_built_as_those_of_other_formats():
    built = check_options({"gs_video": {"vis_depth": None, "render_exts": np.eye(4)[None]}})["gs_video"]
    assert built.depth_layout == "none"
    with pytest.raises(InputError, match=r"gs_video\.vis_depth must be one of hcat, vcat, none, got 3"):
        check_options({"gs_video": {"vis_depth": 3}})
    with pytest.raises(InputError, match="'quality' for export format 'gs_video'; did you mean 'video_quality'"):
        check_options({"gs_video": {"quality": "high"}})


def test_what_cannot_be_shown_is_refused(scene, make_prediction):
    options = GsVideoOptions()
    with pytest.raises(InputError, match="no Gaussians to export: ask for them"):
        gs_video.check(make_prediction(), options)
    empty = Gaussians(*(np.zeros(shape, np.float32) for shape in ((0, 3), (0, 3), (0, 4), (0, 3, 1), (0,))))
    with pytest.raises(InputError, match="no Gaussians to export"):
        gs_video.check(replace(make_prediction(), gaussians=empty, gaussian_source="depth"), options)
    prediction = scene()
    prediction.gaussians.means[3, 1] = np.nan
    with pytest.raises(InputError, match="means of 1 of"):
        gs_video.check(prediction, options)
    broken = scene()
    broken.extrinsics[1, 0, 0] = np.nan
    with pytest.raises(InputError, match="gs_video needs finite cameras, and the extrinsics"):
        gs_video.check(broken, options)
    with pytest.raises(InputError, match="16384 pixels wide and high at most, this is 20000×10"):
        gs_video.check(scene(), GsVideoOptions(render_hw=(10, 10_000)))


def test_skew_is_refused_before_anything_is_written(scene, tmp_path):
    straight = scene()
    intrinsics = straight.intrinsics.copy()
    intrinsics[1, 0, 1] = 2.5
    skewed = replace(straight, intrinsics=intrinsics)
    with pytest.raises(InputError, match=r"gs_video: .* without skew, and intrinsics\[1\] .*2\.5.*--render-cameras"):
        export(skewed, "mini_npz-gs_video", tmp_path)
    with pytest.raises(InputError, match="render_ixts: intrinsics must have no skew"):
        GsVideoOptions(render_exts=straight.extrinsics, render_ixts=intrinsics)
    assert not list(tmp_path.rglob("*"))
    gs_video.check(skewed, GsVideoOptions(render_exts=straight.extrinsics))  # takes the first view's
    own = GsVideoOptions(render_exts=straight.extrinsics, render_ixts=straight.intrinsics)
    gs_video.check(replace(skewed, intrinsics=intrinsics[[1, 1, 1]]), own)


def test_output_name(scene, renderer, tmp_path):
    files = write(scene(), tmp_path, output_name="my video", poster=True).files
    assert files == (tmp_path / "gs_video/my video.mp4", tmp_path / "gs_video/my video.jpg")


def test_progress_is_told_to_who_listens_and_only_if_wanted(scene, renderer, tmp_path, capsys):
    heard: list[tuple[str, str, int, int]] = []
    extrinsics = np.tile(np.eye(4), (3, 1, 1))
    with listen(lambda event: heard.append((event.stage, event.part, event.done, event.total))):
        write(scene(), tmp_path, render_exts=extrinsics)
        write(scene(), tmp_path, render_exts=extrinsics, enable_tqdm=False)
    assert heard == [("", "render video", done, 3) for done in range(3)]
    write(scene(), tmp_path, render_exts=extrinsics)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_moving_picture_instead(suffix, scene, tmp_path):
    exported = write(scene(), tmp_path, format=suffix, trj_mode="original", poster=True, fps=5)
    (path, poster) = exported.files
    assert path == tmp_path / "gs_video" / f"0000_original.{suffix}"
    with Image.open(path) as image, Image.open(poster) as middle:
        assert image.n_frames == exported.details["frames"]
        image.seek(image.n_frames // 2)
        difference = np.asarray(image.convert("RGB")).astype(int) - np.asarray(middle)
        assert np.abs(difference).mean() < 12
