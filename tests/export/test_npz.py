"""The npz files hold the documented keys exactly, and bad files are refused by name."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import trimesh

from recon.errors import InputError
from recon.export import EXPORTERS, check_options, export, read_npz
from recon.messages import ReconWarning
from recon.types import MadeBy


@pytest.fixture
def full_file(make_prediction, tmp_path):
    export(make_prediction(sky="upper", gaussians=True, layers=(3,)), "npz", tmp_path)
    return tmp_path / "exports/npz/results.npz"


def load(path):
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_mini_keys_and_values(make_prediction, tmp_path):
    prediction = make_prediction(sky="upper")
    export(prediction, "mini_npz", tmp_path)
    arrays = load(tmp_path / "exports/mini_npz/results.npz")
    assert set(arrays) == {"depth", "conf", "exts", "ixts", "extrinsics", "intrinsics", "units"}
    assert str(arrays["units"]) == "aligned"
    expected = {"depth": "depth", "conf": "conf", "exts": "extrinsics", "extrinsics": "extrinsics"}
    for key, field in (expected | {"ixts": "intrinsics", "intrinsics": "intrinsics"}).items():
        np.testing.assert_array_equal(arrays[key], getattr(prediction, field))
        assert arrays[key].dtype == np.float32


def test_keys_without_a_value_are_left_out(make_prediction, tmp_path):
    export(make_prediction(with_conf=False, cameras=False), "mini_npz", tmp_path)
    assert set(load(tmp_path / "exports/mini_npz/results.npz")) == {"depth", "units"}


def test_compression_is_as_tight_as_numpys(full_file):
    arrays = load(full_file)
    np.savez_compressed(full_file.with_name("numpy.npz"), **arrays)
    assert full_file.stat().st_size <= full_file.with_name("numpy.npz").stat().st_size


def test_a_mini_file_says_what_is_missing(make_prediction, tmp_path):
    export(make_prediction(), "mini_npz", tmp_path)
    with pytest.raises(InputError, match=r"results\.npz: has no array 'image'; a mini_npz file holds no images"):
        read_npz(tmp_path / "exports/mini_npz/results.npz")


def test_a_file_of_the_reference_loads(make_prediction, tmp_path):
    prediction = make_prediction()
    path = tmp_path / "reference.npz"
    np.savez_compressed(
        path,
        image=prediction.processed_images,
        depth=np.round(prediction.depth, 6),
        conf=np.round(prediction.conf, 2),
        extrinsics=prediction.extrinsics,
        intrinsics=prediction.intrinsics,
    )
    with pytest.warns(ReconWarning, match=r"reference\.npz names no units: taken as relative"):
        again = read_npz(path)
    assert again.units == "relative"
    np.testing.assert_allclose(again.depth, prediction.depth, atol=1e-6)


def test_masks_and_maker_come_back(make_prediction, tmp_path):
    filled, mask = np.zeros((3, 28, 42), bool), np.ones((3, 28, 42), bool)
    filled[0, 3], mask[1, 4] = True, False
    prediction = make_prediction(filled=filled, mask=mask, made_by=MadeBy("stereo", "mvs"))
    export(prediction, "npz", tmp_path)
    again = read_npz(tmp_path / "exports/npz/results.npz")
    assert again.made_by == MadeBy("stereo", "mvs")
    np.testing.assert_array_equal(again.filled, filled)
    np.testing.assert_array_equal(again.mask, mask)
    np.testing.assert_array_equal(again.valid, prediction.valid)


def test_files_that_are_not_results(full_file, tmp_path):
    missing, text, array = tmp_path / "missing.npz", tmp_path / "text.npz", tmp_path / "array.npz"
    empty, cut, damaged = tmp_path / "empty.npz", tmp_path / "cut.npz", tmp_path / "damaged.npz"
    text.write_text("not an archive")
    empty.write_bytes(b"")
    with array.open("wb") as file:
        np.save(file, np.zeros(3))
    whole = full_file.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    damaged.write_bytes(whole[:2000] + bytes(255 - b for b in whole[2000:2100]) + whole[2100:])
    for path, message in (
        (missing, "no such file"),
        (tmp_path, "Is a directory"),
        (text, "not an npz file"),
        (empty, "not an npz file"),
        (array, "not an npz file"),
        (cut, "not an npz file, or cut short"),
        (damaged, "damaged npz file"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read_npz(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("depth", None, "has no array 'depth'"),
        ("image", None, "has no array 'image'"),
        ("gaussian_scales", None, "gaussian_scales"),
        ("depth", lambda a: a[0], "array 'depth' must have shape"),
        ("depth", lambda a: a.astype(np.int32), "'depth' must hold floating-point numbers, not int32"),
        ("conf", lambda a: a[:, :-1], "array 'conf' must have shape"),
        ("image", lambda a: a.astype(np.float32), "array 'image' must hold .*uint8"),
        ("sky", lambda a: a.astype(np.uint8), "array 'sky' must hold .*bool"),
        ("extrinsics", lambda a: a[:2], "array 'extrinsics' must have shape"),
        ("extrinsics", lambda a: a.astype(str), "'extrinsics' must hold floating-point numbers"),
        ("intrinsics", lambda a: a[:, :2], "array 'intrinsics' must have shape"),
        ("units", lambda a: np.array("feet"), "units must be one of"),
        ("units", lambda a: np.array(["metric", "metric"]), "array 'units' must have shape"),
        ("image_names", lambda a: a[:2], "array 'image_names' must have shape .* N = 3"),
        ("feat_layer_3", lambda a: a[:1], "array 'feat_layer_3' must have shape"),
        ("gaussian_means", lambda a: a[:3], "array 'gaussian_scales' must have shape"),
        ("scale_factor", lambda a: np.zeros(3), "array 'scale_factor' must have shape"),
        ("conf", lambda a: a.astype(object), "damaged npz file: Object arrays"),
    ],
)
def test_inconsistent_results_are_refused(key, change, message, full_file, tmp_path):
    arrays = load(full_file)
    value = arrays.pop(key)
    if change is not None:
        arrays[key] = change(value)
    path = tmp_path / "changed.npz"
    np.savez_compressed(path, **arrays)
    with pytest.raises(InputError, match=message) as caught:
        read_npz(path)
    assert str(path) in str(caught.value)


def test_keys_that_could_name_files_elsewhere_are_not_features(tmp_path):
    path = tmp_path / "hostile.npz"
    features = np.zeros((1, 2, 2, 4), np.float32)
    image = np.zeros((1, 28, 28, 3), np.uint8)
    depth = np.ones((1, 28, 28), np.float32)
    np.savez(
        path, depth=depth, image=image, units="relative", **{"feat_layer_../../out": features, "feat_layer_3": features}
    )
    assert set(read_npz(path).aux) == {"feat_layer_3"}


ABSURD = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, 1e17, 1e-45, 0.0, -1.0)
REAL_ARRAYS = (
    *("depth", "conf", "extrinsics", "intrinsics", "processed_to_original", "scale_factor", "feat_layer_3"),
    *(f"gaussian_{name}" for name in ("means", "scales", "rotations", "harmonics", "opacities")),
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["first", "middle", "all"])
@pytest.mark.parametrize("key", REAL_ARRAYS)
def test_an_absurd_number_anywhere_is_left_out_or_named(key, where, make_prediction, tmp_path):
    """Every format is written, or refused by a message: no traceback, and nothing but numbers in the files."""
    export(make_prediction(height=14, width=28, gaussians=True, layers=(3,)), "npz", tmp_path)
    arrays = load(tmp_path / "exports/npz/results.npz")
    outcomes, refusals = [], []
    for value in ABSURD:
        changed = arrays[key].copy()
        if where == "all":
            changed[...] = value
        else:
            changed.flat[0 if where == "first" else changed.size // 2] = value
        path = tmp_path / "changed.npz"
        np.savez(path, **{**arrays, key: changed})
        try:
            prediction = read_npz(path)
        except InputError as error:
            refusals.append(str(error))
            continue
        for name in ("npz", "glb", "ply", "depth_vis", "gs_ply"):
            try:
                export(prediction, name, tmp_path / "out")
                outcomes.append(True)
            except InputError:
                outcomes.append(False)
        for name, options in check_options().items():
            with contextlib.suppress(InputError):
                EXPORTERS[name].check(prediction, options)
        points = tmp_path / "out" / "points.ply"
        if points.exists():
            vertices = trimesh.load(points).vertices
            assert np.isfinite(vertices).all()
            points.unlink()
    assert all(f"array '{key}'" in refusal for refusal in refusals)
    assert any(outcomes) or key == "scale_factor" or where == "all"


@pytest.mark.parametrize("key", [*REAL_ARRAYS, "image", "sky", "units", "image_names", "original_sizes", "ref_view"])
@pytest.mark.parametrize("shape", ["scalar", "one more side", "empty"])
def test_an_array_of_another_shape_is_named(key, shape, full_file, tmp_path):
    arrays = load(full_file)
    value = arrays[key]
    changed = {"scalar": value.ravel()[0], "one more side": value[None], "empty": value.ravel()[:0]}[shape]
    if changed.shape == value.shape:
        return  # a scalar it has always been
    path = tmp_path / "changed.npz"
    np.savez(path, **{**arrays, key: changed})
    with pytest.raises(InputError, match=f"array '{key}' must have shape"):
        read_npz(path)


def test_a_depth_beyond_all_bounds_is_counted(make_prediction, tmp_path):
    depth = make_prediction().depth.copy()
    depth[0, 0, :3] = 3e38
    export(make_prediction(depth=depth), "npz", tmp_path)
    with pytest.warns(ReconWarning, match=r"3 pixels are deeper"):
        prediction = read_npz(tmp_path / "exports/npz/results.npz")
    assert prediction.valid.sum() == depth.size - 3
