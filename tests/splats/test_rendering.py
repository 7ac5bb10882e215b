"""Both rasterizers against a float64 brute-force renderer, and the laws and refusals of `render`."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import recon.choices
from recon.errors import InputError, MissingExtraError
from recon.splats import cpu_renderer
from recon.splats.gsplat_rasterizer import GsplatRasterizer
from recon.splats.rasterizer import Rasterizer, RenderedView, RenderSettings
from recon.splats.rendering import RASTERIZERS, Rendering, choose_rasterizer, iter_render, render
from recon.types import Gaussians
from recon.types.cameras import Cameras
from tests.new_process import run_python
from tests.seeds import numpy_random
from tests.splats.brute_force import brute_force
from tests.splats.scenes import Scene, random_camera, random_gaussians, random_scenes

SCENES = random_scenes()
render_on_cpu = functools.partial(render, rasterizer="cpu")
each_scene = pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)


def assert_like_brute_force(scene: Scene, rasterizer: str, tolerance: float, close: float) -> None:
    assert scene.cameras.world_to_camera is not None
    assert scene.cameras.intrinsics is not None
    world_to_camera, intrinsics = scene.cameras.world_to_camera[0], scene.cameras.intrinsics[0]
    truth = brute_force(scene.gaussians, world_to_camera, intrinsics, scene.size, scene.background, close=close)
    options = {"rasterizer": rasterizer, "background": scene.background}
    summed = render(scene.gaussians, scene.cameras, scene.size, "RGB+D", **options)
    mean = render(scene.gaussians, scene.cameras, scene.size, "RGB+ED", **options)
    assert summed.depth is not None
    assert mean.depth is not None
    assert truth.alpha.max() > 0
    clear = ~truth.unclear
    assert clear.mean() > 0.9 or clear.size == 1
    np.testing.assert_allclose(summed.color[0][clear], truth.color[clear], rtol=0, atol=tolerance)
    np.testing.assert_allclose(summed.alpha[0][clear], truth.alpha[clear], rtol=0, atol=tolerance)
    np.testing.assert_allclose(summed.depth[0][clear], truth.depth[clear], rtol=0, atol=tolerance)
    np.testing.assert_allclose(mean.depth[0][clear], truth.expected_depth[clear], rtol=0, atol=tolerance)


def assert_equal(left: Rendering, right: Rendering) -> None:
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


@each_scene
def test_cpu_agrees_with_brute_force(scene: Scene) -> None:
    # The CPU computes in float64 and stores float32: half a unit in the last place of depths below 8 is 2.4e-7.
    assert_like_brute_force(scene, "cpu", tolerance=1e-6, close=1e-6)


@each_scene
@pytest.mark.cuda("gsplat")
def test_gsplat_agrees_with_brute_force(scene: Scene) -> None:
    assert_like_brute_force(scene, "gsplat", tolerance=2e-3, close=1e-3)


def test_result_does_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_renderer, "_SPLATS_PER_TASK", 1)
    scene = SCENES["many"]
    one, two, five = (
        render_on_cpu(scene.gaussians, scene.cameras, scene.size, "RGB+ED", threads=threads) for threads in (1, 2, 5)
    )
    assert_equal(one, two)
    assert_equal(one, five)


def test_result_does_not_depend_on_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = SCENES["many large"]
    whole = render_on_cpu(scene.gaussians, scene.cameras, scene.size, "RGB+D")
    for pairs in (1, 5000):  # every tile alone, and a few together
        monkeypatch.setattr(cpu_renderer, "_MAX_PAIRS", pairs)
        assert_equal(render_on_cpu(scene.gaussians, scene.cameras, scene.size, "RGB+D"), whole)


def test_order_of_gaussians_does_not_matter() -> None:
    rng = numpy_random(0)
    gaussians, camera = random_gaussians(rng, 400, degree=1), random_camera(rng, (50, 60))
    camera = Cameras(np.eye(4)[None], camera.intrinsics)
    gaussians.means[:, 2] = 3 + rng.permutation(400) / 100  # all different
    shuffle = rng.permutation(400)
    shuffled = Gaussians(**{name: values[shuffle] for name, values in vars(gaussians).items()})
    assert_equal(
        render_on_cpu(gaussians, camera, (50, 60), "RGB+D"), render_on_cpu(shuffled, camera, (50, 60), "RGB+D")
    )


def test_modes_differ_only_in_depth() -> None:
    scene = SCENES["some"]
    plain = render_on_cpu(scene.gaussians, scene.cameras, scene.size, "RGB")
    summed = render_on_cpu(scene.gaussians, scene.cameras, scene.size, "RGB+D")
    mean = render_on_cpu(scene.gaussians, scene.cameras, scene.size, "RGB+ED")
    assert plain.depth is None
    assert summed.depth is not None
    assert mean.depth is not None
    for other in (summed, mean):
        np.testing.assert_array_equal(plain.color, other.color)
        np.testing.assert_array_equal(plain.alpha, other.alpha)
    np.testing.assert_allclose(mean.depth * plain.alpha, summed.depth, atol=1e-5)
    assert plain.color.dtype == plain.alpha.dtype == summed.depth.dtype == np.float32


def test_views_are_rendered_one_by_one() -> None:
    rng = numpy_random(3)
    gaussians, size = random_gaussians(rng, 200, degree=2), (30, 40)
    extrinsics = np.concatenate([random_camera(rng, size).world_to_camera for _ in range(3)])  # type: ignore[misc]
    intrinsics = np.concatenate([random_camera(rng, size).intrinsics for _ in range(3)])  # type: ignore[misc]
    together = render_on_cpu(gaussians, Cameras(extrinsics, intrinsics), size, "RGB+D")
    singles = [render_on_cpu(gaussians, Cameras(extrinsics[[i]], intrinsics[[i]]), size, "RGB+D") for i in range(3)]
    for view, single in enumerate(singles):
        assert_equal(Rendering(*(values[[view]] for values in together if values is not None)), single)
    iterated = list(iter_render(gaussians, Cameras(extrinsics, intrinsics), size, "RGB+D", rasterizer="cpu"))
    assert_equal(Rendering(*map(np.stack, zip(*iterated, strict=True))), together)


@pytest.mark.parametrize("size", [(1, 1), (33, 17)])
def test_no_gaussians_give_the_background(size: tuple[int, int]) -> None:
    rng = numpy_random(0)
    color, depth, alpha = render_on_cpu(
        random_gaussians(rng, 0), random_camera(rng, size), size, "RGB+ED", background=(0.25, 0.5, 2)
    )
    assert depth is not None
    np.testing.assert_array_equal(color, np.broadcast_to([0.25, 0.5, 2], (1, *size, 3)))
    assert not depth.any()
    assert not alpha.any()


def test_no_cameras_give_no_views() -> None:
    gaussians = random_gaussians(numpy_random(0), 3)
    color, depth, alpha = render_on_cpu(gaussians, Cameras(np.empty((0, 4, 4)), np.empty((0, 3, 3))), (4, 5))
    assert (color.shape, depth, alpha.shape) == ((0, 4, 5, 3), None, (0, 4, 5))


def test_near_and_far_cull_by_depth() -> None:
    gaussians = random_gaussians(numpy_random(0), 3)
    gaussians.means[:] = [[0, 0, 1], [0, 0, 2], [0, 0, 3]]
    gaussians.opacities[:] = 0.5
    cameras = Cameras(np.eye(4)[None], np.array([[[20.0, 0, 10], [0, 20, 10], [0, 0, 1]]]))
    for near, far, seen in ((0.5, 9, [0, 1, 2]), (1, 3, [0, 1, 2]), (1.5, 9, [1, 2]), (0.5, 2.5, [0, 1])):
        kept = Gaussians(**{name: values[seen] for name, values in vars(gaussians).items()})
        assert_equal(
            render_on_cpu(gaussians, cameras, (20, 20), "RGB+D", near=near, far=far),
            render_on_cpu(kept, cameras, (20, 20), "RGB+D"),
        )


def test_extreme_sizes_and_distances_give_numbers() -> None:
    rng = numpy_random(5)
    gaussians, size = random_gaussians(rng, 300, degree=1), (40, 50)
    gaussians.scales[:] = 10 ** rng.uniform(-38, 38, (300, 3))
    gaussians.means[::3] *= 10 ** rng.uniform(-38, 37, (100, 1))
    gaussians.rotations[::5] = 0
    for near in (0.01, 1e-30):
        rendering = render_on_cpu(gaussians, random_camera(rng, size, distance=0), size, "RGB+ED", near=near)
        for values in rendering:
            assert np.isfinite(values).all()  # type: ignore[arg-type]


def test_zero_quaternion_is_the_identity() -> None:
    rng = numpy_random(6)
    gaussians, camera = random_gaussians(rng, 20), random_camera(rng, (30, 30))
    zero, identity = np.zeros((20, 4), np.float32), np.tile(np.float32([1, 0, 0, 0]), (20, 1))
    assert_equal(
        render_on_cpu(replace(gaussians, rotations=zero), camera, (30, 30)),
        render_on_cpu(replace(gaussians, rotations=identity), camera, (30, 30)),
    )


def test_read_only_strided_and_double_arrays_render_the_same() -> None:
    rng = numpy_random(7)
    gaussians, camera = random_gaussians(rng, 50, degree=1), random_camera(rng, (30, 30))
    expected = render_on_cpu(gaussians, camera, (30, 30))

    def awkward(values: NDArray[Any]) -> NDArray[Any]:
        strided = np.repeat(values.astype(np.float64), 2, axis=-1)[..., ::2]
        strided.flags.writeable = False
        return strided

    assert_equal(
        render_on_cpu(Gaussians(**{k: awkward(v) for k, v in vars(gaussians).items()}), camera, (30, 30)), expected
    )


@pytest.mark.parametrize("field", ["means", "scales", "rotations", "harmonics", "opacities"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_parameters_must_be_finite(field: str, value: float) -> None:
    gaussians = random_gaussians(numpy_random(0), 5, degree=1)
    getattr(gaussians, field)[3, ...] = value
    with pytest.raises(InputError, match=rf"^{field} of 1 of 5 Gaussians are NaN or infinite"):
        iter_render(gaussians, random_camera(numpy_random(0), (30, 30)), (30, 30))


def test_parameters_must_be_in_range() -> None:
    gaussians = random_gaussians(numpy_random(0), 5)
    for wrong, message in (
        ({"opacities": np.full(5, -0.1)}, "opacities of 5 of 5 Gaussians are out of bounds"),
        ({"opacities": np.full(5, 1.1)}, "opacities of 5 of 5 Gaussians are out of bounds"),
        ({"scales": np.full((5, 3), -1.0)}, "scales of 5 of 5 Gaussians are out of bounds"),
        ({"harmonics": np.zeros((5, 3, 25))}, "harmonics must be of degree 3 at most to be rendered, got 4"),
        ({"means": np.full((5, 3), 1e300)}, "means of 5 of 5 Gaussians are NaN or infinite"),  # in float32
    ):
        with pytest.raises(InputError, match=f"^{message}"):
            iter_render(replace(gaussians, **wrong), random_camera(numpy_random(0), (30, 30)), (30, 30))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (0, 5)}, "size must be at least 1 by 1"),
        ({"size": (5, -1)}, "size must be at least 1 by 1"),
        ({"size": (5.5, 4)}, "size must be two whole numbers"),
        ({"size": (5, 5, 5)}, "size must be two whole numbers"),
        ({"size": 5}, "size must be two whole numbers"),
        ({"mode": "D"}, r"mode must be one of RGB, RGB\+D, RGB\+ED"),
        ({"rasterizer": "opengl"}, "rasterizer must be one of auto, cpu, gsplat"),
        ({"background": (0, 0)}, "background must be three finite numbers"),
        ({"background": (0, 0, np.nan)}, "background must be three finite numbers"),
        ({"near": 0.0}, "near must be above 0"),
        ({"near": 5, "far": 4}, "near must be above 0 and below far"),
        ({"far": np.nan}, "near must be above 0 and below far"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_bad_arguments_are_refused_at_once(changes: dict[str, Any], message: str) -> None:
    rng = numpy_random(0)
    arguments = {"size": (5, 5), "mode": "RGB", **changes}
    for function in (render, iter_render):
        with pytest.raises(InputError, match=f"^{message}") as caught:
            function(random_gaussians(rng, 2), random_camera(rng, (5, 5)), **arguments)
        assert "\n" not in str(caught.value)


def test_bad_cameras_are_refused() -> None:
    rng = numpy_random(0)
    gaussians, camera = random_gaussians(rng, 2), random_camera(rng, (5, 5))
    assert camera.world_to_camera is not None
    assert camera.intrinsics is not None
    skewed, mirrored = camera.intrinsics.copy(), camera.world_to_camera.copy()
    skewed[0, 0, 1] = 0.1
    mirrored[0, 0] *= -1
    for cameras, message in (
        (Cameras(camera.world_to_camera, None), "have no intrinsics"),
        (Cameras(None, camera.intrinsics), "have no extrinsics"),
        (Cameras(camera.world_to_camera, skewed), r"^intrinsics\[0\] must have no skew"),
        (Cameras(mirrored, camera.intrinsics), r"^extrinsics\[0\] is mirrored"),
        (Cameras(camera.world_to_camera * np.nan, camera.intrinsics), r"^extrinsics\[0\] must be finite"),
        (
            Cameras(camera.world_to_camera, camera.intrinsics * [[[-1], [1], [1]]]),
            r"^intrinsics\[0\] must have positive",
        ),
    ):
        with pytest.raises(InputError, match=message):
            render(gaussians, cameras, (5, 5))


def pretend(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, gsplat: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if gsplat else None)


@pytest.mark.parametrize(("cuda", "gsplat"), [(False, False), (False, True), (True, False), (True, True)])
def test_rasterizer_is_chosen_by_what_can_run(monkeypatch: pytest.MonkeyPatch, cuda: bool, gsplat: bool) -> None:
    pretend(monkeypatch, cuda=cuda, gsplat=gsplat)
    assert choose_rasterizer("cpu").name == "cpu"
    assert choose_rasterizer("auto").name == ("gsplat" if cuda and gsplat else "cpu")
    if cuda and gsplat:
        assert choose_rasterizer("gsplat").name == "gsplat"
    elif gsplat:
        with pytest.raises(InputError, match="needs a CUDA device"):
            choose_rasterizer("gsplat")
    else:
        with pytest.raises(MissingExtraError, match="'gsplat'"):
            choose_rasterizer("gsplat")


WITHOUT_GSPLAT = """
import importlib.util, sys
importlib.util.find_spec = lambda name: None
from recon.splats.rendering import choose_rasterizer
assert choose_rasterizer("auto").name == "cpu"
assert "torch" not in sys.modules
"""


def test_torch_is_not_imported_to_find_that_there_is_no_gsplat() -> None:
    repository = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", WITHOUT_GSPLAT], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr


class FakeGsplat(types.ModuleType):
    """Stands for the gsplat package: notes what it is given, and answers in its shapes."""

    def __init__(self) -> None:
        super().__init__("gsplat")
        self.calls: list[dict[str, Any]] = []

    def rasterization(self, **given: Any) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
        self.calls.append(given)
        height, width = given["height"], given["width"]
        channels = 3 if given["render_mode"] == "RGB" else 4
        image = torch.arange(height * width * channels).reshape(1, height, width, channels).float()
        return image, torch.ones(1, height, width, 1), {}


@pytest.mark.parametrize("mode", ["RGB", "RGB+D", "RGB+ED"])
def test_gsplat_is_given_its_conventions(monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:
    fake = FakeGsplat()
    monkeypatch.setitem(sys.modules, "gsplat", fake)
    rng = numpy_random(0)
    gaussians, camera = random_gaussians(rng, 7, degree=2), random_camera(rng, (4, 6))
    gaussians.rotations[:] *= 2
    assert camera.world_to_camera is not None
    assert camera.intrinsics is not None
    settings = RenderSettings((4, 6), np.array([0.1, 0.2, 0.3]), mode, near=0.5, far=9)
    renderer = GsplatRasterizer(device="cpu").open(gaussians, settings)
    color, depth, alpha = renderer.render(camera.world_to_camera[0], camera.intrinsics[0])
    assert color.shape == (4, 6, 3)
    assert alpha.shape == (4, 6)
    if mode == "RGB":
        assert depth is None
    else:
        np.testing.assert_array_equal(depth, np.arange(3, 96, 4).reshape(4, 6))

    (given,) = fake.calls
    harmonics = gaussians.harmonics.transpose(0, 2, 1)  # (G, K, 3)
    for name, expected in {
        "means": gaussians.means,
        "quats": gaussians.rotations / 2,
        "scales": gaussians.scales,
        "opacities": gaussians.opacities,
        "colors": harmonics,
        "viewmats": camera.world_to_camera,
        "Ks": camera.intrinsics,
        "backgrounds": np.array([[0.1, 0.2, 0.3]]),
    }.items():
        assert given[name].dtype == torch.float32
        assert given[name].is_contiguous()
        np.testing.assert_allclose(given[name].numpy(), expected, rtol=1e-6)
    numbers = {name: given[name] for name in ("width", "height", "near_plane", "far_plane", "sh_degree")}
    assert numbers == {"width": 6, "height": 4, "near_plane": 0.5, "far_plane": 9, "sh_degree": 2}
    assert (given["render_mode"], given["rasterize_mode"]) == (mode, "classic")


def test_render_uses_gsplat_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=True, gsplat=True)
    fake = FakeGsplat()
    monkeypatch.setitem(sys.modules, "gsplat", fake)
    monkeypatch.setitem(RASTERIZERS, "gsplat", GsplatRasterizer(device="cpu"))
    rng = numpy_random(0)
    camera = random_camera(rng, (4, 6))
    render(random_gaussians(rng, 7), camera, (4, 6), "RGB+D")
    assert len(fake.calls) == 1
    nothing = render(random_gaussians(rng, 0), camera, (4, 6), "RGB+D", background=(0.1, 0.2, 0.3))
    assert_equal(  # gsplat is not asked to draw nothing
        nothing,
        render(random_gaussians(rng, 0), camera, (4, 6), "RGB+D", background=(0.1, 0.2, 0.3), rasterizer="cpu"),
    )
    render(random_gaussians(rng, 7), camera, (4, 6), "RGB+D", rasterizer="cpu")
    assert len(fake.calls) == 1


class Recorder:
    """A rasterizer of another kind, which notes its cameras."""

    name = "recorder"
    differentiable = False

    def __init__(self) -> None:
        self.gaussians: Gaussians | None = None
        self.seen: list[NDArray[np.float64]] = []
        self.closed = False

    def check(self) -> None:
        pass

    def open(self, gaussians: Gaussians, settings: RenderSettings) -> Recorder:
        self.gaussians, self.size = gaussians, settings.size
        return self

    def render(self, world_to_camera: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> RenderedView:
        self.seen.append(world_to_camera)
        return RenderedView(np.full((*self.size, 3), 0.5, np.float32), None, np.ones(self.size, np.float32))

    def close(self) -> None:
        self.closed = True


def test_another_rasterizer_is_one_line_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder: Rasterizer = Recorder()
    monkeypatch.setitem(RASTERIZERS, "recorder", recorder)
    scene = SCENES["some"]
    rendering = render(scene.gaussians, scene.cameras, (3, 5), rasterizer="recorder")
    assert isinstance(recorder, Recorder)
    assert (rendering.color == 0.5).all()
    assert recorder.gaussians is scene.gaussians
    np.testing.assert_array_equal(recorder.seen, scene.cameras.world_to_camera)
    assert recorder.closed
    with pytest.raises(InputError, match="cpu, gsplat, recorder, got 'recordr'"):
        render(scene.gaussians, scene.cameras, (3, 5), rasterizer="recordr")


def test_names_of_rasterizers_are_those_users_choose_from() -> None:
    assert set(get_args(recon.choices.RasterizerName)) == {"auto", *RASTERIZERS}


def test_import_is_light_and_compiles_nothing() -> None:
    assert run_python("import sys, recon.splats.rendering; print({'numba', 'torch'} & set(sys.modules))") == "set()\n"
    kernels: Sequence[str] = ("cpu_projection.project", "cpu_tiles.fill_pairs", "cpu_blending.blend_tiles")
    imports = "".join(f"import recon.splats.{kernel.split('.')[0]}\n" for kernel in kernels)
    signatures = ", ".join(f"recon.splats.{kernel}.signatures" for kernel in kernels)
    assert run_python(f"{imports}print({signatures})") == "[] [] []\n"
