"""What a user brings becomes photos with names, paths and masks; sub-folders and Unicode forms are no trouble."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.errors import InputError
from recon.geometry.sparse_points import SparsePoints
from recon.messages import ReconWarning
from recon.sources.calibrated import CalibratedSource
from recon.sources.cameras_file import read_cameras, write_cameras
from recon.sources.fitting import Views, combine, fit_photo
from recon.sources.loading import load_photos
from recon.sources.open_source import open_source
from recon.sources.photo import Photo
from recon.sources.source import Source
from recon.sources.views import read_views
from recon.types.cameras import Cameras
from tests.seeds import numpy_random


def save(path: Path, size: tuple[int, int] = (42, 28), value: int = 9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 0)).save(path)
    return path


class TestFolders:
    def test_sub_folders_give_relative_names_in_natural_order(self, tmp_path: Path) -> None:
        for name in ["cam10/1.png", "cam2/10.png", "cam2/9.png", "b.png", "cam2/deep er/x.png", ".hidden/y.png"]:
            save(tmp_path / name)
        (tmp_path / "cam2" / "notes.txt").write_text("passed over")
        source = open_source(tmp_path)
        expected = ("b.png", "cam2/9.png", "cam2/10.png", "cam2/deep er/x.png", "cam10/1.png")
        assert source.names == expected
        assert source.paths == tuple(tmp_path / name for name in expected)
        assert {tmp_path, tmp_path / "cam2", tmp_path / "cam10"} <= set(source.folders)
        assert [photo.name for photo in load_photos(tmp_path).photos] == list(expected)
        assert source.read(1).path == tmp_path / "cam2" / "9.png"

    def test_equal_names_in_two_folders_of_a_list_get_their_paths(self, tmp_path: Path) -> None:
        for part in ("left", "right"):
            save(tmp_path / part / "sub" / "0.png")
            save(tmp_path / part / f"{part}.png")
        source = open_source([tmp_path / "left", str(tmp_path / "right")])
        left, right = tmp_path / "left" / "sub" / "0.png", tmp_path / "right" / "sub" / "0.png"
        assert source.names == ("left.png", left.as_posix(), "right.png", right.as_posix())

    def test_masks_depth_and_results_of_runs_are_no_photos(self, tmp_path: Path) -> None:
        for name in ["a.png", "masks/a.png", "more/Depth/a.png", "more/b.png", "out/depth_vis/0000.png"]:
            save(tmp_path / name)
        (tmp_path / "out" / "run.json").write_text("{}")
        with pytest.warns(ReconWarning, match="masks, more/Depth"):
            assert open_source(tmp_path).names == ("a.png", "more/b.png")

    def test_a_scene_with_a_folder_of_images_is_pointed_into(self, tmp_path: Path) -> None:
        for name in ["images/a.png", "other/a.png"]:
            save(tmp_path / name)
        with pytest.raises(InputError, match=r"holds no images .* did you mean '.*images'"):
            open_source(tmp_path)

    def test_links_that_lead_back_up_end(self, tmp_path: Path) -> None:
        save(tmp_path / "a" / "1.png")
        (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
        assert open_source(tmp_path).names == ("a/1.png",)


class TestUnicode:
    NAMES = ("é/Ü 1.png", "naïve.png")

    @pytest.mark.parametrize("form", ["NFC", "NFD"])
    def test_names_are_composed_whatever_the_files_have(self, form: str, tmp_path: Path) -> None:
        for name in self.NAMES:
            save(tmp_path / unicodedata.normalize(form, name))
        assert set(open_source(tmp_path).names) == set(self.NAMES)
        assert open_source(tmp_path / unicodedata.normalize(form, "naïve.png")).names == ("naïve.png",)
        assert open_source(Photo(unicodedata.normalize(form, "ä"), np.zeros((20, 20, 3), np.uint8))).names == ("ä",)

    @pytest.mark.parametrize("suffix", [".json", ".npz"])
    @pytest.mark.parametrize("form", ["NFC", "NFD"])
    def test_cameras_are_found_in_either_form(self, form: str, suffix: str, tmp_path: Path) -> None:
        other = {"NFC": "NFD", "NFD": "NFC"}[form]
        stored = [unicodedata.normalize(form, name) for name in self.NAMES]
        wanted = [unicodedata.normalize(other, name) for name in self.NAMES][::-1]
        matrices = np.stack([np.eye(4), np.diag([1.0, -1, -1, 1])])
        path = tmp_path / f"cameras{suffix}"
        if suffix == ".npz":
            np.savez(path, extrinsics=matrices, image_names=np.array(stored))
        else:
            frames = [{"image": name, "world_to_camera": m.tolist()} for name, m in zip(stored, matrices, strict=True)]
            import json

            path.write_text(json.dumps({"frames": frames}), encoding="utf-8")
        np.testing.assert_array_equal(read_cameras(path, wanted).world_to_camera, matrices[::-1])

    def test_one_name_in_both_forms_is_two_pictures_of_one_name(self, tmp_path: Path) -> None:
        save(tmp_path / unicodedata.normalize("NFC", "é.png"))
        save(tmp_path / unicodedata.normalize("NFD", "é.png"), value=200)
        if len(list(tmp_path.iterdir())) < 2:
            pytest.skip("this file system takes both forms for one name")
        with pytest.raises(InputError, match="two images go by the name"):
            open_source(tmp_path)


class TestOpening:
    def test_an_open_source_is_taken_as_it_is(self, tmp_path: Path) -> None:
        source = open_source(save(tmp_path / "a.png"))
        assert open_source(source) is source
        assert isinstance(source, Source)
        assert (source.ordered, source.cameras, source.points, source.depths) == (False, None, None, None)

    def test_nothing_is_decoded_before_it_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
        source = open_source([tmp_path / "a.png", save(tmp_path / "b.png")])
        with pytest.raises(InputError, match=r"a\.png"):
            source.read(0)
        assert source.read(1).width == 42

    def test_masks_travel_along(self, tmp_path: Path) -> None:
        mask = np.zeros((28, 42), bool)
        mask[:, :21] = True
        photo = Photo("a", np.zeros((28, 42, 3), np.uint8), mask=mask)
        (loaded,) = load_photos([photo]).photos
        np.testing.assert_array_equal(loaded.mask, mask)
        with pytest.raises(InputError, match="mask of photo 'a' must be"):
            Photo("a", photo.pixels, mask=mask[1:])


def cameras(count: int, size: tuple[int, int], distortion: list[float] | None = None) -> Cameras:
    extrinsics = np.tile(np.eye(4), (count, 1, 1))
    extrinsics[:, 0, 3] = np.arange(count)
    matrix = np.array([[size[0], 0, size[0] / 2], [0, size[0], size[1] / 2], [0, 0, 1]], float)
    bend = None if distortion is None else np.tile(np.array(distortion, float), (count, 1))
    return Cameras(extrinsics, np.tile(matrix, (count, 1, 1)), np.tile([size], (count, 1)), bend)


class TestViews:
    SIZE = (126, 84)

    def photos(self, count: int = 3, mask: bool = False) -> list[Photo]:
        rng = numpy_random(0)
        width, height = self.SIZE
        part = np.arange(width) < width // 3
        return [
            Photo(
                str(index),
                rng.integers(0, 255, (height, width, 3), dtype=np.uint8),
                mask=np.tile(part, (height, 1)) if mask and index != 1 else None,
            )
            for index in range(count)
        ]

    def read(self, source: Source) -> Views:
        return read_views(source, lambda photo: fit_photo(photo, 84, "upper_bound_crop")).views

    def test_masks_follow_the_pixels(self) -> None:
        views = self.read(open_source(self.photos(mask=True)))
        assert views.masks is not None
        height, width = views.pixels.shape[1:3]
        centres = (np.arange(width) + 0.5) * views.processed_to_original[0, 0, 0] + views.processed_to_original[0, 0, 2]
        np.testing.assert_array_equal(views.masks[0], np.tile(centres < self.SIZE[0] // 3, (height, 1)))
        assert views.masks[1].all()
        assert self.read(open_source(self.photos())).masks is None

    def test_cameras_are_those_of_the_views(self) -> None:
        known = CalibratedSource(open_source(self.photos()), (2, 0), cameras(3, self.SIZE)[[2, 0]])
        assert known.names == ("2", "0")
        views = self.read(known)
        assert views.cameras.world_to_camera is not None
        assert views.cameras.intrinsics is not None
        assert views.cameras.world_to_camera[:, 0, 3].tolist() == [2, 0]
        point = np.array([0.2, -0.1, 1.0])
        original = cameras(1, self.SIZE).intrinsics[0] @ point  # type: ignore[index]
        processed = views.cameras.intrinsics[0] @ point
        np.testing.assert_allclose(views.processed_to_original[0] @ processed, original)

    def test_a_bent_lens_is_straightened_before_the_resize(self) -> None:
        bent = cameras(3, self.SIZE, [-0.3, 0.1, 0, 0, 0, 0, 0, 0])
        source = open_source(self.photos(mask=True))
        views = self.read(CalibratedSource(source, (0, 1, 2), bent))
        assert views.cameras.distortion is None
        np.testing.assert_array_equal(views.original_cameras.distortion, bent.distortion)
        straight = self.read(source)
        assert (views.pixels != straight.pixels).mean() > 0.3
        assert views.masks is not None
        assert straight.masks is not None
        assert 0 < (views.masks != straight.masks).mean() < 0.1

    def test_cameras_of_another_size_end_the_run_and_lose_no_photo(self) -> None:
        for bend in (None, [-0.3, 0.1, 0, 0, 0, 0, 0, 0]):
            wrong = cameras(3, (252, 168), bend)
            with pytest.raises(InputError, match=r"'0' are of an image of 252×168 .* upright image is 126×84"):
                self.read(CalibratedSource(open_source(self.photos()), (0, 1, 2), wrong))

    def test_a_window_is_part_of_everything(self) -> None:
        points = SparsePoints(np.eye(3), (np.array([0]), np.array([1]), np.array([0, 2])))
        views = self.read(
            CalibratedSource(open_source(self.photos(mask=True)), (0, 1, 2), cameras(3, self.SIZE), points)
        )
        window = views.window(slice(1, 3))
        assert window.names == ("1", "2")
        assert len(window) == len(window.original_cameras) == 2
        np.testing.assert_array_equal(window.pixels, views.pixels[1:])
        np.testing.assert_array_equal(window.cameras.intrinsics, views.cameras.intrinsics[1:])  # type: ignore[index]
        assert window.points is not None
        assert [seen.tolist() for seen in window.points.observed] == [[1], [0, 2]]
        assert window.masks is not None
        np.testing.assert_array_equal(window.masks, views.masks[1:])  # type: ignore[index]

    def test_photos_of_one_size_share_a_mask_of_that_size(self) -> None:
        fitted = [fit_photo(photo, 84) for photo in self.photos(mask=True)]
        assert combine(fitted).masks.shape == combine(fitted).pixels.shape[:3]  # type: ignore[union-attr]


def test_written_names_are_composed(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    write_cameras(path, [unicodedata.normalize("NFD", "é.png")], cameras(1, (42, 28)))
    assert '"\\u00e9.png"' in path.read_text()
