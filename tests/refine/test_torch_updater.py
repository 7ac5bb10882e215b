"""Steps in torch, as they are made on CUDA with gsplat, beside those of the CPU's kernels.

On the CPU, the torch function over its rasterizer stands in for that of gsplat.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from recon.choices import SplatOptimisation
from recon.errors import InputError
from recon.refine.depth_splats import from_depth
from recon.refine.optimisation import updaters
from recon.refine.optimisation.cpu_updater import CpuUpdater
from recon.refine.optimisation.gsplat_updater import open_gsplat_updater
from recon.refine.optimisation.photo_loss import PhotoLoss, Target
from recon.refine.optimisation.photos import Look, ProcessedPhotos
from recon.refine.optimisation.state import AdamSplats
from recon.refine.optimisation.torch_photo_loss import photo_loss
from recon.refine.optimisation.torch_updater import TorchUpdater
from recon.refine.optimisation.updater import Derivatives, SplatUpdater, StepRates
from recon.refine.optimise_splats import optimise_splats
from recon.splats.torch_rasterizer import rasterize
from recon.types import Prediction
from tests.refine.depth_scene import make_prediction
from tests.seeds import numpy_random

SIZE = (32, 44)
EXPOSURE = np.array([1.1, 0.9, 1.05, 0.02, -0.03, 0.01])


@pytest.fixture(scope="module")
def room() -> Prediction:
    mask = np.ones((3, *SIZE), bool)
    mask[:, 5:15, 20:30] = False
    return replace(make_prediction(3, *SIZE), mask=mask)


def splats_of(room: Prediction) -> AdamSplats:
    """Of degree 1, with harmonics and opacities that are no round numbers."""
    splats = AdamSplats.of(from_depth(room), 1)
    rng = numpy_random(3)
    splats.gaussians.harmonics[:, :, 1:] = rng.normal(0, 0.05, splats.gaussians.harmonics[:, :, 1:].shape)
    splats.gaussians.opacities[:] = rng.uniform(0.3, 0.9, len(splats.gaussians))
    return splats


def test_loss_is_that_of_the_kernels(room: Prediction) -> None:
    rng = numpy_random(1)
    view, photo = rng.random((2, 3, *SIZE)).astype(np.float32)
    photo[0, :9], photo[1, 20:] = 1, 0  # cut off
    view[:, :, ::3] = view[:, :, ::3] * 1.5 - 0.25
    counts = room.mask[0]  # type: ignore[index]
    gradient = np.empty_like(view)
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    loss, _, _ = PhotoLoss(SIZE, lambda f, items: list(map(f, items)))(view, one, zero, Target(photo, counts), gradient)
    tensor = torch.tensor(view, requires_grad=True)
    found = photo_loss(tensor, torch.tensor(photo), torch.tensor(counts))
    found.backward()
    assert found.item() == pytest.approx(loss, rel=1e-5)
    assert tensor.grad is not None
    assert np.linalg.norm(tensor.grad.numpy() - gradient) <= 1e-4 * np.linalg.norm(gradient)


def look_at(room: Prediction, view: int) -> Look:
    return ProcessedPhotos(room).look(view, 0, 0)


def steps(updater: SplatUpdater, room: Prediction, count: int) -> list[Derivatives]:
    """The derivatives of so many steps, from views in turn."""
    rates = np.full(23, 1e-3, np.float32)
    assert room.cameras.world_to_camera is not None
    assert room.cameras.intrinsics is not None
    return [
        updater.step(
            look_at(room, k % 3),
            room.cameras.world_to_camera[k % 3],
            room.cameras.intrinsics[k % 3],
            EXPOSURE,
            StepRates(rates, 0.1, np.array([1e-5, 1e-5])),
        )
        for k in range(count)
    ]


def assert_like(found: Any, expected: Any, tolerance: float, name: str = "") -> None:
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected), name


def compare(updater: SplatUpdater, mine: AdamSplats, room: Prediction, tolerance: float) -> None:
    """With the kernels: derivatives and moments of one step, and parameters after some.

    Most are within `tolerance`, all together within 2 % or ten times `tolerance`: rounding decides signs of next to
    nothing, and which splats are too faint for a pixel.
    """
    kernels = splats_of(room)
    cpu = CpuUpdater(kernels)
    of_one, of_cpu = steps(updater, room, 1)[0], steps(cpu, room, 1)[0]
    updater.pull()
    for name in ("gain", "offset", "world_to_camera"):
        assert_like(getattr(of_one, name), getattr(of_cpu, name), 0.02, name)
    assert_like(of_one.intrinsics, of_cpu.intrinsics, 0.02)  # what lies beyond the frame is treated in another way
    numbers = kernels.moments.shape[1] // 2
    for place in (slice(0, 3), slice(3, 6), slice(6, 10), slice(10, 11), slice(11, numbers)):
        assert_like(mine.moments[:, place], kernels.moments[:, place], max(0.02, 10 * tolerance), str(place))
        error = np.abs(mine.moments[:, place] - kernels.moments[:, place])
        assert np.quantile(error, 0.9) <= tolerance * np.quantile(np.abs(kernels.moments[:, place]), 0.9), place
    moves = mine.steps != kernels.steps  # where masks hide a splat, its momentum moves it in one alone
    assert moves.mean() < 0.05
    steps(updater, room, 3)
    steps(cpu, room, 3)
    updater.pull()
    for name, values in kernels.arrays.items():
        if name not in ("moments", "steps"):
            error = np.abs(mine.arrays[name] - values)
            assert np.quantile(error, 0.9) <= 1e-4 * max(1, np.abs(values).max()), name


def test_steps_are_those_of_the_kernels(room: Prediction) -> None:
    mine = splats_of(room)
    compare(TorchUpdater(mine, rasterize, "cpu"), mine, room, 1e-3)


@pytest.mark.cuda("gsplat")
def test_steps_with_gsplat_are_those_of_the_kernels(room: Prediction) -> None:
    mine = splats_of(room)
    compare(open_gsplat_updater(mine), mine, room, 1e-2)


def test_the_whole_loop_goes_through_torch(room: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    start = from_depth(room)
    options = SplatOptimisation(gs_iterations=40, gs_splats=2 * len(start), gs_densify="mcmc", gs_sh_degree=2)
    expected = optimise_splats(room, options, start=start, correct_cameras=True)
    monkeypatch.setitem(updaters.UPDATERS, "cpu", lambda splats, threads: TorchUpdater(splats, rasterize, "cpu"))
    found = optimise_splats(room, options, start=start, correct_cameras=True)
    assert found.after is not None
    assert found.before is not None
    assert expected.after is not None
    assert found.after.psnr > found.before.psnr + 2
    assert found.after.psnr == pytest.approx(expected.after.psnr, abs=0.5)
    assert found.gaussians.sh_degree == 2
    assert len(found.gaussians) > len(start)


@pytest.mark.cuda("gsplat")
def test_the_whole_loop_on_cuda_is_as_good_as_on_the_cpu(room: Prediction) -> None:
    start = from_depth(room)
    options = SplatOptimisation(gs_iterations=60, gs_splats=2 * len(start), gs_densify="mcmc", gs_sh_degree=2)
    found, expected = (
        optimise_splats(room, options, start=start, correct_cameras=True, rasterizer=name) for name in ("gsplat", "cpu")
    )
    assert found.before is not None
    assert found.after is not None
    assert expected.after is not None
    assert found.after.psnr > found.before.psnr + 2
    assert found.after.psnr == pytest.approx(expected.after.psnr, abs=0.5)
    assert len(found.gaussians) == pytest.approx(len(expected.gaussians), rel=0.01)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_that_is_not_there_is_named(room: Prediction) -> None:
    with pytest.raises(InputError, match="gsplat"):
        optimise_splats(room, SplatOptimisation(gs_iterations=1), rasterizer="gsplat")
