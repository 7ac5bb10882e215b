"""Gaussian splats as binary glTF with the extension KHR_gaussian_splatting, spherical harmonics included.

https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Khronos/KHR_gaussian_splatting. Programs that do not know
it show coloured points.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.export.exporter import Exported, Exporter, Needs
from recon.export.glb import CAMERA_TO_GLTF
from recon.export.gltf import POINTS, Primitive, write_glb
from recon.export.splats import SplatOptions, check_splats, select_splats
from recon.files import atomic_write
from recon.geometry.cameras import to_4x4
from recon.geometry.gaussians import transform_gaussians
from recon.geometry.quaternions import normalise
from recon.geometry.similarity import Similarity
from recon.types import Gaussians, Prediction
from recon.version import __version__

EXTENSION = "KHR_gaussian_splatting"
GS_GLB_PATH = Path("gs_glb") / "0000.glb"
"""Below the folder of a run."""
_RENDERING = {
    "kernel": "ellipse",
    "colorSpace": "srgb_rec709_display",  # that of the photos
    "projection": "perspective",
    "sortingMethod": "cameraDistance",
}
_PLAIN_COLOR = 0.28209479177387814
"""The spherical harmonic of degree 0."""


def check(prediction: Prediction, options: SplatOptions) -> None:
    """Raise InputError where there are no Gaussians, or ones that no file holds."""
    check_splats(prediction)


def write(prediction: Prediction, folder: Path, options: SplatOptions) -> Exported:
    """Write `gs_glb/0000.glb`: in the first camera's frame with glTF axes, the median of the centres at the origin.

    The extras give the units and the 4×4 matrix from the prediction's world frame.
    """
    splats = select_splats(prediction, options)
    moved, world_to_gltf = _in_gltf(splats.gaussians, prediction)
    extras = {
        "units": prediction.units,
        "world_to_gltf": world_to_gltf.ravel().tolist(),
        "world_to_gltf_layout": "4x4, row-major, for column vectors",
    }
    path = folder / GS_GLB_PATH
    with atomic_write(path) as temporary:
        write_glb(temporary, [as_primitive(moved)], f"recon {__version__}", extras)
    return Exported((path,), {**splats.details(prediction), **extras})


def _in_gltf(gaussians: Gaussians, prediction: Prediction) -> tuple[Gaussians, NDArray[np.float64]]:
    """The Gaussians in glTF axes, and the (4, 4) map from the world."""
    first = np.eye(4) if prediction.extrinsics is None else to_4x4(prediction.extrinsics[0].astype(np.float64))
    world_to_gltf: NDArray[np.float64] = CAMERA_TO_GLTF @ first
    rotation = world_to_gltf[:3, :3]
    middle = np.median(gaussians.means.astype(np.float64) @ rotation.T, axis=0)
    world_to_gltf[:3, 3] = -middle
    return transform_gaussians(gaussians, Similarity(1.0, rotation, world_to_gltf[:3, 3])), world_to_gltf


def as_primitive(gaussians: Gaussians) -> Primitive:
    """The attributes of the extension's ellipse kernel, for Gaussians in glTF axes."""
    rotations = normalise(gaussians.rotations.astype(np.float64))
    attributes = {
        "ROTATION": np.roll(rotations, -1, axis=1),  # glTF's order is x, y, z, w
        "SCALE": gaussians.scales,
        "OPACITY": gaussians.opacities,
    }
    for degree in range(gaussians.sh_degree + 1):
        for order in range(2 * degree + 1):
            attributes[f"SH_DEGREE_{degree}_COEF_{order}"] = gaussians.harmonics[:, :, degree**2 + order]
    return Primitive(
        "splats",
        POINTS,
        gaussians.means.astype(np.float32),
        _fallback_colors(gaussians),
        {f"{EXTENSION}:{name}": values.astype(np.float32) for name, values in attributes.items()},
        {EXTENSION: _RENDERING},
    )


def _fallback_colors(gaussians: Gaussians) -> NDArray[np.uint16]:
    """(G, 4) linear RGB of the plain colour, and opacity: COLOR_0 as the extension's note on fallback has it."""
    color = np.clip(gaussians.harmonics[:, :, 0].astype(np.float32) * _PLAIN_COLOR + 0.5, 0, 1)
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    shares = np.concatenate([linear, gaussians.opacities[:, None]], axis=1)
    return np.rint(shares * np.iinfo(np.uint16).max).astype(np.uint16)


GS_GLB = Exporter("gs_glb", SplatOptions, write, ("gs_glb",), Needs(gaussians=True), check)
