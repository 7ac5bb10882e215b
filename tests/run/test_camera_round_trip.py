"""A run's own result is a valid file of cameras for the raw photos: the next run sees what the first one saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import recon.sfm.structure_from_motion
from recon.choices import InferenceOptions
from recon.export.npz import read_npz
from recon.geometry.sparse_points import SparsePoints
from recon.messages import ReconWarning
from recon.run.pipeline import reconstruct
from recon.sfm.lenses import Lenses
from recon.sfm.structure_from_motion import SfmResult
from recon.sources.cameras_file import read_cameras, write_cameras
from recon.types import Prediction
from recon.types.cameras import Cameras
from tests.fake_network import fake_model, user_cameras
from tests.seeds import numpy_random

COUNT = 3
LENSES = {
    "pinhole": [0, 0, 0, 0, 0, 0, 0, 0],
    "radial": [-0.18, 0.06, 0, 0, 0, 0, 0, 0],
    "opencv": [-0.15, 0.04, 0.002, -0.003, 0.01, 0, 0, 0],
}
LANDSCAPE, PORTRAIT = (320, 242), (242, 320)
METHODS = ["upper_bound_resize", "upper_bound_crop", "lower_bound_resize", "lower_bound_crop"]


def save_photos(folder: Path, sizes: list[tuple[int, int]]) -> Path:
    """Smooth patterns, in a sub-folder each, some of them turned by EXIF."""
    for index, size in enumerate(sizes):
        (folder / f"part {index}").mkdir(parents=True)
        rng = numpy_random(index)
        small = Image.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8))
        picture, exif = small.resize(size, Image.Resampling.BICUBIC), Image.Exif()
        if index == 1:  # stored lying on its side
            picture, exif[0x0112] = picture.transpose(Image.Transpose.ROTATE_90), 6
        picture.save(folder / f"part {index}" / "photo é.png", exif=exif)
    return folder


def intrinsics_of(sizes: list[tuple[int, int]]) -> np.ndarray:
    return np.array([[[1.1 * max(s), 0, 0.52 * s[0]], [0, 1.12 * max(s), 0.49 * s[1]], [0, 0, 1]] for s in sizes])


@pytest.fixture
def sfm_finds(monkeypatch: pytest.MonkeyPatch):
    """Function that makes structure from motion find cameras with this lens."""

    def prepare(sizes: list[tuple[int, int]], distortion: list[float]) -> None:
        lenses = Lenses(intrinsics_of(sizes), np.tile(np.array(distortion, float), (COUNT, 1)), np.array(sizes))

        def fake(photos: Any, options: Any, progress: Any = None) -> SfmResult:
            return SfmResult(
                image_names=tuple(photo.name for photo in photos),
                registered=np.arange(COUNT),
                cameras=Cameras(user_cameras(COUNT), lenses.pinhole_intrinsics),
                lenses=lenses,
                sparse=SparsePoints(np.zeros((1, 3)), tuple(np.zeros(0, np.intp) for _ in range(COUNT))),
                reprojection_errors=np.full(COUNT, 0.5),
            )

        monkeypatch.setattr(recon.sfm.structure_from_motion, "structure_from_motion", fake)

    return prepare


def run(photos: Path, out: Path | None, cameras: str | Path, **options: Any) -> Prediction:
    chosen = InferenceOptions(process_res=154, **options)
    return reconstruct(
        fake_model(), photos, cameras=cameras, options=chosen, export_dir=out, export_format="npz-mini_npz"
    ).prediction


def assert_same(again: Prediction, first: Prediction) -> None:
    np.testing.assert_array_equal(again.processed_images, first.processed_images)
    np.testing.assert_allclose(again.intrinsics, first.intrinsics, rtol=1e-6)
    np.testing.assert_allclose(again.extrinsics, first.extrinsics, atol=1e-6)
    np.testing.assert_allclose(again.processed_to_original, first.processed_to_original)
    assert again.image_names == first.image_names


@pytest.mark.filterwarnings("ignore:the photos have mixed sizes")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("sizes", [[LANDSCAPE] * 3, [PORTRAIT] * 3, [LANDSCAPE, LANDSCAPE, PORTRAIT]])
def test_every_file_of_a_run_after_structure_from_motion(
    sizes: list[tuple[int, int]], lens: str, method: str, sfm_finds: Any, tmp_path: Path
) -> None:
    photos, out = save_photos(tmp_path / "photos", sizes), tmp_path / "out"
    sfm_finds(sizes, LENSES[lens])
    first = run(photos, out, "sfm", process_res_method=method)
    assert first.image_names == tuple(f"part {index}/photo é.png" for index in range(COUNT))

    stored = read_npz(out / "exports" / "npz" / "results.npz")
    originals = stored.original_cameras
    np.testing.assert_array_equal(originals.intrinsics, intrinsics_of(sizes))
    assert (originals.distortion is None) == (lens == "pinhole")
    assert (stored.extrinsics_origin, originals.origin, originals.scale) == ("sfm", "sfm", "given")
    write_cameras(tmp_path / "cameras.json", stored.image_names, originals)
    again = read_cameras(tmp_path / "cameras.json", stored.image_names)
    for part in ("world_to_camera", "intrinsics", "sizes", "distortion"):
        np.testing.assert_array_equal(getattr(again, part), getattr(originals, part))
    assert (again.origin, again.scale) == (originals.origin, originals.scale)

    for file in (
        out / "exports" / "npz" / "results.npz",
        out / "exports" / "mini_npz" / "results.npz",
        out / "run.json",
        tmp_path / "cameras.json",
    ):
        assert_same(run(photos, None, file, process_res_method=method), first)


def test_a_distorted_lens_changes_what_is_seen(sfm_finds: Any, tmp_path: Path) -> None:
    """The tests above could not fail if nothing were undistorted."""
    photos = save_photos(tmp_path / "photos", [LANDSCAPE] * 3)
    sfm_finds([LANDSCAPE] * 3, LENSES["radial"])
    bent = run(photos, None, "sfm")
    sfm_finds([LANDSCAPE] * 3, LENSES["pinhole"])
    straight = run(photos, None, "sfm")
    assert (bent.processed_images != straight.processed_images).mean() > 0.5
    assert abs(bent.intrinsics[0, 0, 0] / straight.intrinsics[0, 0, 0] - 1) > 0.01


def test_predicted_cameras_come_back_as_given(tmp_path: Path) -> None:
    photos = save_photos(tmp_path / "photos", [LANDSCAPE] * 3)
    options = InferenceOptions(process_res=154)
    first = reconstruct(
        fake_model(), photos, options=options, export_dir=tmp_path / "out", export_format="npz"
    ).prediction
    assert first.original_cameras.origin == "predicted"
    assert_same(run(photos, None, tmp_path / "out" / "exports" / "npz" / "results.npz"), first)
    assert_same(run(photos, None, tmp_path / "out" / "run.json"), first)


def test_files_without_lens_or_record_still_load(sfm_finds: Any, tmp_path: Path) -> None:
    """Results of before lenses were stored hold the map back to the originals only."""
    photos, out = save_photos(tmp_path / "photos", [LANDSCAPE] * 3), tmp_path / "out"
    sfm_finds([LANDSCAPE] * 3, LENSES["pinhole"])
    first = run(photos, out, "sfm")
    with np.load(out / "exports" / "npz" / "results.npz") as arrays:
        new = ("original_intrinsics", "distortion", "extrinsics_origin", "intrinsics_origin")
        old = {name: arrays[name] for name in arrays.files if name not in new}
    np.savez(tmp_path / "old.npz", **old)
    assert_same(run(photos, None, tmp_path / "old.npz"), first)
    assert read_npz(tmp_path / "old.npz").lenses is None


def test_a_photo_that_cannot_be_read_needs_no_camera(sfm_finds: Any, tmp_path: Path) -> None:
    photos = save_photos(tmp_path / "photos", [LANDSCAPE] * 3)
    sfm_finds([LANDSCAPE] * 3, LENSES["radial"])
    first = run(photos, tmp_path / "out", "sfm")
    (photos / "part 1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    with pytest.warns(ReconWarning, match=r"left out: .*broken\.png"):
        again = run(photos, None, tmp_path / "out" / "exports" / "npz" / "results.npz")
    assert_same(again, first)


def test_the_origin_of_cameras_is_recorded(sfm_finds: Any, tmp_path: Path) -> None:
    photos = save_photos(tmp_path / "photos", [LANDSCAPE] * 3)
    sfm_finds([LANDSCAPE] * 3, LENSES["radial"])
    assert run(photos, tmp_path / "a", "sfm").extrinsics_origin == "sfm"
    assert run(photos, tmp_path / "b", tmp_path / "a" / "run.json").extrinsics_origin == "given"
    only_intrinsics = replace(read_npz(tmp_path / "a" / "exports" / "npz" / "results.npz").original_cameras)
    only_intrinsics = replace(only_intrinsics, world_to_camera=None)
    write_cameras(tmp_path / "lens.json", [f"part {i}/photo é.png" for i in range(COUNT)], only_intrinsics)
    mixed = run(photos, None, tmp_path / "lens.json")
    assert mixed.extrinsics_origin == "predicted"
    assert mixed.lenses is not None
    assert mixed.lenses.origin == "given"
    assert mixed.lenses.distortion is not None
