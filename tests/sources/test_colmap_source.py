"""COLMAP models as sources: their photos are found, by name, and have their cameras, lenses and points."""

from __future__ import annotations

import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.choices import SourceOptions
from recon.errors import InputError
from recon.messages import ReconWarning
from recon.sources.kinds import kind_of
from recon.sources.open_source import open_source
from recon.sources.views import undistorted
from tests.sources.colmap_models import bent_camera, photo_of, write_scene

NAMES = ("a.png", "left/b.png", "left/c10.png", "left/c9.png")


@pytest.fixture
def cameras() -> list:
    """Four cameras: landscape, portrait, two of another size."""
    sizes = [(240, 160), (160, 240), (120, 90), (120, 90)]
    return [
        bent_camera(model, size)
        for model, size in zip(("OPENCV", "PINHOLE", "SIMPLE_RADIAL", "RADIAL"), sizes, strict=True)
    ]


@pytest.mark.parametrize("text", [True, False])
def test_photos_have_their_cameras_and_points(text: bool, cameras: list, tmp_path: Path) -> None:
    poses = write_scene(tmp_path, cameras, NAMES, text=text)
    source = open_source(tmp_path)
    assert kind_of(tmp_path).name == "colmap"
    assert source.names == ("a.png", "left/b.png", "left/c9.png", "left/c10.png")
    order = [0, 1, 3, 2]
    known = source.cameras
    assert known is not None
    np.testing.assert_allclose(known.world_to_camera, poses[order], atol=1e-9)
    assert known.sizes is not None
    assert known.sizes.tolist() == [[240, 160], [160, 240], [120, 90], [120, 90]]
    assert (known.origin, known.scale) == ("given", "given")
    assert source.points is not None
    assert (len(source.points), source.points.track_lengths.tolist()) == (12, [4] * 12)
    np.testing.assert_array_equal(source.read(3).pixels, photo_of(cameras[2]))
    pinhole = known.pinhole().intrinsics
    assert pinhole is not None
    for view, index in enumerate(order):  # a point in front of the camera is where COLMAP has it, once undistorted
        camera, ray = cameras[index], np.array([0.2, -0.1, 1.0])
        there = camera.cam_from_img(camera.img_from_cam(ray))
        np.testing.assert_allclose(there, ray[:2], atol=1e-6)
        projected = pinhole[view] @ ray
        size = known.sizes[view]
        assert (projected[:2] > 0).all()
        assert (projected[:2] < size).all()
        assert undistorted(source.read(view), known, view).pixels.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("model", ["", "sparse", "sparse/0", "colmap/sparse/0", "dense/sparse", "calibration"])
def test_a_model_is_found_in_the_folder_of_the_scene(model: str, cameras: list, tmp_path: Path) -> None:
    write_scene(tmp_path, cameras[:2], NAMES[:2], model=model or ".")
    assert open_source(tmp_path).names == NAMES[:2]
    if len(Path(model).parts) <= 2:
        assert open_source(tmp_path / model).names == NAMES[:2]
        assert open_source(tmp_path / model / "images.bin").names == NAMES[:2]


def test_of_several_models_the_largest_is_taken(cameras: list, tmp_path: Path) -> None:
    write_scene(tmp_path, cameras, NAMES, model="sparse/10")
    write_scene(tmp_path, cameras[:2], NAMES[:2], model="sparse/2")
    with pytest.warns(ReconWarning, match="2 COLMAP models.*largest is taken, '10'"):
        assert len(open_source(tmp_path).names) == 4
    for number, name in (("10", "one"), ("2", "two")):
        (tmp_path / "sparse" / number).rename(tmp_path / name)
    with pytest.raises(InputError, match=r"several COLMAP models: .*one, .*two; give one"):
        open_source(tmp_path)


def test_photos_may_lie_in_the_folder_itself(cameras: list, tmp_path: Path) -> None:
    write_scene(tmp_path, cameras[:2], ["a.png", "b.png"], model="model", images=".")
    assert open_source(tmp_path).names == ("a.png", "b.png")
    (tmp_path / "a.png").rename(tmp_path / "x.png")
    (tmp_path / "b.png").rename(tmp_path / "y.png")
    with pytest.raises(InputError, match=r"a\.png, b\.png.*input-kind photos"):
        open_source(tmp_path)
    assert open_source(tmp_path, SourceOptions(input_kind="photos")).cameras is None


class TestNames:
    def test_photos_and_cameras_without_each_other_are_named(self, cameras: list, tmp_path: Path) -> None:
        write_scene(tmp_path, cameras, NAMES)
        (tmp_path / "images" / "left" / "b.png").rename(tmp_path / "images" / "new.png")
        with pytest.warns(ReconWarning) as said:
            source = open_source(tmp_path)
        assert source.names == ("a.png", "left/c9.png", "left/c10.png")
        assert source.points is not None
        assert len(source.points.observed) == 3
        messages = [str(one.message) for one in said]
        assert any("1 of 4 photos have no camera" in message and "new.png" in message for message in messages)
        assert any("1 of 4 cameras" in message and "left/b.png" in message for message in messages)
        with pytest.raises(InputError, match=r"new\.png.*left/b\.png.*strict"):
            open_source(tmp_path, SourceOptions(strict=True))

    def test_case_and_sub_folders_are_bridged_and_said(self, cameras: list, tmp_path: Path) -> None:
        poses = write_scene(tmp_path, cameras[:3], ["A.png", "left/b.png", "c.png"])
        images = tmp_path / "images"
        (images / "A.png").rename(images / "a.PNG")
        (images / "left" / "b.png").rename(images / "b.png")
        with pytest.warns(ReconWarning) as said:
            source = open_source(tmp_path)
        assert source.cameras is not None
        np.testing.assert_allclose(source.cameras.world_to_camera, poses, atol=1e-9)
        messages = " ".join(str(one.message) for one in said)
        assert "'a.PNG' with 'A.png'" in messages
        assert "'b.png' with 'left/b.png'" in messages

    def test_what_may_be_several_is_nobodys(self, cameras: list, tmp_path: Path) -> None:
        write_scene(tmp_path, cameras[:3], ["left/a.png", "right/a.png", "b.png"])
        (tmp_path / "images" / "left" / "a.png").rename(tmp_path / "images" / "a.png")
        (tmp_path / "images" / "right" / "a.png").unlink()
        with pytest.warns(ReconWarning, match="a.png"):
            assert open_source(tmp_path).names == ("b.png",)

    @pytest.mark.parametrize("form", ["NFC", "NFD"])
    def test_unicode_forms_are_one(self, form: str, cameras: list, tmp_path: Path) -> None:
        name = unicodedata.normalize(form, "Ärger/é.png")
        write_scene(tmp_path, cameras[:1], [name])
        other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", name)
        (tmp_path / "images" / name).rename(tmp_path / "photo.png")
        (tmp_path / "images" / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photo.png").rename(tmp_path / "images" / other)
        assert open_source(tmp_path).names == ("Ärger/é.png",)

    def test_none_that_match(self, cameras: list, tmp_path: Path) -> None:
        write_scene(tmp_path, cameras[:2], NAMES[:2])
        (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "x.png")
        (tmp_path / "images" / "left" / "b.png").unlink()
        with pytest.raises(InputError, match=r"photos a\.png, left/b\.png, but none of them is in .*images.*--images"):
            open_source(tmp_path)
        with pytest.raises(InputError, match=r"none of the 1 photos \(x\.png\) has a camera.*called a\.png"):
            open_source(tmp_path, SourceOptions(images=tmp_path / "images"))
        with pytest.raises(InputError, match=r"images: .*nowhere' is no folder"):
            open_source(tmp_path, SourceOptions(images=tmp_path / "nowhere"))


@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
def test_photos_elsewhere_and_at_another_size(tmp_path: Path) -> None:
    """Folders such as images_2, beside those that the model was made of."""
    cameras = [bent_camera("OPENCV"), bent_camera("OPENCV_FISHEYE", (241, 161))]
    write_scene(tmp_path, cameras, ["a.png", "b.png"])
    for name, size in (("a.png", (120, 80)), ("b.png", (121, 81))):
        (tmp_path / "half").mkdir(exist_ok=True)
        Image.open(tmp_path / "images" / name).resize(size).save(tmp_path / "half" / name)
    with pytest.warns(ReconWarning):
        full = open_source(tmp_path).cameras
    with pytest.warns(ReconWarning, match=r"another size.*240×160 to 120×80 \(1\), 241×161 to 121×81 \(1\)"):
        source = open_source(tmp_path, SourceOptions(images=tmp_path / "half"))
    half = source.cameras
    assert full is not None
    assert half is not None
    assert half.sizes is not None
    assert half.sizes.tolist() == [[120, 80], [121, 81]]
    assert full.intrinsics is not None
    assert half.intrinsics is not None
    scales = np.array([[0.5, 0.5, 1], [121 / 241, 81 / 161, 1]])[..., None]
    np.testing.assert_allclose(half.intrinsics, full.intrinsics * scales, rtol=1e-5)
    np.testing.assert_array_equal(half.distortion, full.distortion)
    assert source.read(1).pixels.shape == (81, 121, 3)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_photos_lie_as_colmap_saw_them_whatever_exif_says(orientation: int, tmp_path: Path) -> None:
    camera = bent_camera("PINHOLE")
    write_scene(tmp_path, [camera], ["a.png"])
    path = tmp_path / "images" / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = photo_of(camera)
    Image.fromarray(pixels).save(path, exif=exif)
    with pytest.warns(ReconWarning, match="as their files store them"):
        source = open_source(tmp_path)
    np.testing.assert_array_equal(source.read(0).pixels, pixels)
    assert source.cameras is not None
    assert source.cameras.sizes is not None
    assert source.cameras.sizes.tolist() == [[240, 160]]


def test_rigs_place_the_cameras_of_their_frames(tmp_path: Path) -> None:
    import pycolmap

    scene = pycolmap.Reconstruction()
    for index in (1, 2):
        camera = bent_camera("PINHOLE")
        camera.camera_id = index
        scene.add_camera(camera)
    rig = pycolmap.Rig(rig_id=1)
    rig.add_ref_sensor(pycolmap.sensor_t(type=pycolmap.SensorType.CAMERA, id=1))
    right = pycolmap.Rigid3d(pycolmap.Rotation3d(np.array([0, 0, 0.1])), np.array([-0.3, 0, 0]))
    rig.add_sensor(pycolmap.sensor_t(type=pycolmap.SensorType.CAMERA, id=2), right)
    scene.add_rig(rig)
    rig_from_world = pycolmap.Rigid3d(pycolmap.Rotation3d(np.array([0.2, -0.1, 0.3])), np.array([1.0, 2, 3]))
    frame = pycolmap.Frame(frame_id=1, rig_id=1, rig_from_world=rig_from_world)
    names = {1: "left/0.png", 2: "right/0.png"}
    for index in names:
        sensor = pycolmap.sensor_t(type=pycolmap.SensorType.CAMERA, id=index)
        frame.add_data_id(pycolmap.data_t(sensor_id=sensor, id=index))
    scene.add_frame(frame)
    for index, name in names.items():
        scene.add_image(pycolmap.Image(name=name, camera_id=index, image_id=index, frame_id=1))
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(photo_of(bent_camera("PINHOLE"))).save(path)
    scene.register_frame(1)
    (tmp_path / "sparse").mkdir()
    scene.write_binary(tmp_path / "sparse")
    known = open_source(tmp_path).cameras
    assert known is not None
    assert known.world_to_camera is not None
    expected = [rig_from_world.matrix(), (right * rig_from_world).matrix()]
    np.testing.assert_allclose(known.world_to_camera[:, :3], expected, atol=1e-9)


class TestDamaged:
    def scene(self, folder: Path) -> Path:
        write_scene(folder, [bent_camera("PINHOLE"), bent_camera("PINHOLE")], NAMES[:2])
        return folder / "sparse" / "0"

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        model = self.scene(tmp_path)
        (model / "images.bin").unlink()
        with pytest.raises(InputError, match=r"sparse/0' lacks images\.bin"):
            open_source(tmp_path)

    @pytest.mark.parametrize("name", ["cameras", "images", "points3D", "frames", "rigs"])
    @pytest.mark.parametrize("keep", [0, 5, 30])
    def test_truncated_files(self, name: str, keep: int, tmp_path: Path) -> None:
        file = self.scene(tmp_path) / f"{name}.bin"
        file.write_bytes(file.read_bytes()[:keep])
        with pytest.raises(InputError, match=r"0.* COLMAP model") as raised:
            open_source(tmp_path)
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
    def test_counts_that_no_file_holds(self, name: str, tmp_path: Path) -> None:
        file = self.scene(tmp_path) / f"{name}.bin"
        file.write_bytes(struct.pack("<Q", 2**60) + file.read_bytes()[8:])
        with pytest.raises(InputError, match=r"0.* COLMAP model"):
            open_source(tmp_path)

    def test_poses_that_are_none(self, tmp_path: Path) -> None:
        file = self.scene(tmp_path) / "frames.bin"
        content = bytearray(file.read_bytes())
        struct.pack_into("<d", content, 8 + 8 + 4 * 8, np.nan)  # after the count and two numbers: the translation
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"pose of image 'a\.png' holds NaN"):
            open_source(tmp_path)

    def test_no_image_and_no_model(self, tmp_path: Path) -> None:
        write_scene(tmp_path, [], [])
        with pytest.raises(InputError, match="no registered image"):
            open_source(tmp_path / "sparse" / "0")
        (tmp_path / "nothing").mkdir()
        with pytest.raises(InputError, match=r"nothing' holds no COLMAP model"):
            open_source(tmp_path / "nothing", SourceOptions(input_kind="colmap"))

    def test_panoramas_are_refused_by_name(self, tmp_path: Path) -> None:
        import pycolmap

        camera = pycolmap.Camera(model="EQUIRECTANGULAR", width=64, height=32, params=[64, 32])
        with np.errstate(invalid="ignore"):
            write_scene(tmp_path, [camera], ["a.png"])
        with pytest.raises(InputError, match="EQUIRECTANGULAR see all around"):
            open_source(tmp_path)


def test_the_door_returns_its_extrinsics_and_its_points_lie_where_they_were_seen(shared_data: Path) -> None:
    import pycolmap

    source = open_source(shared_data / "door")
    model = pycolmap.Reconstruction(shared_data / "door" / "sparse" / "0")
    images = {image.name: image for image in model.images.values()}
    known = source.cameras
    assert known is not None
    assert known.world_to_camera is not None
    pinhole = known.pinhole().intrinsics
    assert pinhole is not None
    assert source.points is not None
    for view, name in enumerate(source.names):
        image = images[name]
        np.testing.assert_array_equal(known.world_to_camera[view, :3], image.cam_from_world().matrix())
        seen = {point.point3D_id: point.xy for point in image.get_observation_points2D()}
        where = np.array([seen[point] for point in sorted(seen)])
        rays = model.cameras[image.camera_id].cam_from_img(where)
        undistorted_pixels = rays * pinhole[view, [0, 1], [0, 1]] + pinhole[view, :2, 2]
        projected = source.points.in_camera(view, known.world_to_camera) @ pinhole[view].T
        apart = np.linalg.norm(projected[:, :2] / projected[:, 2:] - undistorted_pixels, axis=1)
        assert np.median(apart) < 1.5
