"""Numbers of a result in few bytes, for the page that shows it: integers of 8, 16 or 24 bits between two bounds.

A quantised array is one block of bytes: for each byte of the integers, the lowest first, and for each column, all rows;
then compressed with zlib. `recon/export/page/packed.js` reads it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.geometry.quaternions import normalise
from recon.types import FloatArray, Gaussians

LEVEL = 5
"""Of zlib: more takes long and gains little on numbers such as these."""
_CONSTANT_BASIS = 0.28209479177387814
"""The spherical harmonic of degree 0, 1 / (2 √π)."""
_SMALLEST_SCALE = 1e-12
"""Below the smallest scale that is seen in any scene; its logarithm bounds those of scales that are 0."""
_ROOT_HIGH = 128 / 127
"""Upper bound of what lies from -1 to 1, so that one of 256 levels is exactly 0."""


@dataclass(frozen=True)
class Packed:
    """A quantised array of `count` rows."""

    data: bytes
    """Compressed."""
    count: int
    bits: int
    """8, 16 or 24."""
    low: tuple[float, ...]
    """Of each column: what 0 stands for."""
    high: tuple[float, ...]
    """What the largest integer stands for."""

    def described(self, block: str) -> dict[str, Any]:
        """For the page, where `block` holds the data."""
        return {"block": block, "count": self.count, "bits": self.bits, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Bounds:
    """Between which numbers the integers of an array lie; arrays in pieces share them."""

    bits: int
    """8, 16 or 24."""
    low: NDArray[np.float64]
    """(C,) what 0 stands for."""
    high: NDArray[np.float64]
    """(C,) what the largest integer stands for; above `low`."""

    @staticmethod
    def of(
        values: FloatArray | NDArray[np.integer[Any]],
        bits: int,
        low: ArrayLike | None = None,
        high: ArrayLike | None = None,
    ) -> Bounds:
        """Of (R, C) finite numbers: `low` and `high` of all columns or of each [the least and largest]."""
        if low is None:
            low = values.min(axis=0) if len(values) else 0.0
        if high is None:
            high = values.max(axis=0) if len(values) else 1.0
        lows = np.broadcast_to(np.asarray(low, np.float64), values.shape[1])
        highs = np.broadcast_to(np.asarray(high, np.float64), values.shape[1])
        return Bounds(bits, lows, lows + np.where(highs > lows, highs - lows, 1.0))

    def described(self, block: str, count: int) -> dict[str, Any]:
        """For the page, where `block` is to hold `count` rows."""
        return Packed(b"", count, self.bits, tuple(self.low.tolist()), tuple(self.high.tolist())).described(block)

    def quantise(self, values: FloatArray | NDArray[np.integer[Any]], level: int = LEVEL) -> Packed:
        """Rows (R, C), compressed at that level of zlib.

        Values are within half a step of (high - low) / (2^bits - 1), unless out of the bounds.
        """
        rows = np.asarray(values, np.float64)
        largest = 2**self.bits - 1
        codes = np.rint((rows - self.low) / (self.high - self.low) * largest).clip(0, largest).astype("<u4")
        columns = rows.shape[1]
        planes = np.ascontiguousarray(codes.T).view(np.uint8).reshape(columns, len(rows), 4)[:, :, : self.bits // 8]
        data = zlib.compress(np.ascontiguousarray(planes.transpose(2, 0, 1)).tobytes(), level)
        return Packed(data, len(rows), self.bits, tuple(self.low.tolist()), tuple(self.high.tolist()))


def quantise(
    values: FloatArray | NDArray[np.integer[Any]],
    bits: int,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
) -> Packed:
    """(R, C) finite numbers as integers of `bits` between bounds, of all columns or of each [the least and largest]."""
    return Bounds.of(values, bits, low, high).quantise(values)


def dequantise(packed: Packed) -> NDArray[np.float64]:
    """(R, C) numbers of a quantised array."""
    columns, bytes_each = len(packed.low), packed.bits // 8
    planes = np.frombuffer(zlib.decompress(packed.data), np.uint8).reshape(bytes_each, columns, packed.count)
    weights = 256.0 ** np.arange(bytes_each)
    codes = np.tensordot(weights, planes.astype(np.float64), axes=1)  # (C, R)
    low, high = np.array(packed.low), np.array(packed.high)
    result: NDArray[np.float64] = low + codes.T * ((high - low) / (2**packed.bits - 1))
    return result


@dataclass(frozen=True)
class PackedSplats:
    """Gaussians in 28 bytes each, and 3 (2 d + 1) more for each degree d of spherical harmonics, before compression."""

    blocks: Mapping[str, Packed]
    """`position` (24 bits in their box), `scale` (logarithms), `rotation` ((x, y, z) / (1 + w) of the quaternion),
    `color` (red, green and blue of degree 0), `opacity`; and for each degree d `harmonicsd`, a row being the
    coefficients of red, then green, then blue as signed square roots of their share of the largest."""
    limits: tuple[float, ...]
    """The largest coefficient of each degree from 1 on."""

    @property
    def degree(self) -> int:
        """Of the spherical harmonics."""
        return len(self.limits)

    def lowered(self, degree: int) -> PackedSplats:
        """Without spherical harmonics above `degree`."""
        left_out = {f"harmonics{d}" for d in range(degree + 1, self.degree + 1)}
        kept = {name: packed for name, packed in self.blocks.items() if name not in left_out}
        return PackedSplats(kept, self.limits[:degree])


class SplatPacking:
    """Bounds of the parameters of Gaussians, which are finite, so that they can be packed as a whole or in pieces."""

    def __init__(self, gaussians: Gaussians) -> None:
        self._gaussians = gaussians
        self.limits = tuple(
            float(np.abs(_band(gaussians, degree)).max(initial=0)) or 1.0
            for degree in range(1, gaussians.sh_degree + 1)
        )
        self.bounds: dict[str, Bounds] = {
            "position": Bounds.of(gaussians.means, 24),
            "scale": Bounds.of(_log_scales(gaussians), 16),
            "rotation": Bounds.of(np.zeros((0, 3)), 16, -1, 1),
            "color": Bounds.of(_colors(gaussians), 16),
            "opacity": Bounds.of(np.zeros((0, 1)), 8, 0, 1),
        }
        for degree in range(1, gaussians.sh_degree + 1):
            columns = 3 * (2 * degree + 1)
            self.bounds[f"harmonics{degree}"] = Bounds.of(np.zeros((0, columns)), 8, -1, _ROOT_HIGH)

    def packed(self, name: str, rows: slice = slice(None), level: int = LEVEL) -> Packed:
        """The parameter of that name of some of the Gaussians."""
        few = Gaussians(**{field.name: getattr(self._gaussians, field.name)[rows] for field in fields(Gaussians)})
        return self.bounds[name].quantise(self._values(name, few), level)

    def _values(self, name: str, gaussians: Gaussians) -> FloatArray:
        if name == "position":
            return gaussians.means
        if name == "scale":
            return _log_scales(gaussians)
        if name == "rotation":
            quaternions = normalise(gaussians.rotations.astype(np.float64))
            quaternions = np.where(quaternions[:, :1] < 0, -quaternions, quaternions)
            return quaternions[:, 1:] / (1 + quaternions[:, :1])
        if name == "color":
            return _colors(gaussians)
        if name == "opacity":
            return gaussians.opacities[:, None]
        degree = int(name.removeprefix("harmonics"))
        shares = _band(gaussians, degree).astype(np.float64) / self.limits[degree - 1]
        return np.sign(shares) * np.sqrt(np.abs(shares))


def _log_scales(gaussians: Gaussians) -> NDArray[np.float64]:
    return np.log(np.maximum(gaussians.scales.astype(np.float64), _SMALLEST_SCALE))


def _colors(gaussians: Gaussians) -> NDArray[np.float64]:
    return 0.5 + _CONSTANT_BASIS * gaussians.harmonics[:, :, 0].astype(np.float64)


def _band(gaussians: Gaussians, degree: int) -> FloatArray:
    """(G, 3 (2 d + 1)) the spherical harmonics of one degree, of red, then green, then blue."""
    return gaussians.harmonics[:, :, degree**2 : (degree + 1) ** 2].reshape(len(gaussians), 3 * (2 * degree + 1))


def pack_splats(gaussians: Gaussians) -> PackedSplats:
    """Quantise Gaussians whose parameters are finite."""
    packing = SplatPacking(gaussians)
    return PackedSplats({name: packing.packed(name) for name in packing.bounds}, packing.limits)


def unpack_splats(packed: PackedSplats) -> Gaussians:
    """The Gaussians that a page draws."""
    read = {name: dequantise(one) for name, one in packed.blocks.items()}
    count = len(read["position"])
    vectors = read["rotation"]
    squared = (vectors**2).sum(axis=1, keepdims=True)
    quaternions = np.concatenate([(1 - squared) / (1 + squared), 2 * vectors / (1 + squared)], axis=1)
    harmonics = np.zeros((count, 3, (packed.degree + 1) ** 2))
    harmonics[:, :, 0] = (read["color"] - 0.5) / _CONSTANT_BASIS
    for degree, limit in enumerate(packed.limits, start=1):
        roots = read[f"harmonics{degree}"].reshape(count, 3, -1)
        harmonics[:, :, degree**2 : (degree + 1) ** 2] = np.sign(roots) * roots**2 * limit
    return Gaussians(
        read["position"].astype(np.float32),
        np.exp(read["scale"]).astype(np.float32),
        quaternions.astype(np.float32),
        harmonics.astype(np.float32),
        read["opacity"][:, 0].astype(np.float32),
    )
