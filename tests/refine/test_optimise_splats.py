"""Splats fitted to the photos of a small room with exact depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.choices import SplatOptimisation
from recon.errors import InputError
from recon.geometry.cameras import to_4x4
from recon.geometry.quaternions import normalise, to_matrix
from recon.messages import ReconWarning
from recon.refine import from_depth
from recon.refine.far_splats import far_splats
from recon.refine.optimisation import loop, memory
from recon.refine.optimisation.splat_adam import bias_corrections, update_splats
from recon.refine.optimise_splats import optimise_splats
from recon.splats.coverage import Coverage, without_masked
from recon.splats.cpu_differentiable_renderer import CpuDifferentiableRenderer
from recon.splats.cpu_projection_gradients import HARMONICS
from recon.splats.rasterizer import RenderSettings
from recon.splats.rendering import render
from recon.splats.torch_rasterizer import rasterize
from recon.splats.view_metrics import psnr
from recon.types import Gaussians, Prediction
from recon.types.cameras import Cameras
from tests.refine.depth_scene import make_prediction
from tests.seeds import numpy_random
from tests.splats.scenes import random_camera, random_gaussians

SIZE = (60, 80)
SHORT = SplatOptimisation(gs_iterations=12)


@pytest.fixture(scope="module")
def room() -> Prediction:
    return make_prediction(4, *SIZE)


def psnr_between(gaussians: Gaussians, views: int = 4) -> float:
    """Mean PSNR at the cameras halfway between the photos."""
    truth = make_prediction(views, *SIZE, between=True)
    color = np.clip(render(gaussians, truth.cameras, SIZE, rasterizer="cpu").color, 0, 1)
    return float(np.mean([psnr(view, photo) for view, photo in zip(color, truth.processed_images, strict=True)]))


def test_views_between_the_photos_become_more_like_what_is_there(room: Prediction) -> None:
    before = psnr_between(from_depth(room))
    found = optimise_splats(room, SplatOptimisation(gs_iterations=200))
    assert psnr_between(found.gaussians) > before + 1.5
    assert found.before is not None
    assert found.after is not None
    assert found.after.psnr > found.before.psnr + 3
    assert found.after.ssim is not None
    assert found.before.ssim is not None
    assert found.after.ssim > found.before.ssim
    assert (found.iterations, found.ended_by) == (200, "iterations")
    assert found.held_out == ()
    assert found.held_out_before is found.held_out_after is None
    np.testing.assert_array_equal(found.world_to_camera, room.cameras.world_to_camera)
    np.testing.assert_allclose(found.gains, 1, atol=0.05)


def test_same_seed_gives_the_same_bytes_for_any_number_of_threads(room: Prediction) -> None:
    one, three = (optimise_splats(room, SHORT, correct_cameras=True, seed=1, threads=threads) for threads in (1, 3))
    other = optimise_splats(room, SHORT, correct_cameras=True, seed=2)
    for name in Gaussians.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one.gaussians, name), getattr(three.gaussians, name), err_msg=name)
    np.testing.assert_array_equal(one.world_to_camera, three.world_to_camera)
    np.testing.assert_array_equal(one.gains, three.gains)
    assert not np.array_equal(one.gaussians.means, other.gaussians.means)


def test_photos_of_mixed_exposure_give_the_splats_of_even_ones(room: Prediction) -> None:
    stops = np.array([-0.3, 0.15, 0, 0.15])
    exposed = np.clip(room.processed_images * 2.0 ** stops[:, None, None, None] * 0.7, 0, 255).round().astype(np.uint8)
    mixed = replace(room, processed_images=exposed)
    found = optimise_splats(mixed, SplatOptimisation(gs_iterations=260))
    gains = np.log2(found.gains.mean(axis=1))
    np.testing.assert_allclose(gains - gains.mean(), stops - stops.mean(), atol=0.08)
    np.testing.assert_allclose(np.median(found.gains, axis=0), 1, atol=0.02)
    np.testing.assert_allclose(found.offsets, 0.055 * (found.gains - 1), atol=0.01)


def test_cameras_that_are_off_are_corrected(room: Prediction) -> None:
    assert room.extrinsics is not None
    assert room.intrinsics is not None
    rng = numpy_random(3)
    turned = to_4x4(room.extrinsics.astype(np.float64))
    for view in (1, 2):  # the others hold the frame
        turn = normalise(np.array([1, *rng.choice([-0.004, 0.004], 3)]))
        turned[view, :3] = to_matrix(turn) @ turned[view, :3]
    found_cameras = replace(room, extrinsics=turned[:, :3].astype(np.float32), extrinsics_origin="sfm")
    start = from_depth(room)
    found = optimise_splats(found_cameras, SplatOptimisation(gs_iterations=400), start=start)

    def error(world_to_camera: np.ndarray) -> float:
        """How far points of the room are from where they belong in the two photos, in pixels."""
        places = [
            start.means @ cameras[:, :3, :3].swapaxes(1, 2) + cameras[:, None, :3, 3]
            for cameras in (world_to_camera[1:3], to_4x4(room.extrinsics.astype(np.float64))[1:3])  # type: ignore[union-attr]
        ]
        tangents = [place[..., :2] / place[..., 2:] for place in places]
        seen = places[1][..., 2] > 0.5
        return 0.9 * SIZE[1] * float(np.median(np.linalg.norm(tangents[0] - tangents[1], axis=-1)[seen]))

    assert error(turned) > 0.5
    assert error(found.world_to_camera) < 0.55 * error(turned)
    given = optimise_splats(replace(found_cameras, extrinsics_origin="given"), SHORT, start=start)
    np.testing.assert_array_equal(given.world_to_camera[:, :3], found_cameras.extrinsics)


def test_what_a_mask_excludes_is_not_in_the_splats(room: Prediction) -> None:
    painted, mask = room.processed_images.copy(), np.ones(room.depth.shape, bool)
    painted[1, 20:40, 30:50] = (255, 0, 0)
    mask[1, 20:40, 30:50] = False

    def red(prediction: Prediction) -> float:
        """Share of the pixels of the painted view that are red."""
        found = optimise_splats(prediction, SplatOptimisation(gs_iterations=120)).gaussians
        color = render(found, room.cameras[1:2], SIZE, rasterizer="cpu").color[0]
        return float(((color[..., 0] > 0.7) & (color[..., 1:].max(axis=-1) < 0.25)).mean())

    of_the_room = red(room)
    assert red(replace(room, processed_images=painted)) > of_the_room + 0.004
    assert red(replace(room, processed_images=painted, mask=mask)) < of_the_room + 0.001


def test_no_splat_is_where_masks_leave_everything_out() -> None:
    """Of two cameras that stand nearly in one place: one sees the left half, the other the right, none the middle."""
    mask = np.ones((2, 8, 10), bool)
    mask[:, :, 4:6] = False
    mask[0, :, 6:] = mask[1, :, :4] = False
    cameras = np.tile(np.eye(4)[:3], (2, 1, 1))
    intrinsics = np.tile(np.array([[10.0, 0, 5], [0, 10, 4], [0, 0, 1]]), (2, 1, 1))
    means = np.array([[x, 0.0, z] for z in (1.0, -1.0) for x in (-0.4, -0.05, 0.05, 0.4, 3.0)], np.float32)
    splats = Gaussians(
        means,
        np.ones((10, 3), np.float32),
        np.tile(np.float32([1, 0, 0, 0]), (10, 1)),
        np.zeros((10, 3, 1), np.float32),
        np.ones(10, np.float32),
    )
    shown = Coverage(np.arange(10, dtype=np.float32), np.ones(10, np.int32))
    left, of_left = without_masked(splats, shown, mask, intrinsics, cameras)
    np.testing.assert_array_equal(of_left.weights, [0, 3, 4, 5, 6, 7, 8, 9])
    np.testing.assert_array_equal(left.means, means[[0, 3, 4, 5, 6, 7, 8, 9]])


def test_photos_held_out_are_scored_and_end_it() -> None:
    prediction = make_prediction(10, 40, 50)
    found = optimise_splats(prediction, SplatOptimisation(gs_holdout=5))
    assert found.held_out == (2, 7)
    assert found.held_out_before is not None
    assert found.held_out_after is not None
    assert found.held_out_after.psnr_fitted > found.held_out_before.psnr_fitted + 1
    assert found.iterations <= 65 * 8
    # Nothing of the photos held out is used.
    changed = prediction.processed_images.copy()
    changed[[2, 7]] = 255 - changed[[2, 7]]
    options = SplatOptimisation(gs_holdout=5, gs_iterations=9)
    one = optimise_splats(prediction, options)
    other = optimise_splats(replace(prediction, processed_images=changed), options)
    np.testing.assert_array_equal(one.gaussians.harmonics, other.gaussians.harmonics)
    assert optimise_splats(prediction, SplatOptimisation(gs_iterations=1)).held_out == (5,)
    assert optimise_splats(prediction, SplatOptimisation(gs_iterations=1, gs_holdout=0)).held_out == ()
    assert optimise_splats(prediction, SplatOptimisation(gs_iterations=1, gs_holdout=11)).held_out == ()


def test_photos_whose_cameras_are_predicted_beside_measured_ones_are_not_looked_at() -> None:
    prediction = make_prediction(8, 40, 50)
    origins = tuple("predicted" if view in (1, 5) else "sfm" for view in range(8))
    joined = replace(prediction, extrinsics_origin="predicted", extrinsics_origins=origins)
    joined = replace(joined, image_names=tuple(f"{view}.jpg" for view in range(8)))
    options = SplatOptimisation(gs_holdout=3, gs_iterations=9)
    with pytest.warns(ReconWarning, match=r"1\.jpg, 5\.jpg") as said:
        found = optimise_splats(joined, options)
    assert len([message for message in said if "fitted without" in str(message.message)]) == 1
    assert found.held_out == (2, 6)
    changed = {
        "processed_images": joined.processed_images.copy(),
        "depth": joined.depth.copy(),
        "extrinsics": joined.extrinsics.copy(),  # type: ignore[union-attr]
    }
    changed["processed_images"][[1, 5]] = 255 - changed["processed_images"][[1, 5]]
    changed["depth"][[1, 5]] *= 0.8
    changed["extrinsics"][[1, 5], :, 3] += 0.3
    with pytest.warns(ReconWarning, match="fitted without"):
        other = optimise_splats(replace(joined, **changed), options)
    for name in Gaussians.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found.gaussians, name), getattr(other.gaussians, name))


def test_ctrl_c_keeps_what_there_is(room: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    import recon.refine.optimisation.loop as module

    def tell(part: str, done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "tell", tell)
    with pytest.warns(ReconWarning, match="interrupted after 7 of 100 steps"):
        stopped = optimise_splats(room, SplatOptimisation(gs_iterations=100))
    assert (stopped.iterations, stopped.ended_by) == (7, "interrupted")
    assert len(stopped.gaussians) > 1000
    assert stopped.after is not None


def test_no_steps_leave_the_splats_as_they_are(room: Prediction) -> None:
    start = from_depth(room)
    found = optimise_splats(room, SplatOptimisation(gs_iterations=0), start=start)
    assert found.before == found.after
    np.testing.assert_array_equal(found.gaussians.means, start.means)
    np.testing.assert_array_equal(found.gaussians.harmonics[:, :, :1], start.harmonics)


def test_seconds_end_it(room: Prediction) -> None:
    found = optimise_splats(room, SplatOptimisation(gs_seconds=0.5))
    assert found.ended_by == "seconds"
    assert found.iterations < 65 * 4


def test_number_of_splats_is_bounded(room: Prediction) -> None:
    assert len(optimise_splats(room, SplatOptimisation(gs_splats=500, gs_iterations=1)).gaussians) <= 500
    assert len(optimise_splats(room, SplatOptimisation(gs_iterations=1)).gaussians) <= SIZE[0] * SIZE[1]


def test_one_photo_without_cameras_stays_near_its_start() -> None:
    one = replace(make_prediction(1, *SIZE), extrinsics=None, intrinsics=None)
    with pytest.warns(ReconWarning, match="field of view"):
        found = optimise_splats(one)
    assert found.held_out == ()
    assert found.after is not None
    assert found.before is not None
    assert found.after.psnr > found.before.psnr


def test_start_and_masks_that_cannot_be_used_are_refused_by_name(room: Prediction) -> None:
    start = from_depth(room)
    broken = replace(start, means=np.full_like(start.means, np.nan))
    with pytest.raises(InputError, match=r"means of \d+ of \d+ Gaussians are NaN"):
        optimise_splats(room, start=broken)
    none = Gaussians(**{name: getattr(start, name)[:0] for name in Gaussians.__dataclass_fields__})
    with pytest.raises(InputError, match="no splats to begin"):
        optimise_splats(room, start=none)
    with pytest.raises(InputError, match="masks leave nothing"):
        optimise_splats(replace(room, mask=np.zeros(room.depth.shape, bool)), start=start)
    with pytest.raises(InputError, match=r"cameras|extrinsics"):
        optimise_splats(replace(room, extrinsics=None), start=start)


def test_more_splats_than_memory_holds_are_refused_before_it_begins(
    room: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = memory.free_bytes()
    assert free is None or 1e7 < free < 1e14
    assert memory.bytes_of_splats(1000, 3) > memory.bytes_of_splats(1000, 1) > 1000 * 23 * 12
    options = SplatOptimisation(gs_splats=10**10, gs_densify="mcmc", gs_iterations=1)
    monkeypatch.setattr(memory, "free_bytes", lambda: 10**9)
    with pytest.raises(InputError, match=r"10000000000 splats .* GB .* lower gs_splats"):
        optimise_splats(room, options)
    few = replace(options, gs_densify="none")
    assert optimise_splats(room, few).iterations == 1

    def exhausted(*arguments: object) -> None:
        raise MemoryError("Unable to allocate 5 GiB")

    monkeypatch.setattr(loop, "step", exhausted)
    with pytest.raises(InputError, match=r"memory ran out .* lower gs_splats .*5 GiB"):
        optimise_splats(room, few)


def test_a_photo_that_is_all_masked_is_left_out(room: Prediction) -> None:
    mask = np.ones(room.depth.shape, bool)
    mask[2] = False
    found = optimise_splats(replace(room, mask=mask), SplatOptimisation(gs_iterations=10))
    assert found.iterations == 10
    np.testing.assert_array_equal(found.gains[2], 1)


def test_sky_becomes_far_splats_of_its_colour(room: Prediction) -> None:
    sky, photos = np.zeros(room.depth.shape, bool), room.processed_images.copy()
    sky[:, :20] = True
    photos[:, :20] = (100, 150, 250)
    outside = replace(room, sky=sky, processed_images=photos)
    far = far_splats(outside)
    assert len(far) > 50
    camera = room.cameras.world_to_camera
    assert camera is not None
    centre = -camera[0, :3, :3].T @ camera[0, :3, 3]
    assert np.linalg.norm(far.means - centre, axis=1).min() > 4 * np.percentile(room.depth, 95)
    both = Gaussians(
        **{
            name: np.concatenate([getattr(far, name), getattr(from_depth(outside), name)])
            for name in Gaussians.__dataclass_fields__
        }
    )
    view = render(both, Cameras(camera, room.cameras.intrinsics), SIZE, rasterizer="cpu")
    np.testing.assert_allclose(
        view.color[:, 2:15, 5:-5].mean(axis=(0, 1, 2)), np.array([100, 150, 250]) / 255, atol=0.05
    )
    assert len(far_splats(room)) == 0


def test_steps_are_those_of_adam() -> None:
    rng = numpy_random(11)
    gaussians = random_gaussians(rng, 30, degree=1)
    gaussians = replace(gaussians, opacities=rng.uniform(0.3, 0.8, 30).astype(np.float32))
    camera = random_camera(rng, (40, 50))
    assert camera.world_to_camera is not None
    assert camera.intrinsics is not None
    world_to_camera, intrinsics = camera.world_to_camera[0], camera.intrinsics[0]
    # Smooth, so that a pixel at the edge of a splat, which rounding decides about, matters little.
    waves = np.cos(np.arange(40)[:, None] / 15 + np.arange(50) / 20 + np.arange(5)[:, None, None])  # (5, H, W)
    gradient = waves.astype(np.float32)
    numbers = HARMONICS + 12
    names = tuple(Gaussians.__dataclass_fields__)
    rates = dict(zip(names, (1e-3, 5e-3, 1e-3, 2e-3, 0.05), strict=True))

    true = {name: torch.tensor(getattr(gaussians, name), dtype=torch.float64) for name in names}
    true["scales"], true["opacities"] = true["scales"].log(), true["opacities"].logit()
    groups = [{"params": [tensor.requires_grad_()], "lr": rates[name]} for name, tensor in true.items()]
    adam = torch.optim.Adam(groups, betas=(0.9, 0.999), eps=1e-15)
    cameras = torch.tensor(world_to_camera), torch.tensor(intrinsics)

    moved = Gaussians(**{name: getattr(gaussians, name).copy() for name in names})
    renderer = CpuDifferentiableRenderer(moved, RenderSettings((40, 50), np.zeros(3)))
    moments, steps = np.zeros((30, 2 * numbers), np.float32), np.zeros(30, np.int32)
    row = np.empty(numbers, np.float32)
    row[:3], row[3:6], row[6:10], row[11:], row[10] = rates.values()
    for _ in range(4):
        view = rasterize(
            true["means"],
            true["scales"].exp(),
            true["rotations"],
            true["harmonics"],
            torch.sigmoid(true["opacities"]),
            *cameras,
            (40, 50),
        )
        weights = torch.tensor(gradient)
        loss = (view.color * weights[:3].permute(1, 2, 0)).sum() + (view.depth * weights[3]).sum()
        loss = loss + ((1 - view.alpha) * weights[4]).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        renderer.draw(world_to_camera, intrinsics)
        renderer.blend_back(gradient)
        renderer.carry_back(update_splats, moments, steps, row, bias_corrections(100), np.zeros(2))
    seen = steps == 4
    assert seen.mean() > 0.8
    found = {name: getattr(moved, name).astype(np.float64) for name in names}
    found["scales"], found["opacities"] = np.log(found["scales"]), np.log(found["opacities"] / (1 - found["opacities"]))
    for name in names:
        # All but a few: Adam makes steps of the full size even where a derivative is next to nothing.
        error = np.abs(found[name] - true[name].detach().numpy())[seen]
        assert np.quantile(error, 0.9) <= 0.01 * 4 * rates[name], name


def test_quaternions_come_back_of_length_one(room: Prediction) -> None:
    rotations = optimise_splats(room, SHORT).gaussians.rotations
    np.testing.assert_allclose(np.linalg.norm(rotations, axis=1), 1, atol=1e-5)
