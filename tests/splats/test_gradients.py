"""The differentiable rasterizer against `render`, and its derivatives against autograd in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from recon.errors import InputError
from recon.splats.cpu_rasterizer import CpuRasterizer
from recon.splats.rasterizer import Gradients, RenderedView, RenderMode, RenderSettings
from recon.splats.rendering import render
from recon.splats.torch_rasterizer import rasterize
from recon.types import Gaussians
from tests.seeds import numpy_random
from tests.splats.brute_force import brute_force
from tests.splats.scenes import Scene, random_camera, random_gaussians, random_scenes
from tests.splats.torch_reference import reference

SCENES = random_scenes()
NAMES = (*Gaussians.__dataclass_fields__, "world_to_camera", "intrinsics", "background")


@dataclass(frozen=True)
class Case:
    """A small scene, for a renderer that keeps every splat at every pixel."""

    gaussians: Gaussians
    world_to_camera: np.ndarray[Any, Any]
    intrinsics: np.ndarray[Any, Any]
    size: tuple[int, int]
    background: np.ndarray[Any, Any]

    @property
    def inputs(self) -> list[torch.Tensor]:
        """In float64, in the order of `NAMES`."""
        splats = [getattr(self.gaussians, name) for name in Gaussians.__dataclass_fields__]
        arrays = (*splats, self.world_to_camera, self.intrinsics, self.background)
        return [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]


def make_cases() -> dict[str, Case]:
    """Twenty, each hard in one way, with degrees 0 to 3 in turn."""
    cases: dict[str, Case] = {}

    def add(
        name: str, count: int = 60, distance: float = 3.0, focal: float = 1.2, size: float = 1.0, **values: Any
    ) -> None:
        rng = numpy_random(100, len(cases))
        gaussians = random_gaussians(rng, count, len(cases) % 4, 1 / size)
        given = {key: np.resize(np.float32(value), getattr(gaussians, key).shape) for key, value in values.items()}
        gaussians = replace(gaussians, **given)
        # Quaternions of any length.
        gaussians = replace(gaussians, rotations=gaussians.rotations * np.float32(rng.uniform(0.3, 3, (count, 1))))
        shape = (45, 53)
        cameras = random_camera(rng, shape, distance, focal)
        assert cameras.world_to_camera is not None
        assert cameras.intrinsics is not None
        behind = rng.uniform(0, 1, 3)
        cases[name] = Case(gaussians, cameras.world_to_camera[0], cameras.intrinsics[0], shape, behind)

    for degree in range(4):
        add(f"degree {degree}")
    for degree in range(4):
        add(f"from within, degree {degree}", 150, distance=0.3, focal=0.6)
    add("behind the camera but for a few", 300, distance=-0.5, focal=0.6)
    add("off to the sides", 200, focal=5.0)
    add("beyond the limits of the Jacobian", 150, distance=0.5, focal=2.0, size=3.0)
    add("overlapping and large", 100, size=4.0)
    add("small", 200, size=0.2)
    add("opaque", 80, size=2.0, opacities=[0.95, 0.99, 0.998])
    add("opacity 0 and 1", 80, opacities=[0, 1, 1])
    add("nearly transparent", 100, opacities=[1.1 / 255, 2 / 255, 0.01])
    add("needles", 60, scales=[[1, 1e-3, 1e-4]])
    add("discs, lines and points", 90, scales=[[0.3, 0.2, 0], [0.5, 0, 0], [0, 0, 0]])
    add("one place", 40, means=[[0, 0, 0]])
    add("quaternions of length 0", 30, rotations=[[0, 0, 0, 0]])
    return cases


CASES = make_cases()


def case_gradients(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """By `rasterize` and by autograd, of a random sum of all the view's values that no threshold decides about."""
    rng = numpy_random(7)
    true_inputs = case.inputs
    *parameters, world_to_camera, intrinsics, background = true_inputs
    truth = reference(*parameters, world_to_camera, intrinsics, background, case.size, close=2e-5)
    clear = ~truth.unclear
    assert clear.double().mean() > 0.8
    weights = [torch.tensor(rng.normal(size=shape)) for shape in ((*case.size, 3), case.size, case.size)]
    weights = [weight * (clear[..., None] if weight.ndim == 3 else clear) for weight in weights]
    total = sum((weight * value).sum() for weight, value in zip(weights, truth[:3], strict=True))
    total.backward()

    inputs = case.inputs
    view = rasterize(*inputs[:7], case.size, inputs[7], "RGB+D")
    for value, true, name in zip(view, truth[:3], ("color", "depth", "alpha"), strict=True):
        assert torch.allclose(value[clear].double(), true[clear], rtol=0, atol=2e-5), name
    sum((weight.float() * value).sum() for weight, value in zip(weights, view, strict=True)).backward()
    return (
        {name: tensor.grad.numpy() for name, tensor in zip(NAMES, inputs, strict=True)},
        {name: tensor.grad.numpy() for name, tensor in zip(NAMES, true_inputs, strict=True)},
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_derivatives_are_those_of_autograd(case: Case) -> None:
    found, true = case_gradients(case)
    true["intrinsics"][[0, 1], [1, 0]] = 0  # no skew is drawn
    for name in NAMES:
        assert np.isfinite(true[name]).all(), name
        scale = np.linalg.norm(true[name])
        error = np.linalg.norm(found[name] - true[name])
        assert error <= 1e-5 * scale, f"{name}: {error / scale:.2e}"
        if name != "rotations":
            assert scale > 0, name


def differentiable_view(scene: Scene, mode: RenderMode, threads: int | None = None) -> tuple[RenderedView, Gradients]:
    """One view, and the derivatives of a fixed random sum of its values."""
    assert scene.cameras.world_to_camera is not None
    assert scene.cameras.intrinsics is not None
    settings = RenderSettings(scene.size, np.array(scene.background, np.float64), mode, threads=threads)
    renderer = CpuRasterizer().open_differentiable(scene.gaussians, settings)
    view = renderer.render(scene.cameras.world_to_camera[0], scene.cameras.intrinsics[0])
    rng = numpy_random(3)
    shapes = ((*scene.size, 3), None if mode == "RGB" else scene.size, scene.size)
    gradient = RenderedView(
        *(None if shape is None else rng.normal(size=shape).astype(np.float32) for shape in shapes)  # type: ignore[arg-type]
    )
    gradients = renderer.backward(gradient)
    renderer.close()
    return view, gradients


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_pictures_are_those_of_render(scene: Scene) -> None:
    assert scene.cameras.world_to_camera is not None
    assert scene.cameras.intrinsics is not None
    truth = brute_force(
        scene.gaussians,
        scene.cameras.world_to_camera[0],
        scene.cameras.intrinsics[0],
        scene.size,
        scene.background,
        close=2e-5,
    )
    clear = ~truth.unclear
    assert clear.mean() > 0.7 or clear.size == 1
    for mode in ("RGB", "RGB+D", "RGB+ED"):
        view, _ = differentiable_view(scene, mode)
        whole = render(scene.gaussians, scene.cameras, scene.size, mode, rasterizer="cpu", background=scene.background)
        for name, value, expected in zip(RenderedView._fields, view, whole, strict=True):
            if expected is None:
                assert value is None
                continue
            assert value is not None
            assert value.dtype == np.float32
            np.testing.assert_allclose(value[clear], expected[0][clear], rtol=2e-5, atol=1e-5, err_msg=name)


def test_result_does_not_depend_on_threads() -> None:
    scene = SCENES["many"]
    (view, gradients), *others = (differentiable_view(scene, "RGB+ED", threads) for threads in (1, 2, 5))
    for other_view, other_gradients in others:
        for one, other in zip(view, other_view, strict=True):
            np.testing.assert_array_equal(one, other)
        for one, other in zip(gradients[1:], other_gradients[1:], strict=True):
            np.testing.assert_array_equal(one, other)
        for name in Gaussians.__dataclass_fields__:
            one, other = getattr(gradients.gaussians, name), getattr(other_gradients.gaussians, name)
            assert np.abs(one).max() > 0
            np.testing.assert_array_equal(one, other, err_msg=name)


def test_expected_depth_is_the_quotient_of_depth_and_alpha() -> None:
    # Half of this picture is empty, where depth is 0 and must have no derivative.
    case = CASES["small"]
    weight = torch.tensor(numpy_random(5).normal(size=case.size), dtype=torch.float32)
    found = []
    for mode in ("RGB+ED", "RGB+D"):
        inputs = case.inputs
        view = rasterize(*inputs[:7], case.size, inputs[7], mode)
        depth = view.depth if mode == "RGB+ED" else view.depth / view.alpha.clamp(min=1e-10)
        (weight * depth).sum().backward()
        found.append([tensor.grad.numpy() for tensor in inputs])
    for name, one, other in zip(NAMES, *found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max(), err_msg=name)


def test_changes_of_the_gaussians_are_seen_by_the_next_view() -> None:
    scene = SCENES["some"]
    assert scene.cameras.world_to_camera is not None
    assert scene.cameras.intrinsics is not None
    camera = scene.cameras.world_to_camera[0], scene.cameras.intrinsics[0]
    moved = replace(scene.gaussians, means=scene.gaussians.means.copy())
    renderer = CpuRasterizer().open_differentiable(moved, RenderSettings(scene.size, np.zeros(3)))
    before = renderer.render(*camera).color
    moved.means[:] += np.float32(0.1)
    after = renderer.render(*camera).color
    assert np.abs(after - before).max() > 0.01


def test_no_gaussians_give_the_background_and_its_derivative() -> None:
    none = random_gaussians(numpy_random(0), 0)
    scene = Scene(none, random_camera(numpy_random(0), (20, 30)), (20, 30), (0.2, 0.5, 0.9))
    view, gradients = differentiable_view(scene, "RGB+D")
    np.testing.assert_allclose(view.color, np.broadcast_to(np.float32([0.2, 0.5, 0.9]), (20, 30, 3)))
    assert gradients.gaussians.means.shape == (0, 3)
    assert np.abs(gradients.background).min() > 0
    np.testing.assert_array_equal(gradients.world_to_camera, 0)


def test_derivatives_before_a_view_are_refused() -> None:
    scene = SCENES["one"]
    renderer = CpuRasterizer().open_differentiable(scene.gaussians, RenderSettings(scene.size, np.zeros(3)))
    nothing = np.zeros(scene.size, np.float32)
    with pytest.raises(ValueError, match="none has been rendered"):
        renderer.backward(RenderedView(np.zeros((*scene.size, 3), np.float32), None, nothing))


def test_more_pairs_than_memory_allows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from recon.splats import cpu_differentiable_renderer

    monkeypatch.setattr(cpu_differentiable_renderer, "_MAX_PAIRS", 100)
    with pytest.raises(InputError, match="fewer splats"):
        differentiable_view(SCENES["many"], "RGB")


@pytest.mark.parametrize("name", ["means", "scales", "opacities"])
def test_numbers_that_are_none_are_refused_by_name(name: str) -> None:
    inputs = dict(zip(NAMES, CASES["degree 1"].inputs, strict=True))
    inputs[name] = torch.full_like(inputs[name], torch.nan)
    background = inputs.pop("background")
    with pytest.raises(InputError, match=name):
        rasterize(**inputs, size=(20, 30), background=background)


@pytest.mark.parametrize(("name", "rows"), [("world_to_camera", 3), ("intrinsics", 2)])
def test_a_camera_of_another_shape_is_refused_by_name(name: str, rows: int) -> None:
    case = next(iter(make_cases().values()))
    inputs = dict(zip(NAMES, case.inputs, strict=True))
    with pytest.raises(InputError, match=rf"{name} must be of shape .* not \({rows}, "):
        rasterize(**{**inputs, name: inputs[name][:rows]}, size=case.size)


def test_a_camera_that_is_off_finds_back_to_where_its_picture_was_taken() -> None:
    case = CASES["degree 1"]
    tensors = [tensor.detach() for tensor in case.inputs]
    *splats, world_to_camera, intrinsics, background = tensors
    goal = rasterize(*splats, world_to_camera, intrinsics, case.size, background).color
    shift = torch.tensor([0.02, -0.03, 0.04], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([shift], lr=2e-3)
    for _ in range(150):
        moved = world_to_camera + torch.nn.functional.pad(shift[:, None], (3, 0, 0, 1))
        loss = (rasterize(*splats, moved, intrinsics, case.size, background).color - goal).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert shift.abs().max() < 1e-3
