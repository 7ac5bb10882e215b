"""Splat PLY files: what is written is what two other libraries read, and what anybody writes is what is read."""

from __future__ import annotations

import struct
from dataclasses import fields, replace

import numpy as np
import pytest

from recon.errors import InputError
from recon.messages import ReconWarning
from recon.splats.ply import read_ply, write_ply
from recon.types import Gaussians

from .random_gaussians import random_gaussians

COUNT = 5000
"""More than one chunk, and not a whole number of them."""


def changed(gaussians, field, index, value):
    array = getattr(gaussians, field).copy()
    array[index] = value
    return replace(gaussians, **{field: array})


def assert_same(read: Gaussians, written: Gaussians) -> None:
    """Equal but for the rounding of logits and logarithms."""
    for name in ("means", "harmonics"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    np.testing.assert_allclose(read.rotations, written.rotations, atol=2e-7)
    np.testing.assert_allclose(read.scales, written.scales, rtol=2e-6)
    np.testing.assert_allclose(read.opacities, written.opacities, atol=2e-7)
    assert {getattr(read, f.name).dtype for f in fields(read)} == {np.dtype(np.float32)}


def properties(gaussians: Gaussians) -> dict[str, np.ndarray]:
    """Every property by name, from the definition of the format, in float64."""
    opacity = gaussians.opacities.astype(np.float64)
    values = {axis: gaussians.means[:, i] for i, axis in enumerate("xyz")}
    values |= {f"f_dc_{channel}": gaussians.harmonics[:, channel, 0] for channel in range(3)}
    higher = gaussians.harmonics.shape[2] - 1
    for channel in range(3):
        for k in range(higher):
            values[f"f_rest_{channel * higher + k}"] = gaussians.harmonics[:, channel, 1 + k]
    with np.errstate(divide="ignore"):
        values["opacity"] = np.log(opacity) - np.log1p(-opacity)
    values |= {f"scale_{i}": np.log(gaussians.scales[:, i].astype(np.float64)) for i in range(3)}
    return values | {f"rot_{i}": gaussians.rotations[:, i] for i in range(4)}


def save(path, columns, order="<", kind="f4", before="", skip=b"", ending="\n"):
    """Write columns of equal length as the vertices of a binary PLY, after what other elements `before` hold."""
    types = {"f4": "float", "f8": "double", "u1": "uchar"}
    kinds = {name: "u1" if name == "red" else kind for name in columns}
    records = np.empty(len(next(iter(columns.values()))), [(n, order + k) for n, k in kinds.items()])
    for name, column in columns.items():
        records[name] = column
    lines = [
        "ply",
        f"format binary_{'little' if order == '<' else 'big'}_endian 1.0",
        "comment made by nobody",
        *before.splitlines(),
        f"element vertex {len(records)}",
        *(f"property {types[k]} {n}" for n, k in kinds.items()),
        "end_header",
    ]
    path.write_bytes("".join(line + ending for line in lines).encode() + skip + records.tobytes())
    return path


@pytest.mark.parametrize("degree", range(4))
def test_round_trip(degree, tmp_path):
    gaussians = random_gaussians(COUNT, degree)
    write_ply(tmp_path / "new" / "splats.ply", gaussians)
    assert_same(read_ply(tmp_path / "new" / "splats.ply"), gaussians)


@pytest.mark.parametrize("degree", range(4))
def test_plyfile_reads_what_the_format_defines(degree, tmp_path):
    plyfile = pytest.importorskip("plyfile")
    gaussians = random_gaussians(COUNT, degree)
    inside = replace(gaussians, opacities=gaussians.opacities.clip(0.01, 0.99))
    write_ply(tmp_path / "splats.ply", inside, comments=("units metric",))
    file = plyfile.PlyData.read(tmp_path / "splats.ply")
    assert (file.text, file.byte_order, file.comments) == (False, "<", ["units metric"])
    vertices = file["vertex"]
    expected = properties(inside)
    higher = [f"f_rest_{i}" for i in range(3 * (degree + 1) ** 2 - 3)]
    assert [p.name for p in vertices.properties] == [
        *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *higher, "opacity"),
        *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    ]
    for name, values in expected.items():
        assert vertices[name].dtype == np.float32
        np.testing.assert_allclose(vertices[name], values, rtol=1e-6, atol=1e-6, err_msg=name)
    for name in ("nx", "ny", "nz"):
        assert not vertices[name].any()


@pytest.mark.parametrize("degree", range(4))
def test_gsply_reads_equal_values(degree, tmp_path):
    gsply = pytest.importorskip("gsply")
    gaussians = random_gaussians(COUNT, degree)
    write_ply(tmp_path / "splats.ply", gaussians, comments=("units metric",))
    read = gsply.plyread(tmp_path / "splats.ply")
    np.testing.assert_array_equal(read.means, gaussians.means)
    np.testing.assert_array_equal(read.quats, gaussians.rotations)
    np.testing.assert_array_equal(read.sh0, gaussians.harmonics[:, :, 0])
    np.testing.assert_array_equal(read.shN, gaussians.harmonics[:, :, 1:].swapaxes(1, 2))
    np.testing.assert_allclose(np.exp(read.scales), gaussians.scales, rtol=2e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-read.opacities.ravel())), gaussians.opacities, atol=2e-7)
    assert np.isfinite(read.opacities).all()


def test_bounds_are_finite_in_the_file(tmp_path):
    plyfile = pytest.importorskip("plyfile")
    gaussians = changed(random_gaussians(4, 1), "opacities", slice(2), [0, 1])
    gaussians = changed(gaussians, "scales", 0, 0)
    write_ply(tmp_path / "splats.ply", gaussians)
    vertices = plyfile.PlyData.read(tmp_path / "splats.ply")["vertex"]
    for name in ("opacity", "scale_0", "scale_1", "scale_2"):
        assert np.isfinite(vertices[name]).all()
    assert vertices["opacity"][0] < -15
    assert vertices["opacity"][1] > 15
    read = read_ply(tmp_path / "splats.ply")
    np.testing.assert_allclose(read.opacities[:2], [0, 1], atol=1e-7)
    assert (read.scales[0] < 1e-37).all()


@pytest.mark.parametrize(("asked", "written"), [(0, 0), (1, 1), (2, 2), (3, 2), (None, 2)])
def test_degree_is_lowered_and_never_raised(asked, written, tmp_path):
    gaussians = random_gaussians(10, 2)
    write_ply(tmp_path / "splats.ply", gaussians, asked)
    read = read_ply(tmp_path / "splats.ply")
    assert read.sh_degree == written
    np.testing.assert_array_equal(read.harmonics, gaussians.harmonics[:, :, : (written + 1) ** 2])


def test_a_degree_that_no_file_knows(tmp_path):
    write_ply(tmp_path / "splats.ply", random_gaussians(10, 4))
    assert read_ply(tmp_path / "splats.ply").sh_degree == 3
    for degree in (-1, 4):
        with pytest.raises(InputError, match=f"sh_degree must be 0 to 3, got {degree}"):
            write_ply(tmp_path / "other.ply", random_gaussians(10, 2), degree)
    assert not (tmp_path / "other.ply").exists()


def test_scaling_the_scene_scales_the_file(tmp_path):
    gaussians = random_gaussians(100, 1)
    scaled = replace(gaussians, means=gaussians.means * 4, scales=gaussians.scales * 4)
    write_ply(tmp_path / "scaled.ply", scaled)
    read = read_ply(tmp_path / "scaled.ply")
    np.testing.assert_array_equal(read.means, 4 * gaussians.means)
    np.testing.assert_allclose(read.scales, 4 * gaussians.scales, rtol=2e-6)


def test_the_same_gaussians_give_the_same_bytes_and_stay_as_they_are(tmp_path):
    gaussians = random_gaussians(COUNT, 2)
    before = [getattr(gaussians, f.name).copy() for f in fields(gaussians)]
    for name in "ab":
        write_ply(tmp_path / name, gaussians)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    for f, copy in zip(fields(gaussians), before, strict=True):
        np.testing.assert_array_equal(getattr(gaussians, f.name), copy)
    strided = Gaussians(*(np.repeat(getattr(gaussians, f.name), 2, axis=0)[::2] for f in fields(gaussians)))
    write_ply(tmp_path / "c", replace(strided, means=strided.means.astype(np.float64)))
    assert (tmp_path / "c").read_bytes() == (tmp_path / "a").read_bytes()


def test_no_gaussians_are_a_valid_file(tmp_path):
    plyfile = pytest.importorskip("plyfile")
    write_ply(tmp_path / "empty.ply", random_gaussians(0, 2))
    assert len(plyfile.PlyData.read(tmp_path / "empty.ply")["vertex"]) == 0
    read = read_ply(tmp_path / "empty.ply")
    assert (len(read), read.sh_degree) == (0, 2)


@pytest.mark.parametrize("field", [f.name for f in fields(Gaussians)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(field, value, tmp_path):
    gaussians = changed(changed(random_gaussians(20, 1), field, 3, value), field, 7, value)
    with pytest.raises(InputError, match=f"^{field} of 2 of 20 Gaussians are NaN or infinite$"):
        write_ply(tmp_path / "splats.ply", gaussians)
    assert not list(tmp_path.iterdir())


def test_values_beyond_float32_are_refused(tmp_path):
    gaussians = random_gaussians(20, 1)
    means = gaussians.means.astype(np.float64)
    means[5, 1] = -1e300
    with pytest.raises(InputError, match=r"^means of 1 of 20 Gaussians are NaN or infinite$"):
        write_ply(tmp_path / "splats.ply", replace(gaussians, means=means))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("scales", -1.0, "scales of 1 of 20 .* not negative: standard deviations, not logarithms"),
        ("opacities", 1.5, "opacities of 1 of 20 .* 0 to 1, not logits"),
        ("opacities", -0.1, "opacities of 1 of 20 .* 0 to 1, not logits"),
    ],
)
def test_logarithms_and_logits_are_refused(field, value, message, tmp_path):
    with pytest.raises(InputError, match=message):
        write_ply(tmp_path / "splats.ply", changed(random_gaussians(20, 1), field, (4,), value))


def test_nothing_is_left_where_writing_fails(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        write_ply(tmp_path / "file" / "splats.ply", random_gaussians(3, 0))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("degree", range(4))
def test_any_order_of_properties_and_bytes_is_read(order, kind, degree, tmp_path):
    gaussians = random_gaussians(COUNT, degree)
    columns = properties(gaussians)
    names = sorted(columns, reverse=True)
    names.insert(len(names) // 2, "red")
    columns["red"] = np.arange(COUNT) % 256
    path = save(tmp_path / "splats.ply", {name: columns[name] for name in names}, order, kind)
    assert_same(read_ply(path), gaussians)


def test_other_elements_and_line_endings(tmp_path):
    gaussians = random_gaussians(COUNT, 0)
    before = "obj_info seen from the moon\n\nelement camera 2\nproperty int index\nproperty double focal"
    skip = struct.pack("<idid", 1, 2.0, 3, 4.0)
    path = save(tmp_path / "a.ply", properties(gaussians), before=before, skip=skip, ending="\r\n")
    path.write_bytes(path.read_bytes() + b"whatever follows")
    assert_same(read_ply(path), gaussians)


def test_quaternions_are_normalised(tmp_path):
    gaussians = random_gaussians(50, 0)
    columns = properties(gaussians)
    for i in range(4):
        columns[f"rot_{i}"] = columns[f"rot_{i}"] * np.linspace(1e-3, 1e3, 50)
    assert_same(read_ply(save(tmp_path / "a.ply", columns)), gaussians)
    columns |= {f"rot_{i}": np.zeros(50) for i in range(4)}
    np.testing.assert_array_equal(read_ply(save(tmp_path / "b.ply", columns)).rotations, [[1, 0, 0, 0]] * 50)


def test_infinite_logits_and_logarithms_are_the_bounds(tmp_path):
    columns = properties(random_gaussians(3, 0))
    columns["opacity"] = np.array([-np.inf, np.inf, 200])
    columns["scale_1"] = np.array([-np.inf, -1000, 0])
    read = read_ply(save(tmp_path / "splats.ply", columns))
    np.testing.assert_array_equal(read.opacities, [0, 1, 1])
    np.testing.assert_array_equal(read.scales[:, 1], [0, 0, 1])


BROKEN = [
    ("x", np.nan, "means of 1"),
    ("rot_2", np.nan, "rotations of 1"),
    ("opacity", np.nan, "opacities of 1"),
    ("scale_0", 1000, "scales of 1"),
    ("f_rest_3", np.inf, "harmonics of 1"),
    ("z", 1e300, "means of 1"),
]


@pytest.mark.parametrize(("name", "value", "blamed"), BROKEN)
def test_a_gaussian_that_means_nothing_is_left_out_and_counted(name, value, blamed, tmp_path):
    gaussians = random_gaussians(5, 1)
    columns = {key: np.array(column, np.float64) for key, column in properties(gaussians).items()}
    columns[name][2] = value
    path = save(tmp_path / "splats.ply", columns, kind="f8")
    with pytest.warns(ReconWarning, match=rf"splats.ply: 1 of 5 Gaussians .*\({blamed}\): left out"):
        read = read_ply(path)
    assert_same(read, Gaussians(*(getattr(gaussians, f.name)[[0, 1, 3, 4]] for f in fields(gaussians))))

    columns["y"][:] = np.nan
    with pytest.raises(InputError, match=r"splats.ply: 5 of 5 Gaussians are NaN or infinite"):
        read_ply(save(path, columns, kind="f8"))


def test_two_dimensional_gaussians_are_flat(tmp_path):
    """As 2DGS writes them: discs whose normal is the third local axis."""
    gaussians = random_gaussians(COUNT, 3)
    columns = properties(gaussians)
    del columns["scale_2"]
    with pytest.warns(ReconWarning, match="flat Gaussians .*thousandth"):
        read = read_ply(save(tmp_path / "splats.ply", columns))
    expected = gaussians.scales.copy()
    expected[:, 2] = expected[:, :2].min(axis=1) / 1000
    assert_same(read, replace(gaussians, scales=expected))


def test_harmonics_of_degree_4_are_lowered(tmp_path):
    gaussians = random_gaussians(20, 4)
    with pytest.warns(ReconWarning, match="spherical harmonics of degree 4"):
        read = read_ply(save(tmp_path / "splats.ply", properties(gaussians)))
    assert_same(read, replace(gaussians, harmonics=gaussians.harmonics[:, :, :16]))


def save_text(path, columns, before="", lines=(), ending="\n"):
    """As text, after the `lines` of other elements `before`."""
    header = [
        "ply",
        "format ascii 1.0",
        *before.splitlines(),
        f"element vertex {len(next(iter(columns.values())))}",
        *(f"property float {name}" for name in columns),
        "end_header",
    ]
    rows = [" ".join(f"{float(value):.9g}" for value in row) for row in zip(*columns.values(), strict=True)]
    path.write_bytes("".join(line + ending for line in (*header, *lines, *rows)).encode())
    return path


@pytest.mark.parametrize("degree", [0, 2])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_text_is_read(degree, ending, tmp_path):
    gaussians = random_gaussians(COUNT, degree)
    assert_same(read_ply(save_text(tmp_path / "a.ply", properties(gaussians), ending=ending)), gaussians)
    before = "element face 2\nproperty list uchar int vertex_indices\nelement camera 1\nproperty float focal"
    path = save_text(tmp_path / "b.ply", properties(gaussians), before, ("3 0 1 2", "4 0 1 2 3", "35.5"), ending)
    path.write_bytes(path.read_bytes() + b"\n\nwhatever follows\n")
    assert_same(read_ply(path), gaussians)


def test_text_that_plyfile_writes_is_read(tmp_path):
    plyfile = pytest.importorskip("plyfile")
    gaussians = random_gaussians(50, 1)
    write_ply(tmp_path / "binary.ply", gaussians)
    plyfile.PlyData(plyfile.PlyData.read(tmp_path / "binary.ply").elements, text=True).write(tmp_path / "text.ply")
    assert_same(read_ply(tmp_path / "text.ply"), gaussians)


def test_text_with_infinities_and_no_numbers(tmp_path):
    columns = {key: np.array(column) for key, column in properties(random_gaussians(5, 0)).items()}
    columns["x"][1] = np.nan
    columns["opacity"][2] = np.inf
    path = save_text(tmp_path / "a.ply", columns)
    with pytest.warns(ReconWarning, match="1 of 5 Gaussians"):
        assert read_ply(path).opacities[1] == 1
    whole = path.read_text()
    path.write_text(whole.replace("inf", "many"))
    with pytest.raises(InputError, match=r"a\.ply: a vertex among 1 to 5 is not 14 numbers"):
        read_ply(path)
    path.write_text("\n".join(whole.splitlines()[:-1]))
    with pytest.raises(InputError, match="tells of 5 vertices and it holds 4"):
        read_ply(path)
    path.write_text(whole.replace("vertex 5", "vertex 999999999999"))
    with pytest.raises(InputError, match="tells of 999999999999 vertices"):
        read_ply(path)


def test_comments_of_any_length(tmp_path):
    gaussians = random_gaussians(30, 0)
    before = "comment " + "long " * 1_000_000 + "\nobj_info " + "x" * 5000
    assert_same(read_ply(save(tmp_path / "a.ply", properties(gaussians), before=before)), gaussians)
    assert_same(read_ply(save_text(tmp_path / "b.ply", properties(gaussians), before)), gaussians)


HEADER = "ply\nformat binary_little_endian 1.0\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a PLY file$"),
        ("PK\x03\x04 a zip", "not a PLY file$"),
        ("ply\n", "its header has no end"),
        (HEADER + "element vertex 3\nproperty float x\n", "its header has no end"),
        (HEADER + "comment " + "long " * 10000, "its header has no end"),
        ("ply\nformat ascii 1.0\nelement vertex 0\nend_header\n", "its vertices have no x, y, z, f_dc_0"),
        ("ply\nformat binary_middle_endian 1.0\nend_header\n", "its header says 'format binary_middle_endian 1.0'"),
        ("ply\nelement vertex 1\nproperty float x\nend_header\n", "its header says 'property float x'"),
        (HEADER + "element vertex -3\nend_header\n", "its header says 'element vertex -3'"),
        (HEADER + "element vertex 3\nproperty half x\nend_header\n", "its header says 'property half x'"),
        (HEADER + "end_header\n", "not a splat PLY: it has no vertices"),
        (HEADER + "element vertex 0\nproperty list uchar int x\nend_header\n", "lists before them or in them"),
        (HEADER + "element vertex 0\nproperty float x\nproperty float x\nend_header\n", "two properties of one name"),
        (HEADER + "element vertex 0\nend_header\n", "its vertices have no x, y, z, f_dc_0"),
        (
            HEADER + "element chunk 1\nproperty float x\nelement vertex 2\nproperty uint packed_position\nend_header\n",
            "a compressed splat PLY, as SuperSplat writes it .*splat-transform splats.ply",
        ),
    ],
)
def test_what_is_no_splat_ply_is_refused(content, message, tmp_path):
    path = tmp_path / "splats.ply"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=message) as raised:
        read_ply(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_point_cloud_is_told_apart(tmp_path):
    columns = {name: np.zeros(3) for name in ("x", "y", "z", "red")}
    missing = "no f_dc_0, f_dc_1, f_dc_2, opacity, scale_0, scale_1, rot_0, rot_1, rot_2, rot_3$"
    with pytest.raises(InputError, match=f"not a splat PLY: its vertices have {missing}"):
        read_ply(save(tmp_path / "points.ply", columns))


def test_incomplete_harmonics_are_refused(tmp_path):
    columns = properties(random_gaussians(3, 1))
    last = columns.pop("f_rest_8")
    with pytest.raises(InputError, match="8 properties f_rest; they must be one of 0, 9, 24, 45, 72, from 0 on"):
        read_ply(save(tmp_path / "a.ply", columns))
    columns["f_rest_9"] = last
    with pytest.raises(InputError, match="9 properties f_rest; they must be one of 0, 9, 24, 45, 72, from 0 on"):
        read_ply(save(tmp_path / "a.ply", columns))


def test_missing_and_truncated_files(tmp_path):
    path = tmp_path / "splats.ply"
    with pytest.raises(InputError, match=r"cannot read .*splats\.ply: No such file"):
        read_ply(path)
    write_ply(path, random_gaussians(COUNT, 0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="cut short, its header tells of 5000 vertices and it holds 4999"):
        read_ply(path)
    # A count that no memory would hold is noticed before any is asked for.
    path.write_bytes(whole.replace(b"vertex 5000", b"vertex 999999999999"))
    with pytest.raises(InputError, match="its header tells of 999999999999 vertices"):
        read_ply(path)
