"""Cleaning: flying pixels, floaters, outliers, crops; and that true surface stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.choices import CleanChoices
from recon.errors import InputError
from recon.export.exporter import NoOptions
from recon.export.npz import read_npz, write_full
from recon.export.points import PointOptions, select_points
from recon.export.splats import SplatOptions, select_splats
from recon.geometry.unprojection import unproject_depth
from recon.messages import ReconWarning
from recon.refine.clean import Cleaning, clean, clean_again, crop
from recon.refine.depth_splats import splats_from_depth
from recon.types import MadeBy, Prediction
from tests.refine.depth_scene import make_prediction
from tests.seeds import numpy_random

VIEWS, HEIGHT, WIDTH, FOCAL = 6, 90, 120, 100.0
NEAR, FAR = 2.0, 4.0


def step_scene(noise: float = 0.0, blur: int = 2) -> tuple[Prediction, np.ndarray]:
    """A square before a wall, with depth mixed over `blur` pixels at its border, and where (N, H, W) it is mixed."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5 - WIDTH / 2, np.arange(HEIGHT) + 0.5 - HEIGHT / 2)
    depth, mixed = np.full((VIEWS, HEIGHT, WIDTH), FAR), np.zeros((VIEWS, HEIGHT, WIDTH), bool)
    extrinsics = np.tile(np.eye(3, 4), (VIEWS, 1, 1))
    for view in range(VIEWS):
        centre = np.array([0.15 * (view - (VIEWS - 1) / 2), 0.06 * (-1) ** view, 0])
        extrinsics[view, :, 3] = -centre
        across = np.maximum(abs(x / FOCAL * NEAR + centre[0]), abs(y / FOCAL * NEAR + centre[1])) * FOCAL / NEAR
        share = np.clip((across - 25) / (blur + 1), 0, 1)  # of the wall, by pixels from the square's border
        depth[view] = NEAR + share * (FAR - NEAR)
        mixed[view] = (abs(depth[view] / NEAR - 1) > 0.02) & (abs(depth[view] / FAR - 1) > 0.02)
    depth *= 1 + noise * numpy_random(3).normal(size=depth.shape)
    intrinsics = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]], np.float32)
    prediction = Prediction(
        depth=depth.astype(np.float32),
        processed_images=np.full((*depth.shape, 3), 128, np.uint8),
        conf=np.full(depth.shape, 2, np.float32),
        extrinsics=extrinsics.astype(np.float32),
        intrinsics=np.tile(intrinsics, (VIEWS, 1, 1)),
        made_by=MadeBy("network", "da3-small"),
    )
    return prediction, mixed


def kept_by(cleaning: Cleaning, prediction: Prediction) -> np.ndarray:
    return np.ones(prediction.depth.shape, bool) if cleaning.kept is None else cleaning.kept


@pytest.mark.parametrize(("noise", "blur"), [(0.0, 1), (0.0, 3), (0.005, 2)])
def test_mixed_depth_at_a_step_goes_and_the_surfaces_stay(noise: float, blur: int) -> None:
    prediction, mixed = step_scene(noise, blur)
    cleaning = clean(prediction, CleanChoices())
    kept = kept_by(cleaning, prediction)
    assert mixed.sum() > 1000
    assert (~kept)[mixed].mean() >= 0.95
    assert kept[~mixed].mean() >= 0.98
    assert sum(cleaning.removed.values()) == (~kept).sum()
    assert list(cleaning.removed) == ["edges", "agreement"]


def test_each_filter_alone_and_none() -> None:
    prediction, mixed = step_scene(0.0, 2)
    edges = kept_by(clean(prediction, CleanChoices(clean_views=0)), prediction)
    assert (~edges)[mixed].mean() > 0.9
    agreement = kept_by(clean(prediction, CleanChoices(clean_edges=0)), prediction)
    assert (~agreement)[mixed].mean() > 0.4  # where the mixed depth of one view does not look like another's
    assert clean(prediction, CleanChoices(clean=False)).kept is None
    only = clean(prediction, CleanChoices(clean=False, clean_edges=0.03))
    np.testing.assert_array_equal(only.kept, edges)


def test_planted_floaters_go_even_where_two_views_share_them() -> None:
    prediction, _ = step_scene(0.005)
    depth = prediction.depth.copy()
    depth[2, 5:15, 5:15] = 1.0  # alone
    depth[4, 60:70, 100:110] = 3.2
    clean_depth = prediction.depth
    prediction = replace(prediction, depth=depth)
    cleaning = clean(prediction, CleanChoices())
    assert cleaning.kept is not None
    planted = depth != clean_depth
    assert planted.sum() == 200
    assert not cleaning.kept[planted].any()
    assert replace(prediction, kept=cleaning.kept).valid[planted].all()


def test_a_point_that_nothing_looks_through_stays() -> None:
    """Seen by one view alone, hidden from others, or beyond what they found depth for."""
    prediction, _ = step_scene()
    depth = prediction.depth.copy()
    depth[1:] = 0
    alone = clean(replace(prediction, depth=depth), CleanChoices(clean_edges=0))
    assert alone.removed == {"agreement": 0}
    depth = np.full_like(prediction.depth, NEAR)
    depth[0, :20] = 10 * FAR  # behind everything
    hidden = clean(replace(prediction, depth=depth), CleanChoices(clean_edges=0))
    assert hidden.kept is not None
    assert hidden.kept[0, :20].all()


def test_sky_is_looked_through() -> None:
    prediction, _ = step_scene()
    depth, sky = prediction.depth.copy(), np.zeros(prediction.depth.shape, bool)
    sky[:, :15] = True
    depth[sky] = 100
    sky[0, 5:10, 50:60] = False
    depth[0, 5:10, 50:60] = 3.0  # a floater before the sky
    cleaning = clean(replace(prediction, depth=depth, sky=sky), CleanChoices())
    assert cleaning.kept is not None
    assert not cleaning.kept[0, 5:10, 50:60].any()


def test_an_exact_scene_loses_next_to_nothing() -> None:
    prediction = make_prediction(5)
    cleaning = clean(prediction, CleanChoices())
    assert sum(cleaning.removed.values()) < 0.002 * prediction.depth.size
    stereo = clean(replace(prediction, made_by=MadeBy("stereo", "mvs")), CleanChoices())
    assert list(stereo.removed) == ["agreement"]
    assert "edges" not in stereo.text


def test_the_tolerance_follows_the_noise() -> None:
    tolerances = [clean(step_scene(noise)[0], CleanChoices()).tolerance for noise in (0.0, 0.02)]
    assert tolerances[0] == 0.01
    assert tolerances[1] == pytest.approx(3 * np.sqrt(2) * 0.02, rel=0.2)
    assert clean(step_scene()[0], CleanChoices(clean_tolerance=0.3)).tolerance == 0.3


def test_outliers_on_request() -> None:
    prediction, _ = step_scene()
    depth = prediction.depth.copy()
    rows, columns = numpy_random(1).integers(0, [[HEIGHT], [WIDTH]], (2, 30))
    depth[0, rows, columns] *= numpy_random(2).uniform(0.3, 0.6, 30)
    prediction = replace(prediction, depth=depth)
    planted = np.zeros((HEIGHT, WIDTH), bool)
    planted[rows, columns] = True
    cleaning = clean(prediction, CleanChoices(clean=False, clean_outliers=2))
    assert cleaning.kept is not None
    assert (~cleaning.kept[0])[planted].mean() > 0.95
    assert cleaning.kept.mean() > 0.97


def test_crops_keep_what_is_inside_of_points_and_splats() -> None:
    prediction = make_prediction(3)
    splats = splats_from_depth(prediction).gaussians
    prediction = replace(prediction, gaussians=splats, gaussian_source="depth")
    points = unproject_depth(prediction.depth, prediction.intrinsics, prediction.extrinsics)
    box = (-1.5, 0.0, -0.5, 1.0, 1.4, 1.0)
    sphere = (0.5, 0.8, 0.0, 0.6)
    for choices, inside in (
        (CleanChoices(crop_box=box), ((points >= box[:3]) & (points <= box[3:])).all(axis=-1)),
        (CleanChoices(crop_sphere=sphere), np.linalg.norm(points - sphere[:3], axis=-1) <= sphere[3]),
    ):
        cropped, cleaning = crop(prediction, Cleaning(None, prediction.depth.size), choices)
        np.testing.assert_array_equal(cropped.kept, inside)
        assert cleaning.removed == {"crop": int((~inside).sum())}
        cloud = select_points(cropped, PointOptions())
        assert len(cloud.points) == inside.sum()
        means = select_splats(cropped, SplatOptions()).gaussians.means
        assert 0 < len(means) < len(splats)
        if choices.crop_box is not None:
            assert ((means >= box[:3]) & (means <= box[3:])).all()
        again = splats_from_depth(replace(cropped, gaussians=None, gaussian_source=None)).gaussians.means
        assert (again.min(axis=0) > means.min(axis=0) - 0.4).all()  # those behind stand a little farther
        assert (again.max(axis=0) < means.max(axis=0) + 0.4).all()


def test_a_crop_without_points_says_where_they_lie() -> None:
    prediction = make_prediction(2)
    with pytest.raises(InputError, match=r"crop_sphere: no point lies in it; they lie between \(-3"):
        crop(prediction, Cleaning(None, 1), CleanChoices(crop_sphere=(100, 0, 0, 1)))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("crop_box", (0, 0, 0, 1, 1, 0), "crop_box"),
        ("crop_box", (0, 0, 0, 1), "crop_box"),
        ("crop_sphere", (0, 0, 0, 0), "radius"),
        ("clean_views", -1, "clean_views"),
        ("clean_tolerance", 0, "clean_tolerance"),
        ("clean_outliers", 0, "clean_outliers"),
    ],
)
def test_wrong_values_name_the_option(name: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CleanChoices(**{name: value})


def test_thinning_leaves_one_point_in_each_cube() -> None:
    prediction = make_prediction(3)
    every = select_points(prediction, PointOptions())
    thin = select_points(prediction, PointOptions(voxel=0.2))
    corner = every.points.min(axis=0)
    cells, thin_cells = (np.floor((points - corner) / 0.2).astype(int) for points in (every.points, thin.points))
    assert len(np.unique(thin_cells, axis=0)) == len(thin.points)
    assert len(thin.points) == pytest.approx(len(np.unique(cells, axis=0)), abs=2)
    assert np.isin(thin.pixels, every.pixels).all()


def test_cleaning_is_stored_and_taken_over_unless_another_is_asked_for(tmp_path) -> None:
    prediction, _ = step_scene()
    cleaning = clean(prediction, CleanChoices())
    prediction = replace(prediction, kept=cleaning.kept)
    stored = read_npz(write_full(prediction, tmp_path, NoOptions()).files[0])
    np.testing.assert_array_equal(stored.kept, cleaning.kept)
    np.testing.assert_array_equal(clean_again(stored, CleanChoices()).kept, cleaning.kept)
    assert clean_again(stored, CleanChoices(clean=False)).kept is None
    np.testing.assert_array_equal(clean_again(replace(stored, kept=None), CleanChoices()).kept, cleaning.kept)


def test_a_filter_that_would_leave_nothing_is_not_applied() -> None:
    prediction, _ = step_scene()
    sky = np.zeros(prediction.depth.shape, bool)
    sky[1:] = True  # so that all depth of the first view floats before the sky
    one_place = np.tile(prediction.extrinsics[:1], (VIEWS, 1, 1))
    with pytest.warns(ReconWarning, match="points that other views look through would leave no points"):
        cleaning = clean(replace(prediction, sky=sky, extrinsics=one_place), CleanChoices(clean_edges=0))
    assert cleaning.kept is not None
    assert cleaning.kept.all()


def test_single_views_lose_their_flying_pixels_alone() -> None:
    prediction, mixed = step_scene(0, 1)
    one = Prediction(depth=prediction.depth[:1], processed_images=prediction.processed_images[:1])
    cleaning = clean(one, CleanChoices())
    assert list(cleaning.removed) == ["edges"]
    assert (~kept_by(cleaning, one))[mixed[:1]].mean() > 0.9
