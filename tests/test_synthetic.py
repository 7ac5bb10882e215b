from __future__ import annotations

import numpy as np
import pytest

from recon.errors import InputError
from recon.geometry.cameras import camera_centres
from recon.geometry.unprojection import pixel_centres, project_points, unproject_depth
from tests.seeds import numpy_random

from .synthetic.camera_paths import camera_path, held_out_cameras, look_at, pinhole
from .synthetic.meshes import boulder, knot, lathe, torus
from .synthetic.render import render_views
from .synthetic.scene_builder import SceneBuilder, turn
from .synthetic.scene_model import Lamp, Scene, Sky, Stage
from .synthetic.scenes import SCENES, make_scene
from .synthetic.textures import Texture

SIZE = (36, 48)
SKY = Sky(zenith=(0.2, 0.4, 0.8), horizon=(0.7, 0.8, 0.9))
SUN = Lamp((0.4, -0.6, 0.9), 0.05, (1.0, 0.95, 0.9))
STAGE = Stage((0, 0, 0.3), 3.0, 1.5, -90, 40, ((0, -4, 1), (0, -2, 1)))
PLAIN = Texture("uniform", ("#c0c0c0",))
SPOTTED = Texture("plaster", ("#c08040", "#406080", "#f0e0c0"), 0.4, 0.4, 7)


def scene_of(add, texture=PLAIN, motion=None) -> Scene:
    """The scene of the shapes that `add(build, texture)` adds, coarsely lit: quick to prepare."""
    build = SceneBuilder("test", 3)
    add(build, texture)
    return build.finish(SUN, SKY, STAGE, motion, light_spacing=0.5)


def still_life(build: SceneBuilder, texture: Texture) -> None:
    build.box("floor", (-3, -3, -0.2), (3, 3, 0), texture)
    build.box("box", (-1.0, -0.4, 0), (-0.3, 0.4, 0.6), texture, turn(20))
    build.ball("ball", (0.4, -0.2, 0.35), 0.35, texture)
    build.pillar("pillar", (0.3, 0.8, 0), 0.2, 1.2, texture)
    build.mesh("knot", (-0.4, 1.0, 0.4), knot(0.3, 0.1), texture, turn(70, "x"))


def one_view(scene: Scene, centre, target, size=SIZE, intrinsics=None, **options):
    extrinsics = look_at(np.array([centre], float), np.array([target], float))
    return render_views(scene, extrinsics, pinhole(size) if intrinsics is None else intrinsics, size, 1, **options)


def world_rays(views):
    """Directions (H, W, 3) of unit z in the camera through the pixel centres of the first view."""
    height, width = views.depth.shape[1:]
    pixels = np.concatenate([pixel_centres(height, width), np.ones((height, width, 1))], axis=-1)
    rotation = views.cameras.world_to_camera[0, :3, :3]
    return pixels @ np.linalg.inv(views.cameras.intrinsics[0]).T @ rotation


# Depth and masks


def test_depth_of_a_plane_is_along_z_at_the_pixel_centre() -> None:
    scene = scene_of(lambda build, texture: build.add("floor", "rectangle", (50, 50), (0, 0, 0), texture))
    intrinsics = np.array([[40.0, 0.5, 20.3], [0, 43.0, 17.9], [0, 0, 1]])
    views = one_view(scene, (0.3, -4, 2), (0, 0, 0), intrinsics=intrinsics)
    expected = -2 / world_rays(views)[..., 2]
    assert (expected > 0).mean() > 0.5
    hit = (expected > 0) & (expected < 30)
    np.testing.assert_allclose(views.depth[0][hit], expected[hit], rtol=1e-6)
    assert views.sky[0][expected < 0].all()


def test_depth_and_mask_of_a_sphere() -> None:
    scene = scene_of(lambda build, texture: build.ball("ball", (0.1, 0, 0.3), 0.8, texture))
    views = one_view(scene, (0, -3, 1), (0, 0, 0))
    rays, offset = world_rays(views), np.array([0, -3, 1]) - (0.1, 0, 0.3)
    a, half_b, c = (rays**2).sum(axis=-1), rays @ offset, offset @ offset - 0.8**2
    discriminant = half_b**2 - a * c
    hit = discriminant > 0
    np.testing.assert_array_equal(views.sky[0], ~hit)
    np.testing.assert_array_equal(views.object_ids[0], np.where(hit, scene.object_id("ball"), 0))
    np.testing.assert_allclose(views.depth[0][hit], ((-half_b - np.sqrt(discriminant * hit)) / a)[hit], rtol=1e-6)
    assert (views.depth[0][~hit] == 0).all()


def test_depth_of_a_turned_box_and_of_a_pillar() -> None:
    """A cylinder and a box have meshes of the same extent in trimesh."""
    trimesh = pytest.importorskip("trimesh")

    def solids(build: SceneBuilder, texture: Texture) -> None:
        build.box("box", (-1, -0.3, -0.2), (-0.2, 0.5, 0.7), texture, turn(33) @ turn(20, "x"))
        build.pillar("pillar", (0.6, 0, -0.4), 0.4, 0.9, texture)

    def meshes(build: SceneBuilder, texture: Texture) -> None:
        box = trimesh.creation.box((0.8, 0.8, 0.9))
        build.mesh("box", (-0.6, 0.1, 0.25), (box.vertices, box.faces), texture, turn(33) @ turn(20, "x"))
        pillar = trimesh.creation.cylinder(0.4, 0.9, sections=720)
        build.mesh("pillar", (0.6, 0, 0.05), (pillar.vertices, pillar.faces), texture)

    exact, faceted = (one_view(scene_of(add), (0.5, -3, 1.5), (0, 0, 0)) for add in (solids, meshes))
    same = exact.object_ids == faceted.object_ids
    assert same.mean() > 0.998
    assert len(np.unique(exact.object_ids)) == 3
    np.testing.assert_allclose(exact.depth[same], faceted.depth[same], rtol=2e-4)


def test_the_nearest_object_is_seen_and_named() -> None:
    def rows(build: SceneBuilder, texture: Texture) -> None:
        for index in range(5):
            build.ball(f"ball {index}", (0, 3.0 * index, 0), 0.5 + 1.2 * index, texture)

    scene = scene_of(rows)
    views = one_view(scene, (0, -3, 0), (0, 0, 0), (129, 129), pinhole((129, 129), 100))
    middle = scene.objects.index("ball 0")
    assert scene.objects[0] == "sky"
    assert views.object_ids[0, 64, 64] == middle
    assert views.depth[0, 64, 64] == pytest.approx(2.5, rel=1e-3)
    assert len(np.unique(views.object_ids)) == 6  # each ball shows around the one before it


def test_depth_agrees_between_views() -> None:
    """A point seen in one view has its own depth in another one, or hides behind something nearer."""
    scene = scene_of(still_life)
    extrinsics = camera_path(scene, "orbit", 3)
    first = render_views(scene, extrinsics[:1], pinhole(SIZE), SIZE, 1)
    points = unproject_depth(first.depth, first.cameras.intrinsics, extrinsics[:1])[~first.sky]
    pixels, depth = project_points(points[None], pinhole(SIZE)[None], extrinsics[2:])
    # One picture of one pixel for each point, with the point at the pixel's very centre.
    windows = np.tile(pinhole(SIZE), (len(points), 1, 1))
    windows[:, :2, 2] += 0.5 - pixels[0]
    others = render_views(scene, np.tile(extrinsics[2], (len(points), 1, 1)), windows, (1, 1), 1)
    ratio = others.depth[:, 0, 0] / depth[0]
    assert not others.sky.any()
    assert ratio.max() < 1 + 1e-4
    visible = ratio > 1 - 1e-4
    assert 0.8 < visible.mean() < 1
    same_object = others.object_ids[:, 0, 0] == first.object_ids[~first.sky]
    assert same_object[visible].all()


def test_a_point_unprojected_into_a_pixel_centre_has_its_depth() -> None:
    """Exactly, where the second camera is the first one seen through a shifted window: the same rays."""
    scene = scene_of(still_life)
    extrinsics = camera_path(scene, "orbit", 1)
    wide = render_views(scene, extrinsics, pinhole((60, 80)), (60, 80), 1)
    shifted = pinhole((60, 80)) - np.array([[0, 0, 16], [0, 0, 12], [0, 0, 0]])
    part = render_views(scene, extrinsics, shifted, (30, 40), 1)
    np.testing.assert_allclose(part.depth[0], wide.depth[0, 12:42, 16:56], rtol=1e-6)


# Colour


def test_a_point_has_one_colour_in_all_views() -> None:
    scene = scene_of(still_life, SPOTTED)
    size = (180, 240)
    extrinsics = camera_path(scene, "orbit", 6)[2:4]
    views = render_views(scene, extrinsics, pinhole(size), size)
    points = unproject_depth(views.depth[:1], views.cameras.intrinsics[:1], extrinsics[:1])
    pixels, depth = project_points(points, views.cameras.intrinsics[1:], extrinsics[1:])
    x, y = np.floor(pixels[0]).astype(int).transpose(2, 0, 1)
    inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0]) & ~views.sky[0]
    there = views.depth[1][y[inside], x[inside]]
    visible = abs(depth[0][inside] / np.maximum(there, 1e-6) - 1) < 0.005
    first = views.images[0][inside][visible].astype(float)
    second = views.images[1][y[inside], x[inside]][visible].astype(float)
    difference = abs(first - second).mean()
    shuffled = abs(first - numpy_random(0).permutation(second)).mean()
    assert visible.sum() > 10_000
    assert difference < 8
    assert difference < shuffled / 4


def test_a_uniform_wall_out_of_the_sun_has_no_texture() -> None:
    def wall(build: SceneBuilder, texture: Texture) -> None:
        build.box("wall", (-20, 0, -20), (20, 0.1, 20), texture)

    pixels = one_view(scene_of(wall), (0, -2, 0), (0, 0, 0)).images[0].astype(int)
    assert np.ptp(pixels, axis=(0, 1)).max() <= 6


def test_light_and_shadow() -> None:
    """What the sun reaches is brighter than what it does not, and that is not black."""

    def roofed(build: SceneBuilder, texture: Texture) -> None:
        build.box("floor", (-6, -6, -0.1), (6, 6, 0), texture)
        build.box("roof", (-1.0, -1.0, 2.0), (1.0, 1.0, 2.1), texture)

    views = one_view(scene_of(roofed), (0.01, 0, 1.5), (0, 0, 0), (96, 96), pinhole((96, 96), 130))
    gray = views.images[0].mean(axis=-1)
    # The sun stands in direction (0.4, -0.6, 0.9), so the shadow of the roof is displaced by -2.1 / 0.9 of that.
    middle_of_shadow, sunlit = np.array([[-0.9, 1.35, 0]]), np.array([[0.9, -1.35, 0]])
    values = []
    for point in (middle_of_shadow, sunlit):
        pixels, _ = project_points(point[None], views.cameras.intrinsics, views.cameras.world_to_camera)
        column, row = pixels[0, 0].astype(int)
        values.append(gray[row, column])
    assert 20 < values[0] < 0.75 * values[1]


def test_exposure_scales_linear_light() -> None:
    scene = scene_of(still_life)
    extrinsics = np.repeat(camera_path(scene, "orbit", 1), 2, axis=0)
    views = render_views(scene, extrinsics, pinhole(SIZE), SIZE, exposure=[1.0, 0.5])
    linear = np.where(views.images > 10.3, ((views.images / 255 + 0.055) / 1.055) ** 2.4, views.images / 255 / 12.92)
    usable = (views.images[0] > 60) & (views.images[0] < 250)
    np.testing.assert_allclose(linear[1][usable] / linear[0][usable], 0.5, atol=0.02)
    np.testing.assert_array_equal(views.depth[0], views.depth[1])


def test_antialiasing_averages_linear_light() -> None:
    """A chequer finer than the pixels becomes the mean of its two colours in linear light, not in sRGB."""
    chequer = Texture("tiles", ("#ffffff", "#000000"), 0.004)

    def wall(build: SceneBuilder, texture: Texture) -> None:
        build.add("wall", "rectangle", (9, 9), (0, 0, 0), texture, turn(90, "x"))

    build = SceneBuilder("test", 0)
    wall(build, chequer)
    light = Sky(zenith=(1, 1, 1), horizon=(1, 1, 1), ground=(1, 1, 1))
    dark = Lamp((0, 0, 1), 0.01, (0, 0, 0))
    scene = build.finish(dark, light, STAGE, light_spacing=1.0)
    extrinsics = look_at(np.array([[0.0, -5, 0]]), np.zeros((1, 3)))
    views = render_views(scene, extrinsics, pinhole(SIZE), SIZE, samples_per_pixel=64)
    assert views.images.mean() == pytest.approx(188, abs=4)  # 0.5 in linear light


# Same arguments, same bytes


def test_same_seed_same_bytes_with_any_number_of_threads() -> None:
    pictures = []
    for threads in (1, 2, 2):
        scene = scene_of(still_life, SPOTTED)  # a new one, so that its light is gathered again
        views = render_views(scene, camera_path(scene, "hand_held", 2, 5), pinhole(SIZE), SIZE, threads=threads)
        pictures.append(views.images.tobytes() + views.depth.tobytes() + views.object_ids.tobytes())
    assert pictures[0] == pictures[1] == pictures[2]


def test_a_view_does_not_depend_on_the_others() -> None:
    scene = scene_of(still_life, SPOTTED)
    extrinsics = camera_path(scene, "orbit", 3)
    together = render_views(scene, extrinsics, pinhole(SIZE), SIZE)
    alone = render_views(scene, extrinsics[2:], pinhole(SIZE), SIZE)
    np.testing.assert_array_equal(together.images[2:], alone.images)


def test_scenes_are_the_same_by_seed_and_differ_between_seeds() -> None:
    first, again, other = make_scene("table", 1), make_scene("table", 1), make_scene("table", 2)
    assert [shape.texture for shape in first.shapes] == [shape.texture for shape in again.shapes]
    assert all((a.shape_to_world == b.shape_to_world).all() for a, b in zip(first.shapes, again.shapes, strict=True))
    assert [shape.texture for shape in first.shapes] != [shape.texture for shape in other.shapes]
    assert first.stage == other.stage


# Moving things


def test_only_what_moves_changes_between_views() -> None:
    def rolling(build: SceneBuilder, texture: Texture) -> None:
        build.box("floor", (-5, -5, -0.1), (5, 5, 0), texture)
        build.ball("ball", (0, 0, 0.3), 0.3, texture)

    scene = scene_of(rolling, motion={"ball": (0.5, 0.0, 0.0)})
    ball = scene.object_id("ball")
    extrinsics = np.repeat(look_at(np.array([[0, -4, 1.5]]), np.array([[0, 0, 0.3]])), 2, axis=0)
    views = render_views(scene, extrinsics, pinhole(SIZE), SIZE, 1)
    covered = views.object_ids == ball
    columns = [np.nonzero(mask)[1].mean() for mask in covered]
    focal, distance = pinhole(SIZE)[0, 0], np.hypot(4, 1.2)
    assert columns[1] - columns[0] == pytest.approx(0.5 * focal / distance, abs=0.4)
    untouched = ~covered.any(axis=0)
    np.testing.assert_array_equal(views.depth[0][untouched], views.depth[1][untouched])
    still = render_views(scene, extrinsics, pinhole(SIZE), SIZE, 1, object_offsets={ball: np.zeros((2, 3))})
    np.testing.assert_array_equal(still.images[0], still.images[1])


# Paths


@pytest.mark.parametrize("kind", ["orbit", "forward", "hand_held"])
@pytest.mark.parametrize("name", SCENES)
def test_paths_overlap_and_stay_out_of_things(name: str, kind) -> None:
    scene = make_scene(name, 1)
    path = camera_path(scene, kind, 12, 1)
    rotation = path[:, :3, :3]
    np.testing.assert_allclose(rotation @ rotation.swapaxes(1, 2), np.broadcast_to(np.eye(3), (12, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)
    assert (rotation[:, 1, 2] < -0.7).all()  # y is down: upright photos
    between = np.degrees(np.arccos(np.clip((rotation[:-1, 2] * rotation[1:, 2]).sum(axis=1), -1, 1)))
    assert between.max() < 12
    if kind != "forward":
        assert between.min() > 2.5
        assert np.median(between) > 5
    centres = camera_centres(path)
    for shape in scene.shapes:
        if shape.kind == "box":
            local = (centres - shape.shape_to_world[:3, 3]) @ shape.shape_to_world[:3, :3]
            assert not (abs(local) < np.array(shape.size) + 0.1).all(axis=1).any(), scene.objects[shape.object_id]


def test_held_out_cameras_lie_halfway() -> None:
    scene = make_scene("moving_object")
    path, between = camera_path(scene, "orbit", 5), held_out_cameras(scene, "orbit", 5)
    assert between.shape == (4, 4, 4)
    middle = (camera_centres(path)[:-1] + camera_centres(path)[1:]) / 2
    steps = np.linalg.norm(np.diff(camera_centres(path), axis=0), axis=1)
    assert (np.linalg.norm(camera_centres(between) - middle, axis=1) < 0.1 * steps).all()
    twice = camera_path(scene, "hand_held", 9, 3)
    np.testing.assert_allclose(held_out_cameras(scene, "hand_held", 5, 3), twice[1::2], atol=1e-12)


# Meshes


@pytest.mark.parametrize(
    "mesh", [lathe([(0.0, 0), (0.2, 0.1), (0.0, 0.3)]), torus(0.3, 0.1), boulder(0.2, 1), knot(0.3, 0.1)]
)
def test_meshes_are_closed_with_the_outside_out(mesh) -> None:
    trimesh = pytest.importorskip("trimesh")
    vertices, faces = mesh
    solid = trimesh.Trimesh(vertices, faces)
    assert solid.is_watertight
    assert solid.volume > 0


# Bad input


def test_unknown_names_and_counts_are_refused() -> None:
    with pytest.raises(InputError, match="must be one of courtyard, table"):
        make_scene("castle")
    with pytest.raises(InputError, match="seed"):
        make_scene("table", -1)
    scene = make_scene("moving_object")
    with pytest.raises(InputError, match="orbit, forward, hand_held, not 'walk'"):
        camera_path(scene, "walk", 3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least one camera"):
        camera_path(scene, "orbit", 0)
    with pytest.raises(InputError, match="at least two"):
        held_out_cameras(scene, "orbit", 1)


def test_wrong_cameras_and_settings_are_refused() -> None:
    scene = scene_of(still_life)
    extrinsics = camera_path(scene, "orbit", 2)
    with pytest.raises(InputError, match="intrinsics"):
        render_views(scene, extrinsics, np.tile(pinhole(SIZE), (3, 1, 1)), SIZE)
    with pytest.raises(InputError, match="mirrored"):
        render_views(scene, extrinsics * np.array([[-1], [1], [1], [1]]), pinhole(SIZE), SIZE)
    with pytest.raises(InputError, match="exposure must be 2 positive"):
        render_views(scene, extrinsics, pinhole(SIZE), SIZE, exposure=[1.0])
    with pytest.raises(InputError, match="exposure must be 2 positive"):
        render_views(scene, extrinsics, pinhole(SIZE), SIZE, exposure=[1.0, 0.0])
    with pytest.raises(InputError, match="samples_per_pixel"):
        render_views(scene, extrinsics, pinhole(SIZE), SIZE, 0)
    with pytest.raises(InputError, match="object_offsets"):
        render_views(scene, extrinsics, pinhole(SIZE), SIZE, object_offsets={1: np.zeros((3, 3))})
