"""What decides an outcome makes another key; what does not, the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recon.choices import ExportChoices, InferenceOptions, SourceOptions, SplatOptimisation
from recon.choices.sources import WindowOptions
from recon.digests import digest, with_contents
from recon.options import options_of
from recon.run.decided_by import cameras_decided_by, depth_decided_by, photo_contents
from recon.run.given_cameras import GivenCameras
from recon.run.plan import Plan, plan_run
from recon.sources.open_source import open_source
from recon.sources.part import SourcePart
from tests.fake_network import fake_model, photos, save_photos, user_cameras

CHANGED: dict[str, Any] = {
    "align_to_input_ext_scale": False,
    "infer_gs": True,
    "use_ray_pose": True,
    "ref_view_strategy": "first",
    "process_res": 70,
    "process_res_method": "upper_bound_crop",
    "mixed_sizes": "error",
    "export_feat_layers": (1,),
    "strict": True,
    "convention": "c2w",
    "refine_cameras": True,
    "features": "aliked",
    "gps": "off",
    "seed": 1,
}
"""Another value of each option that changes the depth or the cameras."""


def plan(source: Any, cameras: GivenCameras = GivenCameras(), **options: Any) -> Plan:  # noqa: B008 (frozen)
    chosen = InferenceOptions(**options)
    return plan_run(fake_model("da3-giant").profile, source, cameras, chosen, None, "mini_npz", None)


def depth_key(planned: Plan, model: Any = "weights") -> str:
    return digest(depth_decided_by(planned, photo_contents(planned.source), None, fake_model("da3-giant"), model))


def test_every_option_counts_but_those_of_the_files() -> None:
    source = photos(2)
    first = depth_key(plan(source))
    of_files = {*options_of(ExportChoices), *options_of(SplatOptimisation)} - {"seed"}
    of_photos = set(options_of(SourceOptions)) - {"strict"}  # they decide which photos there are, and their content
    for name in (
        set(options_of(InferenceOptions))
        - of_files
        - of_photos
        - {*options_of(WindowOptions)}
        - {"depth_prior", "depth_prior_unit", "features_folder", "refine_intrinsics", "known_distance"}
    ):
        assert depth_key(plan(source, **{name: CHANGED[name]})) != first, name
    for name, value in {
        "num_max_points": 5,
        "feat_vis_fps": 3,
        "show_cameras": False,
        "gs_budget": 7,
        "gs_iterations": 9,
    }.items():
        assert depth_key(plan(source, **{name: value})) == first, name


def test_windows_count() -> None:
    source = SourcePart(open_source(photos(2)), range(2), in_order=True)
    options: list[dict[str, Any]] = [
        {},
        {"window": 5},
        {"window": 6},
        {"window": 5, "overlap": 3},
        {"keyframes": 2.0},
        {"loops": False},
    ]
    keys = [depth_key(plan(source, **one)) for one in options]
    assert len(set(keys)) == len(keys)


def test_cameras_and_weights_count(tmp_path: Path) -> None:
    source = photos(2)
    file = tmp_path / "cameras.npz"
    file.write_bytes(b"one")
    given = [
        GivenCameras(),
        GivenCameras(extrinsics=user_cameras(2)),
        GivenCameras(extrinsics=user_cameras(2) + 1e-9),
        GivenCameras(source=file),
    ]
    keys = [depth_key(plan(source, cameras)) for cameras in given]
    file.write_bytes(b"two")
    keys += [depth_key(plan(source, given[-1])), depth_key(plan(source), "other weights")]
    assert len(set(keys)) == len(keys)


class TestPhotos:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        save_photos(tmp_path / "photos", 3)
        return tmp_path / "photos"

    def key(self, source: Any, **options: Any) -> str:
        planned = plan(source, **options)
        return digest(cameras_decided_by(planned, photo_contents(planned.source)))

    def test_content_counts_and_dates_do_not(self, folder: Path) -> None:
        first = self.key(folder)
        path = folder / "1.png"
        stat, content = path.stat(), path.read_bytes()
        os.utime(path, (1, 1))
        assert self.key(folder) == first
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert path.stat().st_size == stat.st_size
        assert self.key(folder) != first

    def test_names_order_number_and_options_count(self, folder: Path) -> None:
        paths = sorted(folder.iterdir())
        keys = [self.key(paths), self.key(paths[::-1]), self.key(paths[:2]), self.key(paths, seed=1)]
        paths[0].rename(folder / "00.png")
        keys.append(self.key(folder))
        assert len(set(keys)) == len(keys)

    def test_one_that_cannot_be_read_has_a_key_too(self, folder: Path) -> None:
        first = self.key(folder)
        (folder / "1.png").unlink()
        (folder / "1.png").symlink_to("nowhere")
        assert self.key(folder) != first

    def test_pictures_in_memory_count_by_their_pixels(self) -> None:
        arrays = photos(2)
        again = [array.copy() for array in arrays]
        assert self.key(again) == self.key(arrays)
        again[1][5, 5, 1] ^= 1
        assert self.key(again) != self.key(arrays)
        pictures = [Image.fromarray(array) for array in arrays]
        first = self.key(pictures)
        assert self.key([Image.fromarray(array) for array in arrays]) == first
        pictures[0].putpixel((3, 3), (1, 2, 3))
        assert self.key(pictures) != first

    def test_chosen_ones_are_those_of_the_source(self, folder: Path) -> None:
        from recon.sources.calibrated import CalibratedSource
        from recon.types.cameras import Cameras

        source = open_source(folder)
        chosen = CalibratedSource(source, (2, 0), Cameras(np.tile(np.eye(4), (2, 1, 1))))
        assert [chosen.content(0), chosen.content(1)] == [source.content(2), source.content(0)]


def test_files_and_folders_among_options_count_by_content(tmp_path: Path) -> None:
    options = {"file": tmp_path / "a", "folder": tmp_path / "b", "number": 1}
    keys = [digest(with_contents(options))]
    (tmp_path / "a").write_text("1")
    keys.append(digest(with_contents(options)))
    (tmp_path / "b").mkdir()
    keys.append(digest(with_contents(options)))
    (tmp_path / "b" / "mask.png").write_text("1")
    keys.append(digest(with_contents(options)))
    keys.append(digest(with_contents({**options, "number": 2})))
    assert len(set(keys)) == len(keys)


def test_the_depth_images_of_a_prior_count(tmp_path: Path) -> None:
    source = photos(2)
    file = tmp_path / "0000.npy"
    np.save(file, np.ones((4, 5)))
    keys = {depth_key(plan(source, depth_prior=(str(tmp_path),), depth_prior_unit=unit)) for unit in (None, 1.0, 0.1)}
    np.save(file, np.full((4, 5), 2.0))
    keys.add(depth_key(plan(source, depth_prior=(str(tmp_path),))))
    assert len(keys) == 4
