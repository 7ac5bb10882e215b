"""SPZ files: what is read back is what was written, to the rounding that the format has."""

from __future__ import annotations

import gzip
import struct
import sys
import time
from dataclasses import fields, replace

import numpy as np
import pytest

from recon.errors import InputError, MissingExtraError
from recon.geometry.quaternions import to_matrix
from recon.messages import ReconWarning
from recon.splats.spz import read_spz, write_spz
from recon.types import Gaussians

from .random_gaussians import random_gaussians

COUNT = 5000


@pytest.fixture
def gsply():
    return pytest.importorskip("gsply")


def within_bounds(degree: int, count: int = COUNT) -> Gaussians:
    gaussians = random_gaussians(count, degree)
    return replace(gaussians, harmonics=gaussians.harmonics.clip(-0.99, 0.99))


@pytest.mark.parametrize("degree", range(4))
def test_round_trip(degree, gsply, tmp_path):
    gaussians = within_bounds(degree)
    write_spz(tmp_path / "new" / "splats.spz", gaussians)
    read = read_spz(tmp_path / "new" / "splats.spz")
    assert {getattr(read, f.name).dtype for f in fields(read)} == {np.dtype(np.float32)}
    largest = np.abs(gaussians.means).max()
    np.testing.assert_allclose(read.means, gaussians.means, atol=2**-23 * largest)
    np.testing.assert_allclose(np.log(read.scales), np.log(gaussians.scales), atol=1 / 32 + 1e-6)
    np.testing.assert_allclose(read.opacities, gaussians.opacities, atol=0.5 / 255 + 2e-6)
    np.testing.assert_allclose(read.harmonics[..., :1], gaussians.harmonics[..., :1], atol=0.5 / (0.15 * 255) + 1e-6)
    np.testing.assert_allclose(read.harmonics[..., 1:], gaussians.harmonics[..., 1:], atol=0.5 / 128 + 1e-6)
    turned = to_matrix(read.rotations).swapaxes(1, 2) @ to_matrix(gaussians.rotations)
    angles = np.rad2deg(np.arccos(((turned.trace(axis1=1, axis2=2) - 1) / 2).clip(-1, 1)))
    assert angles.max() < 0.3


def test_positions_are_stored_in_the_axes_of_the_world(gsply, tmp_path):
    gaussians = replace(random_gaussians(3, 0), means=np.array([[1, 0, 0], [0, 2, 0], [0, 0, 4]], np.float32))
    write_spz(tmp_path / "splats.spz", gaussians)
    payload = gzip.decompress((tmp_path / "splats.spz").read_bytes())
    magic, version, count, degree, fraction_bits = struct.unpack("<4sIIBB", payload[:14])
    assert (magic, version, count, degree) == (b"NGSP", 3, 3, 0)
    stored = np.frombuffer(payload, np.uint8, 27, 16).reshape(3, 3, 3).astype(np.int64) @ [1, 2**8, 2**16]
    np.testing.assert_array_equal(stored / 2**fraction_bits, gaussians.means)


@pytest.mark.parametrize("size", [1e-3, 1, 1e3, 4e6])
def test_positions_keep_their_precision_at_any_size(size, gsply, tmp_path):
    gaussians = within_bounds(0)
    means = gaussians.means / np.abs(gaussians.means).max() * np.float32(size)
    write_spz(tmp_path / "splats.spz", replace(gaussians, means=means))
    # 24 fraction bits are the most that readers take: their step is the floor for very small scenes.
    np.testing.assert_allclose(read_spz(tmp_path / "splats.spz").means, means, atol=max(size * 2**-22, 2**-25))


def test_positions_out_of_reach_are_refused(gsply, tmp_path):
    gaussians = replace(random_gaussians(3, 0), means=np.full((3, 3), 5e6, np.float32))
    with pytest.raises(InputError, match=r"spz holds positions up to 4194303 units .* and these reach 5e\+06"):
        write_spz(tmp_path / "splats.spz", gaussians)
    assert not list(tmp_path.iterdir())


def test_scales_out_of_reach_are_warned_of(gsply, tmp_path):
    gaussians = random_gaussians(6, 0)
    scales = np.full((6, 3), 0.1, np.float32)
    scales[0] = [0.1, 0.1, 0]  # flat, which looks the same at the smallest scale
    scales[1] = 1e-6
    scales[2] = [0.1, 0.1, 1000]
    with pytest.warns(ReconWarning, match="^2 of 6 Gaussians are smaller than 4.5e-05 or larger than 379 units"):
        write_spz(tmp_path / "splats.spz", replace(gaussians, scales=scales))
    read = read_spz(tmp_path / "splats.spz").scales
    np.testing.assert_allclose([read[0, 2], read[1, 0], read[2, 2]], np.exp([-10, -10, 5.9375]), rtol=1e-5)


@pytest.mark.parametrize(("asked", "written"), [(0, 0), (1, 1), (3, 2), (None, 2)])
def test_degree_is_lowered_and_never_raised(asked, written, gsply, tmp_path):
    write_spz(tmp_path / "splats.spz", within_bounds(2), asked)
    assert read_spz(tmp_path / "splats.spz").sh_degree == written


@pytest.mark.parametrize("count", [5, 200_000])
def test_the_same_gaussians_give_the_same_bytes_at_any_time(count, gsply, tmp_path, monkeypatch):
    gaussians = within_bounds(0, count)  # small and large files are compressed in two ways
    write_spz(tmp_path / "a", gaussians)
    monkeypatch.setattr(time, "time", lambda: 1e9)
    write_spz(tmp_path / "b", gaussians)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_gaussians_are_a_valid_file(gsply, tmp_path):
    write_spz(tmp_path / "empty.spz", random_gaussians(0, 1))
    assert len(read_spz(tmp_path / "empty.spz")) == 0


def test_version_4_is_read(gsply, tmp_path):
    pytest.importorskip("zstandard")
    gaussians = within_bounds(1)
    write_spz(tmp_path / "3.spz", gaussians)
    gsply.write_spz(tmp_path / "4.spz", gsply.read_spz(tmp_path / "3.spz"), version=4, fractional_bits=18)
    np.testing.assert_allclose(read_spz(tmp_path / "4.spz").means, gaussians.means, atol=2**-18)
    whole = (tmp_path / "4.spz").read_bytes()
    (tmp_path / "damaged.spz").write_bytes(whole[:150] + bytes(50) + whole[200:])
    with pytest.raises(InputError, match="not an SPZ file that can be read"):
        read_spz(tmp_path / "damaged.spz")


@pytest.mark.parametrize("field", [f.name for f in fields(Gaussians)])
def test_values_that_are_not_finite_are_named(field, gsply, tmp_path):
    gaussians = random_gaussians(20, 1)
    getattr(gaussians, field)[3] = np.nan
    with pytest.raises(InputError, match=f"^{field} of 1 of 20 Gaussians are NaN or infinite$"):
        write_spz(tmp_path / "splats.spz", gaussians)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"ply\n", gzip.compress(b"of something else altogether", mtime=0)])
def test_what_is_no_spz_is_refused(content, gsply, tmp_path):
    path = tmp_path / "splats.spz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not an SPZ file that can be read") as raised:
        read_spz(path)
    assert str(path) in str(raised.value)


def test_missing_and_truncated_files(gsply, tmp_path):
    path = tmp_path / "splats.spz"
    with pytest.raises(InputError, match="cannot read"):
        read_spz(path)
    write_spz(path, within_bounds(0))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not an SPZ file that can be read"):
        read_spz(path)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gsply", None)
    message = r"the package 'gsply': pip install 'recon\[spz\]'"
    with pytest.raises(MissingExtraError, match=message):
        write_spz(tmp_path / "splats.spz", random_gaussians(3, 0))
    with pytest.raises(MissingExtraError, match=message):
        read_spz(tmp_path / "splats.spz")


def test_a_gaussian_that_is_not_finite_is_left_out_and_counted(gsply, tmp_path, monkeypatch):
    """The format's own numbers are finite; other readers of it may decode to ones that are not."""
    gaussians = within_bounds(1, 6)
    write_spz(tmp_path / "splats.spz", gaussians)
    data = gsply.read_spz(tmp_path / "splats.spz")
    means = data.means.copy()
    means[2] = np.inf
    data.means = means
    monkeypatch.setattr(gsply, "read_spz", lambda path: data)
    with pytest.warns(ReconWarning, match=r"splats\.spz: 1 of 6 Gaussians .*means of 1"):
        np.testing.assert_array_equal(read_spz(tmp_path / "splats.spz").means, means[[0, 1, 3, 4, 5]])
