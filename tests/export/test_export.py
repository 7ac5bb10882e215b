"""Laws every exporter keeps: names, options, purity, determinism, whole files."""

from __future__ import annotations

import itertools
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from recon.errors import InputError
from recon.export import EXPORTERS, check_options, export, parse_formats, read_npz
from recon.messages import ReconWarning

ALL = "-".join(EXPORTERS)
ALL_THAT_FORMATS_NEED = {"layers": (3, 11), "gaussians": True}
FILES = {
    "mini_npz": {"exports/mini_npz/results.npz"},
    "npz": {"exports/npz/results.npz"},
    "glb": {"scene.glb", "scene.jpg"},
    "ply": {"points.ply"},
    "mesh": {"mesh.ply"},
    "depth_vis": {f"depth_vis/{i:04d}.{suffix}" for i in range(3) for suffix in ("jpg", "png")},
    "feat_vis": {
        *(f"feat_vis/feat_layer_{k}/{i:06d}.jpg" for k in (3, 11) for i in range(3)),
        *(f"feat_vis/feat_layer_{k}.mp4" for k in (3, 11)),
    },
    "gs_ply": {"gs_ply/0000.ply"},
    "spz": {"gs_spz/0000.spz"},
    "gs_glb": {"gs_glb/0000.glb"},
    "gs_video": {"gs_video/0000_extend.mp4"},
    "colmap": {
        *(f"sparse/0/{name}.bin" for name in ("cameras", "images", "points3D", "rigs", "frames")),
        *(f"images/wand_{i}_äöü.jpg" for i in range(3)),
    },
    "trajectory": {"trajectory.json"},
    "html": {"view.html"},
    "nerfstudio": {"transforms.json", "points.ply", *(f"images/wand_{i}_äöü.jpg" for i in range(3))},
}
UNASKED = {"masks", "mesh.glb", "mesh.obj", "mesh.mtl", "mesh.png"}
"""What formats write with other options, or of other predictions."""
VARIANTS = {
    "everything": {"sky": "upper"},
    "no confidence": {"with_conf": False},
    "all sky": {"sky": "all"},
    "one view": {"views": 1, "ref_view": None},
    "odd sizes": {"height": 13, "width": 27},
    "one view without cameras": {"views": 1, "cameras": False, "with_conf": False},
    "bare": {"image_names": (), "original_sizes": None, "processed_to_original": None, "scale_factor": None},
}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def quiet_export(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReconWarning)
        return export(*args, **kwargs)


def test_formats_are_matched_whole_and_once():
    assert parse_formats("mini_npz-glb-mini_npz") == ("mini_npz", "glb")
    assert parse_formats("npz") == ("npz",)
    for text in ("npz glb", "npz,glb", "npz, glb"):
        with pytest.raises(InputError, match="joined with '-': npz-glb, not"):
            parse_formats(text)
    for text in ("", "gl", "mini", "glb-", "npz,gl"):
        with pytest.raises(InputError, match=r"unknown export format .*; known: mini_npz, npz, glb"):
            parse_formats(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"glb": {"max_points": 5}},
            r"'max_points' for export format 'glb'; did you mean 'num_max_points'",
        ),
        ({"npz": {"fps": 5}}, r"unknown option 'fps' for export format 'npz'; known: none"),
        ({"gib": {}}, r"unknown export format 'gib'"),
        ({"glb": {"num_max_points": "many"}}, r"glb\.num_max_points must be a whole number, got 'many'"),
        ({"glb": {"num_max_points": True}}, r"must be a whole number, got True"),
        ({"glb": {"show_cameras": 1}}, r"must be true or false, got 1"),
        ({"glb": {"num_max_points": 0}}, r"num_max_points must be at least 1, got 0"),
        ({"ply": {"conf_thresh_percentile": 101}}, r"conf_thresh_percentile must be 0 to 100, got 101"),
        ({"ply": {"conf_thresh": float("nan")}}, r"conf_thresh must be a number"),
        ({"ply": {"seed": -1}}, r"seed must be 0 to"),
        ({"glb": {"camera_size": 0.0}}, r"camera_size must be above 0"),
        ({"feat_vis": {"fps": 0}}, r"fps must be at least 1"),
    ],
)
def test_wrong_options_are_named(options, message, make_prediction, tmp_path):
    with pytest.raises(InputError, match=message):
        check_options(options)
    with pytest.raises(InputError, match=message):
        export(make_prediction(), "mini_npz", tmp_path, options)
    assert not contents(tmp_path)


def test_an_integer_is_a_good_float_option():
    assert check_options({"glb": {"conf_thresh_percentile": 10}})["glb"].conf_thresh_percentile == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_max_points", np.int64(5)),
        ("conf_thresh", np.float32(1.5)),
        ("conf_thresh_percentile", np.int32(10)),
        ("filter_black_bg", np.bool_(True)),
    ],
)
def test_numbers_of_numpy_are_numbers(name, value):
    chosen = getattr(check_options({"glb": {name: value}})["glb"], name)
    assert chosen == value
    assert type(chosen) in (bool, int, float)


@pytest.mark.parametrize(("name", "value"), [("num_max_points", np.float64(5)), ("num_max_points", np.bool_(True))])
def test_numbers_of_numpy_are_not_mixed_up(name, value):
    with pytest.raises(InputError, match=r"glb\.num_max_points must be a whole number"):
        check_options({"glb": {name: value}})


def test_every_check_runs_before_the_first_file(make_prediction, tmp_path):
    with pytest.raises(InputError, match="feat_vis needs export_feat_layers"):
        export(make_prediction(), "npz-feat_vis", tmp_path)
    assert not contents(tmp_path)


def test_paths_and_reports(make_prediction, tmp_path):
    written = quiet_export(make_prediction(**ALL_THAT_FORMATS_NEED), ALL, tmp_path)
    assert set(contents(tmp_path)) == set().union(*FILES.values())
    for name, exported in written.items():
        assert {p.relative_to(tmp_path).as_posix() for p in exported.files} == FILES[name]
        assert {file.partition("/")[0] for file in FILES[name]} == set(EXPORTERS[name].outputs) - UNASKED
        assert exported.seconds > 0
        json.dumps(exported.details, allow_nan=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_exporters_are_pure_in_any_order(variant, make_prediction, digest_of, tmp_path):
    prediction = make_prediction(**ALL_THAT_FORMATS_NEED, **VARIANTS[variant])
    before = digest_of(prediction)
    alone: dict[str, bytes] = {}
    for name in EXPORTERS:
        quiet_export(prediction, name, tmp_path / "alone" / name)
        assert digest_of(prediction) == before, name
        alone |= contents(tmp_path / "alone" / name)
    for i, order in enumerate((list(EXPORTERS), list(EXPORTERS)[::-1])):
        quiet_export(prediction, order, tmp_path / str(i))
        assert contents(tmp_path / str(i)) == alone
    assert digest_of(prediction) == before


@pytest.mark.parametrize("variant", VARIANTS)
def test_exporting_from_an_npz_gives_the_same_bytes(variant, make_prediction, digest_of, tmp_path):
    prediction = make_prediction(**ALL_THAT_FORMATS_NEED, **VARIANTS[variant])
    quiet_export(prediction, ALL, tmp_path / "direct")
    again = read_npz(tmp_path / "direct/exports/npz/results.npz")
    assert digest_of(again) == digest_of(prediction)
    quiet_export(again, ALL, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "direct")


@pytest.mark.parametrize("name", EXPORTERS)
def test_a_file_in_place_of_the_folder_is_named(name, make_prediction, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(InputError, match=r"cannot write .*taken"):
        export(make_prediction(**ALL_THAT_FORMATS_NEED), name, tmp_path / "taken")
    assert contents(tmp_path) == {"taken": b"mine"}


@pytest.mark.parametrize("name", EXPORTERS)
def test_a_full_disk_leaves_no_half_file(name, make_prediction, tmp_path):
    resource = pytest.importorskip("resource")
    prediction = make_prediction(views=1, height=140, width=140, layers=(3,), gaussians=True, ref_view=None)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))  # every write beyond 300 bytes of a file now fails
    try:
        with pytest.raises(InputError, match=f"cannot write {tmp_path}"):
            export(prediction, name, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not contents(tmp_path)


@pytest.mark.parametrize("name", EXPORTERS)
def test_an_interrupt_leaves_whole_files_only(name, make_prediction, tmp_path, monkeypatch):
    prediction = make_prediction(**ALL_THAT_FORMATS_NEED)
    quiet_export(prediction, name, tmp_path / "good")
    whole = contents(tmp_path / "good")
    for stop_at in range(len(whole)):
        calls = itertools.count()

        def interrupted(source, target, stop_at=stop_at, calls=calls, replace=os.replace):
            if next(calls) == stop_at:
                raise KeyboardInterrupt
            replace(source, target)

        folder = tmp_path / str(stop_at)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", interrupted)
            with pytest.raises(KeyboardInterrupt):
                quiet_export(prediction, name, folder)
        left = contents(folder)
        assert left.items() < whole.items()


def test_several_views_without_cameras_have_no_cloud(make_prediction, tmp_path):
    for name in ("glb", "ply"):
        with pytest.raises(InputError, match=f"{name} of 3 views needs cameras, .* no extrinsics"):
            export(make_prediction(cameras=False), name, tmp_path)
        with pytest.raises(InputError, match="has no intrinsics"):
            export(make_prediction(intrinsics=None), name, tmp_path)
        with pytest.raises(InputError, match="no pixel has a positive, finite depth"):
            export(make_prediction(depth=np.full((3, 28, 42), np.nan, np.float32)), name, tmp_path)
    assert not contents(tmp_path)
