"""Splat PLY files, in the layout of the 3D Gaussian splatting code (Kerbl et al. 2023) that viewers read.

One vertex per Gaussian:

| property | value |
| --- | --- |
| x, y, z | the centre |
| nx, ny, nz | 0; some readers count on them |
| f_dc_0 … f_dc_2 | spherical harmonics of degree 0: red, green, blue |
| f_rest_0 … | those of the higher degrees: all of red, all of green, all of blue |
| opacity | logit |
| scale_0 … scale_2 | natural logarithms of the standard deviations along the local axes |
| rot_0 … rot_3 | quaternion (w, x, y, z), local axes to world |

Files of 2D Gaussian splatting (Huang et al. 2024) have no scale_2: their Gaussians are flat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from recon.errors import InputError
from recon.files import atomic_write
from recon.geometry.quaternions import normalise
from recon.messages import warn
from recon.splats.parameters import (
    check_gaussians,
    from_log_scales,
    from_logits,
    lower_degree,
    to_log_scales,
    to_logits,
    usable_gaussians,
)
from recon.types import Gaussians

_MEAN = ("x", "y", "z")
_NORMAL = ("nx", "ny", "nz")
_DC = ("f_dc_0", "f_dc_1", "f_dc_2")
_OPACITY = ("opacity",)
_SCALE = ("scale_0", "scale_1", "scale_2")
_ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")
_COEFFICIENTS = {3 * ((degree + 1) ** 2 - 1): (degree + 1) ** 2 for degree in range(5)}
"""Number of f_rest properties: coefficients per channel, with the one of f_dc."""
_THICKNESS = 1e-3
"""Of a Gaussian in a file of flat ones, as a share of the shorter of its two scales."""
_ROWS = 4096
"""Vertices converted at a time: few enough to stay in a processor's cache."""

_BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float": "f4", "double": "f8", "float32": "f4", "float64": "f8",
}  # fmt: skip
_LONGEST_HEADER = 1 << 26
"""Bytes; what goes on for longer is not the header of a PLY, whatever its comments say."""
_LONGEST_ENTRY = 4096
"""Bytes of a line of the header that are looked at; only comments are longer."""


def write_ply(
    path: str | Path, gaussians: Gaussians, sh_degree: int | None = None, *, comments: Sequence[str] = ()
) -> None:
    """Write a splat PLY: binary, little endian, float32; the same Gaussians give the same bytes.

    Opacities of 0 and 1 and scales of 0 become the nearest ones whose logit and logarithm are finite. No Gaussians at
    all are a valid file.

    Args:
        path: where to; missing folders are made.
        gaussians: what to write.
        sh_degree: leave out spherical harmonics above this degree, 0 to 3; None leaves out what no viewer knows, those
            above 3. Gaussians of a lower degree stay as they are.
        comments: lines for the header, ASCII.

    Raises:
        InputError: parameters that are NaN, infinite or out of bounds, another `sh_degree`, or a path that cannot be
            written.
    """
    check_gaussians(gaussians)
    gaussians = lower_degree(gaussians, sh_degree)
    rest = _rest_names(gaussians.harmonics.shape[2])
    names = (*_MEAN, *_NORMAL, *_DC, *rest, *_OPACITY, *_SCALE, *_ROTATION)
    header = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {comment}" for comment in comments),
        f"element vertex {len(gaussians)}",
        *(f"property float {name}" for name in names),
        "end_header\n",
    ]
    with atomic_write(Path(path)) as temporary, temporary.open("wb") as file:
        file.write("\n".join(header).encode("ascii"))
        for start in range(0, len(gaussians), _ROWS):
            file.write(_encode(gaussians, slice(start, start + _ROWS), len(names)).data)


def _encode(gaussians: Gaussians, rows: slice, columns: int) -> NDArray[np.float32]:
    """(R, columns) the properties of some Gaussians, in the order of the file."""
    means, harmonics = gaussians.means[rows], gaussians.harmonics[rows]
    vertices = np.zeros((len(means), columns), "<f4")
    vertices[:, 0:3] = means
    vertices[:, 6:9] = harmonics[:, :, 0]
    vertices[:, 9:-8] = harmonics[:, :, 1:].reshape(len(means), columns - 17)  # (R, 3, K - 1) -> (R, 3 (K - 1))
    vertices[:, -8] = to_logits(gaussians.opacities[rows])
    vertices[:, -7:-4] = to_log_scales(gaussians.scales[rows])
    vertices[:, -4:] = gaussians.rotations[rows]
    return vertices


def read_ply(path: str | Path) -> Gaussians:
    """Read a splat PLY: float32 Gaussians with unit quaternions.

    Properties may be in any order, of any number type, binary in either byte order or as text; those not in the table
    above are left out. Normals and f_rest may be missing. Without scale_2 the Gaussians are flat: their thickness is a
    thousandth of the shorter of their other two scales. Gaussians that are not finite, and spherical harmonics of
    degree 4, are left out. A warning says each of these.

    Raises:
        InputError: no such file, no PLY, a compressed one, one of something other than splats (the message names the
            properties it lacks), cut short, or with no finite Gaussian.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            vertices = _read_header(file, path)
            coefficients = _check_properties(vertices, path)
            rest = path.stat().st_size - vertices.start
            held = rest // (2 * len(vertices.dtype.names or ()) if vertices.is_text else vertices.dtype.itemsize)
            if held < vertices.count:
                most = "at most " if vertices.is_text else ""
                raise InputError(
                    f"{path}: cut short, its header tells of {vertices.count} vertices and it holds {most}{held}"
                )
            file.seek(vertices.start)
            gaussians = _decode(file, vertices, coefficients, path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    gaussians = usable_gaussians(gaussians, path)
    if _SCALE[2] not in (vertices.dtype.names or ()):
        warn(f"{path}: flat Gaussians (no scale_2): they get a thousandth of their shorter scale as thickness")
    # Last: it would make a rotation of NaN one that looks right.
    return replace(gaussians, rotations=normalise(gaussians.rotations.astype(np.float64)).astype(np.float32))


@dataclass(frozen=True)
class _Vertices:
    """Where the vertices of a PLY file are, and how each is stored."""

    start: int
    """Bytes from the start of the file: of the vertices, or of the first line of a file of text."""
    count: int
    dtype: np.dtype[np.void]
    """One field per property."""
    is_text: bool = False
    lines_before: int = 0
    """Of other elements, in a file of text."""


@dataclass
class _Element:
    """One `element` of a PLY header: so many records of the same properties."""

    name: str
    count: int
    properties: list[tuple[str, str]] = field(default_factory=list)
    """Names and numpy types."""
    has_lists: bool = False
    """Whether the length of a record is only known from reading it."""


def _read_header(file: BinaryIO, path: Path) -> _Vertices:
    """Read up to the end of the header, and find the vertices."""
    if file.readline(len(b"ply\r\n")).strip() != b"ply":
        raise InputError(f"{path}: not a PLY file")
    order, is_text = "", False
    elements: list[_Element] = []
    while True:
        line = file.readline(_LONGEST_HEADER)
        if not line.endswith(b"\n") or file.tell() > _LONGEST_HEADER:
            raise InputError(f"{path}: not a PLY file, or cut short: its header has no end")
        match line[:_LONGEST_ENTRY].decode("ascii", "replace").split():
            case ["end_header"]:
                break
            case ["format", "ascii", *_]:
                order, is_text = "<", True
            case ["format", name, *_] if name in _BYTE_ORDERS:
                order = _BYTE_ORDERS[name]
            case ["element", name, count] if count.isdecimal():
                elements.append(_Element(name, int(count)))
            case ["property", "list", *_] if elements:
                elements[-1].has_lists = True
            case ["property", kind, name] if elements and order and kind in _TYPES:
                elements[-1].properties.append((name, order + _TYPES[kind]))
            case ["comment" | "obj_info", *_] | []:
                pass
            case words:
                raise InputError(f"{path}: not a PLY file that can be read: its header says {' '.join(words)!r}")
    start, lines = file.tell(), 0
    for element in elements:
        if element.has_lists and (element.name == "vertex" or not is_text):
            break
        names = [name for name, _ in element.properties]
        if len(set(names)) < len(names):
            raise InputError(f"{path}: its element {element.name!r} has two properties of one name")
        dtype = np.dtype(element.properties)
        if element.name == "vertex":
            return _Vertices(start, element.count, dtype, is_text, lines)
        if is_text:
            lines += element.count
        else:
            start += element.count * dtype.itemsize
    raise InputError(f"{path}: not a splat PLY: it has no vertices, or lists before them or in them")


def _check_properties(vertices: _Vertices, path: Path) -> int:
    """Refuse vertices that are no Gaussians; returns the spherical-harmonic coefficients per channel."""
    names = set(vertices.dtype.names or ())
    if "packed_position" in names:
        raise InputError(
            f"{path}: a compressed splat PLY, as SuperSplat writes it (packed_position), which is not read: "
            f"export it again uncompressed, or convert it with `splat-transform {path.name} uncompressed.ply`"
        )
    missing = [name for name in (*_MEAN, *_DC, *_OPACITY, *_SCALE[:2], *_ROTATION) if name not in names]
    if missing:
        raise InputError(f"{path}: not a splat PLY: its vertices have no {', '.join(missing)}")
    rest = sum(name.startswith("f_rest_") for name in names)
    if rest not in _COEFFICIENTS or not names.issuperset(_rest_names(_COEFFICIENTS[rest])):
        counts = ", ".join(map(str, _COEFFICIENTS))
        raise InputError(f"{path}: its vertices have {rest} properties f_rest; they must be one of {counts}, from 0 on")
    return _COEFFICIENTS[rest]


def _decode(file: BinaryIO, vertices: _Vertices, coefficients: int, path: Path) -> Gaussians:
    """Read the vertices, `file` being at the first; quaternions of any length."""
    count = vertices.count
    gaussians = Gaussians(
        means=np.empty((count, 3), np.float32),
        scales=np.empty((count, 3), np.float32),
        rotations=np.empty((count, 4), np.float32),
        harmonics=np.empty((count, 3, coefficients), np.float32),
        opacities=np.empty(count, np.float32),
    )
    rest = _rest_names(coefficients)
    is_flat = _SCALE[2] not in (vertices.dtype.names or ())
    start = 0
    for records in _text_records(file, vertices, path) if vertices.is_text else _binary_records(file, vertices):
        rows = slice(start, start + len(records))
        start += len(records)
        gaussians.means[rows] = _columns(records, _MEAN)
        if is_flat:
            gaussians.scales[rows, :2] = from_log_scales(_columns(records, _SCALE[:2]))
            gaussians.scales[rows, 2] = np.float32(_THICKNESS) * gaussians.scales[rows, :2].min(axis=1)
        else:
            gaussians.scales[rows] = from_log_scales(_columns(records, _SCALE))
        gaussians.rotations[rows] = _columns(records, _ROTATION)
        gaussians.harmonics[rows, :, 0] = _columns(records, _DC)
        higher = _columns(records, rest).reshape(len(records), 3, coefficients - 1)  # (R, 3 (K - 1)) -> (R, 3, K - 1)
        gaussians.harmonics[rows, :, 1:] = higher
        gaussians.opacities[rows] = from_logits(_columns(records, _OPACITY)[:, 0])
    return gaussians


def _binary_records(file: BinaryIO, vertices: _Vertices) -> Iterator[NDArray[np.void]]:
    """The vertices, `_ROWS` at a time."""
    for start in range(0, vertices.count, _ROWS):
        yield np.fromfile(file, vertices.dtype, min(_ROWS, vertices.count - start))


def _text_records(file: BinaryIO, vertices: _Vertices, path: Path) -> Iterator[NDArray[np.void]]:
    """The vertices of a file of text, one on each line, `_ROWS` at a time."""
    lines = islice((line for line in file if line.strip()), vertices.lines_before, None)
    as_numbers = np.dtype([(name, "f8") for name in vertices.dtype.names or ()])
    for start in range(0, vertices.count, _ROWS):
        asked = min(_ROWS, vertices.count - start)
        chunk = list(islice(lines, asked))
        if len(chunk) < asked:
            held = start + len(chunk)
            raise InputError(f"{path}: cut short, its header tells of {vertices.count} vertices and it holds {held}")
        try:
            yield np.loadtxt(chunk, as_numbers, comments=None, ndmin=1)
        except ValueError as error:
            raise InputError(
                f"{path}: a vertex among {start + 1} to {start + asked} is not {len(as_numbers.names or ())} numbers"
            ) from error


def _columns(records: NDArray[np.void], names: Sequence[str]) -> NDArray[np.float32]:
    """(R, len(names)) properties of R records; infinite where float32 does not reach."""
    columns = np.empty((len(records), len(names)), np.float32)
    with np.errstate(over="ignore"):
        for index, name in enumerate(names):
            columns[:, index] = records[name]
    return columns


def _rest_names(coefficients: int) -> tuple[str, ...]:
    """Names of the spherical harmonics above degree 0, for so many coefficients per channel."""
    return tuple(f"f_rest_{index}" for index in range(3 * (coefficients - 1)))
