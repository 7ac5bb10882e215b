"""Names and folders of unrelated photos, and reading them ahead."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.errors import InputError, MissingExtraError
from recon.estimate.unrelated import SinglePhoto
from recon.messages import ReconWarning, collect_warnings, warn
from recon.run.mono_photos import MonoPhoto, PhotoReader, folder_names, list_photos
from recon.sources.fitting import fit_photo
from recon.sources.photo import Photo
from recon.sources.photo_cameras import PhotoCameras


class TestFolderNames:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["a.jpg", "b.png"], ["a", "b"]),
            (["a.jpg", "a.png", "b.png"], ["a.jpg", "a.png", "b"]),
            (["a.jpg", "A.jpg"], ["0000-a.jpg", "0001-A.jpg"]),
            (["a.jpg", "b.jpg", "a.jpg"], ["0000-a.jpg", "b", "0002-a.jpg"]),
            (["run.json.jpg"], ["run.json.jpg"]),
            (["exports.jpg", "Depth_Vis.png", "a.jpg"], ["exports.jpg", "Depth_Vis.png", "a"]),
            (["scene.glb.jpg", "cache.png", "eval.json.png"], ["scene.glb.jpg", "cache.png", "eval.json.png"]),
            (["exports/npz.jpg", "a/npz.jpg"], ["0000-npz.jpg", "a/npz"]),
            (["a.jpg", "a.png", "a.jpg.png"], ["0000-a.jpg", "0001-a.png", "0002-a.jpg.png"]),
            (["/data/day/a.jpg", "0001"], ["a", "0001"]),
            (["x/a.jpg", "y/a.jpg", "y/a.png"], ["x/a", "y/a.jpg", "y/a.png"]),
            (["a.jpg", "a/b.jpg"], ["0000-a.jpg", "0001-b.jpg"]),
            (["../a.jpg", "x/../../b.jpg", ".."], ["a", "b", "photo"]),
        ],
    )
    def test_are_short_and_no_two_alike(self, names: list[str], expected: list[str]) -> None:
        assert folder_names(names) == expected


class TestListing:
    def test_folders_are_opened_up(self, tmp_path: Path) -> None:
        for name in ("x/img10.jpg", "x/img2.jpg", "y/img2.jpg"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            Image.new("RGB", (20, 20)).save(tmp_path / name)
        listed = list_photos([tmp_path / "x", tmp_path / "y" / "img2.jpg"])
        assert [photo.name for photo in listed] == [
            (tmp_path / "x" / "img2.jpg").as_posix(),
            "img10.jpg",
            (tmp_path / "y" / "img2.jpg").as_posix(),
        ]
        assert [photo.folder for photo in listed] == ["0000-img2.jpg", "img10", "0002-img2.jpg"]
        assert [photo.read(lambda read: read.name) for photo in listed] == [photo.name for photo in listed]

    def test_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no images given"):
            list_photos([])
        with pytest.raises(InputError, match="holds no images"):
            list_photos([tmp_path])


def photos(count: int) -> list[MonoPhoto]:
    return list_photos([Photo(f"{i}.jpg", np.zeros((28, 28, 3), np.uint8)) for i in range(count)])


def prepare(photo: Photo, index: int) -> SinglePhoto:
    return SinglePhoto(fit_photo(photo, 28), PhotoCameras(focal=30.0).of(photo, [photo.name], 0))


class TestReading:
    @pytest.mark.parametrize("size", [1, 2, 3, 10])
    def test_batches_are_in_order(self, size: int) -> None:
        batches = list(PhotoReader(photos(7), prepare, strict=False).batches(size))
        assert [index for batch in batches for index in batch] == list(range(7))
        assert all(single.photo.name == f"{index}.jpg" for batch in batches for index, single in batch.items())
        assert max(map(len, batches)) == min(size, 7)

    def test_only_a_few_are_read_ahead(self) -> None:
        read: list[int] = []

        def note(photo: Photo, index: int) -> SinglePhoto:
            read.append(index)
            return prepare(photo, index)

        batches = PhotoReader(photos(100), note, strict=False).batches(2)
        next(batches)
        time.sleep(0.05)
        assert max(read) < 2 + 4
        batches.close()
        time.sleep(0.05)
        assert max(read) < 2 + 4

    def test_while_the_network_works_on_the_batch_before(self) -> None:
        second = threading.Event()

        def note(photo: Photo, index: int) -> SinglePhoto:
            if index == 1:
                second.set()
            return prepare(photo, index)

        batches = PhotoReader(photos(3), note, strict=False).batches(1)
        next(batches)
        assert second.wait(timeout=10)

    def test_what_readers_warn_of_reaches_the_run(self) -> None:
        def doubt(photo: Photo, index: int) -> SinglePhoto:
            warn(f"{photo.name} looks odd")
            return prepare(photo, index)

        with collect_warnings() as messages, pytest.warns(ReconWarning, match="looks odd"):
            list(PhotoReader(photos(3), doubt, strict=False).batches(2))
        assert sorted(messages) == [f"{index}.jpg looks odd" for index in range(3)]

    def test_other_errors_are_not_swallowed(self) -> None:
        def fail(photo: Photo, index: int) -> SinglePhoto:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            list(PhotoReader(photos(3), fail, strict=False).batches(2))


def test_a_missing_package_ends_the_run(tmp_path: Path) -> None:
    """No fault of the photo, so that it is not left out as a bad one is."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (30, 20)).save(tmp_path / name)

    def prepare(photo: Photo, index: int) -> SinglePhoto:
        raise MissingExtraError("reading it", "pillow-heif", "heic")

    reader = PhotoReader(list_photos([tmp_path]), prepare, strict=False)
    with pytest.raises(MissingExtraError, match="heic"):
        list(reader.batches(1))


@pytest.mark.parametrize(
    ("factor", "said"), [(3.0, "divide them by 3"), (1 / 100, "normalised"), (0.25, "divide them by 0.25")]
)
def test_intrinsics_of_another_image_are_said(tmp_path: Path, factor: float, said: str) -> None:
    intrinsics = np.array([[90.0, 0, 50], [0, 90, 50], [0, 0, 1]]) * [[factor], [factor], [1]]
    np.savez(tmp_path / "cameras.npz", intrinsics=intrinsics[None])
    cameras = PhotoCameras(file=tmp_path / "cameras.npz")
    photo = Photo("a", np.zeros((100, 100, 3), np.uint8))
    if factor > 1:
        with pytest.raises(InputError, match=f"principal point .* outside .*{said}"):
            cameras.of(photo, ["a"], 0)
    else:
        with pytest.warns(ReconWarning, match=said):
            cameras.of(photo, ["a"], 0)
