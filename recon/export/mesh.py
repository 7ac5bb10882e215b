"""A coloured or textured triangle mesh: depth maps fused into one surface, as `mesh.ply`, `mesh.glb` or `mesh.obj`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recon.choices import Device, DeviceOption
from recon.errors import InputError, MissingExtraError
from recon.export.exporter import Exported, Exporter, Needs
from recon.export.glb import place_in_gltf
from recon.export.mesh_depth import DepthToFuse, depth_to_fuse
from recon.export.mesh_files import write_mtl, write_obj, write_ply, write_textured_obj
from recon.export.mesh_fusion import choose_fusion
from recon.export.mesh_gltf import write_mesh_glb
from recon.export.pictures import write_png
from recon.export.points import PixelOptions, check_cloud
from recon.files import atomic_write
from recon.geometry.located_depth import with_cameras
from recon.geometry.marching_cubes import extract_surface
from recon.geometry.mesh import Mesh, Texture, vertex_normals, without_small_parts, without_unused_vertices
from recon.geometry.tsdf import Field, TooManyBlocks, blocks_that_fit
from recon.messages import warn
from recon.options import like, option
from recon.types import Prediction
from recon.types.mapped import is_mapped
from recon.version import __version__

MATERIALS, PICTURE = "mesh.mtl", "mesh.png"
"""Files beside a textured OBJ."""


@dataclass(frozen=True, kw_only=True)
class MeshOptions(PixelOptions):
    """Which pixels are fused, how finely, and what becomes of the surface."""

    format: Literal["ply", "glb", "obj"] = option("ply", help="Of the file.")
    voxel: float | None = option(
        None,
        help="Side of a voxel, in the units of the result [two pixels' width at the upper quartile of depth, at most "
        "four at its median; or twice what the depth of different views differs by, whichever is more].",
        above=0,
    )
    truncation: float = option(
        3.0, help="Voxels before and behind the depth that it says something about.", least=2, most=100
    )
    triangles: int | None = option(
        None, help="Simplify to at most this many triangles; needs the extra `mesh` [all].", least=4
    )
    close_holes: int = option(0, help="Close holes of at most this many edges; 0 leaves all.", least=0, most=1000)
    small_parts: int = option(
        100, help="Leave out connected parts of fewer triangles; 0 keeps all. Counted before simplifying.", least=0
    )
    texture: bool = option(
        False,
        help="Of the photos at their own resolution, instead of a colour for each vertex: in a GLB, or with an OBJ as "
        "mesh.mtl and mesh.png; needs the extra `mesh`.",
    )
    texture_size: int = option(
        4096, help="Texels along a side of the texture at most; photos are reduced to fit.", least=64, most=16384
    )
    device: Device = like(
        DeviceOption, "device", help="Where depth is fused. auto: cuda where torch has it, else the CPU, as for mps."
    )


def check(prediction: Prediction, options: MeshOptions) -> None:
    """Raise InputError where no pixel can be fused, or the photos of a long run are wanted on the surface."""
    check_cloud(prediction, options)
    if options.texture and is_mapped(prediction.depth):
        raise InputError("mesh.texture needs all views at once, which a run in windows has not: leave it out")


def check_options(options: MeshOptions) -> None:
    """Raise InputError for a texture in a file that holds none, or a package or device that is missing."""
    if options.triangles is not None:
        _simplifier()
    if options.texture:
        if options.format == "ply":
            raise InputError(
                "mesh.texture: a PLY has no texture that programs agree on; add mesh.format=glb or mesh.format=obj"
            )
        from recon.export.mesh_texture import check_texture

        check_texture()
    if options.device == "cuda":
        choose_fusion(options.device)


def write(prediction: Prediction, folder: Path, options: MeshOptions) -> Exported:
    """Write the mesh. Its details say how large the voxels were, and what was left out or closed.

    Raises:
        InputError: no pixel, voxels too small for the memory (the message says which would do), or no surface.
    """
    prediction = with_cameras(prediction)
    mesh, details = make_mesh(prediction, options)
    normals = vertex_normals(mesh)
    beside: tuple[Path, ...] = ()
    if options.texture:
        from recon.export.mesh_texture import make_texture  # compiled: the command line is to answer at once

        texture, of_texture = make_texture(mesh, prediction, details["voxel"], options.texture_size)
        mesh = replace(mesh, texture=texture)
        details |= of_texture
        if details["photos_enlarged"]:
            warn(
                f"mesh.texture: {details['photos_enlarged']} of {len(prediction.depth)} photos are not at hand; the "
                "texture shows them at the resolution of the depth"
            )
        if options.format == "obj":
            beside = _write_material(folder, texture)
    path = folder / f"mesh.{options.format}"
    with atomic_write(path) as temporary:
        details |= _write_file(temporary, mesh, normals, prediction, options.format)
    return Exported((path, *beside), details)


def make_mesh(prediction: Prediction, options: MeshOptions) -> tuple[Mesh, dict[str, Any]]:
    """The coloured surface of a prediction with cameras, and what the details say of it; errors as `write`."""
    depth = depth_to_fuse(prediction, options, options.device)
    field, truncation = _fused(depth, options)
    mesh = extract_surface(field)
    if not len(mesh.faces):
        raise InputError(f"mesh: no surface at voxels of {field.voxel:.3g}: give mesh.voxel, smaller than what is seen")
    whole = len(mesh.faces)
    mesh = without_small_parts(mesh, options.small_parts)
    details: dict[str, Any] = {
        "voxel": field.voxel,
        "truncation": truncation,
        "blocks": len(field.blocks),
        "conf_threshold": depth.threshold,
        "units": prediction.units,
        "triangles_in_small_parts": whole - len(mesh.faces),
    }
    del field
    if options.close_holes:
        from recon.geometry.mesh_holes import close_holes

        mesh, details["closed_holes"] = close_holes(mesh, options.close_holes)
    if options.triangles is not None and len(mesh.faces) > options.triangles:
        mesh = _simplified(mesh, options.triangles)
    normals = vertex_normals(mesh)
    colors = depth.colors(mesh.vertices, normals, truncation)
    details |= {"vertices": len(mesh.vertices), "triangles": len(mesh.faces)}
    return replace(mesh, colors=colors), details


def _fused(depth: DepthToFuse, options: MeshOptions) -> tuple[Field, float]:
    """The field of the depth maps, and its truncation. Voxels that nobody asked for grow until the field fits."""
    voxel = depth.voxel if options.voxel is None else options.voxel
    room = blocks_that_fit()
    while True:
        try:
            truncation = options.truncation * voxel
            field = depth.fuse(voxel, truncation, room)
        except TooManyBlocks as error:
            if options.voxel is not None:
                fits = f"{error.voxel:.3g} fits"
                raise InputError(f"mesh.voxel {voxel:g} needs more memory than is free; {fits}") from None
            warn(f"mesh: voxels of {voxel:.3g} need more memory than is free: they are {error.voxel:.3g} instead")
            voxel = error.voxel
        else:
            return field, truncation


def _simplifier() -> Any:
    try:
        import fast_simplification
    except ModuleNotFoundError:
        raise MissingExtraError("mesh.triangles", "fast-simplification", "mesh") from None
    return fast_simplification


def _simplified(mesh: Mesh, triangles: int) -> Mesh:
    """With fewer triangles, by collapsing the edges that matter least (Garland and Heckbert, SIGGRAPH 1997)."""
    points, faces = _simplifier().simplify(mesh.vertices, mesh.faces, target_count=triangles)
    return without_unused_vertices(Mesh(np.asarray(points, np.float32), np.asarray(faces, np.int32)))


def _write_file(
    path: Path, mesh: Mesh, normals: NDArray[np.float32], prediction: Prediction, kind: str
) -> dict[str, Any]:
    """Returns what else a reader needs."""
    assert mesh.colors is not None
    if kind == "obj" and mesh.texture is not None:
        write_textured_obj(path, mesh.vertices, mesh.texture, mesh.faces, prediction.units, MATERIALS)
    elif kind == "ply":
        write_ply(path, mesh.vertices, normals, mesh.colors, mesh.faces, prediction.units)
    elif kind == "obj":
        write_obj(path, mesh.vertices, mesh.colors, mesh.faces, prediction.units)
    else:
        return _write_glb(path, mesh, normals, prediction)
    return {}


def _write_material(folder: Path, texture: Texture) -> tuple[Path, ...]:
    """What a textured OBJ names."""
    picture, materials = folder / PICTURE, folder / MATERIALS
    write_png(picture, texture.pixels)
    with atomic_write(materials) as temporary:
        write_mtl(temporary, PICTURE)
    return materials, picture


def _write_glb(path: Path, mesh: Mesh, normals: NDArray[np.float32], prediction: Prediction) -> dict[str, Any]:
    """In the first camera's frame with glTF axes, as the points of the format glb."""
    assert prediction.extrinsics is not None
    positions, world_to_gltf, _ = place_in_gltf(mesh.vertices, prediction.extrinsics[0])
    extras = {
        "units": prediction.units,
        "world_to_gltf": world_to_gltf.ravel().tolist(),
        "world_to_gltf_layout": "4x4, row-major, for column vectors",
    }
    turned = normals @ world_to_gltf[:3, :3].T.astype(np.float32)
    write_mesh_glb(path, replace(mesh, vertices=positions), turned, f"recon {__version__}", extras)
    return extras


MESH = Exporter(
    "mesh",
    MeshOptions,
    write,
    ("mesh.ply", "mesh.glb", "mesh.obj", MATERIALS, PICTURE),
    Needs(cameras=True),
    check,
    check_options,
    in_pieces=True,
)
