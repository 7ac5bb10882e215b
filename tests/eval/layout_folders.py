"""A small scene with a tilted wall, written in the folder layout of every data set, and runs that went well or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from recon.export.exporter import NoOptions
from recon.export.npz import write_full, write_mini
from recon.geometry.cameras import invert_rigid, to_3x4
from recon.geometry.quaternions import from_matrix
from recon.geometry.similarity import Similarity
from recon.geometry.unprojection import pixel_centres
from recon.run.record import write_record
from recon.sources.cameras_file import write_cameras
from recon.types import Gaussians, Prediction
from tests.known_cameras import cameras_of
from tests.seeds import numpy_random

NORMAL, OFFSET = np.array([0.2, -0.1, 1.0]), 6.0
"""The wall: world points X with NORMAL · X = OFFSET."""
WIDTH, HEIGHT = 80, 60
INTRINSICS = np.array([[70.0, 0, 41], [0, 72, 29], [0, 0, 1]])
"""Of the photos, half-integer pixel centres."""


def cameras(count: int = 4) -> np.ndarray:
    """(N, 4, 4) world-to-camera: a bend of cameras before the wall, no two alike."""
    camera_to_world = np.tile(np.eye(4), (count, 1, 1))
    for i in range(count):
        yaw, pitch = 0.1 * (i - count / 2), 0.05 * (-1) ** i
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        tilt = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        camera_to_world[i, :3, :3] = turn @ tilt
        camera_to_world[i, :3, 3] = 0.5 * i, 0.2 * (-1) ** i, -0.1 * i**2
    return invert_rigid(camera_to_world)


def wall_depth(world_to_camera: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """z-depth (...) of the wall along rays (..., 3) with z 1 in the camera's frame."""
    camera_to_world = invert_rigid(world_to_camera)
    directions = rays @ camera_to_world[:3, :3].T
    return (OFFSET - NORMAL @ camera_to_world[:3, 3]) / (directions @ NORMAL)


def depth_map(world_to_camera: np.ndarray, intrinsics: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width) z-depth at the pixel centres of a pinhole camera."""
    pixels = np.concatenate([pixel_centres(height, width), np.ones((height, width, 1))], axis=-1)
    return wall_depth(world_to_camera, pixels @ np.linalg.inv(intrinsics).T)


def write_photo(path: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    """A picture of that size, all of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (90, 120, 150)).save(path)


def write_millimetres(path: Path, depth: np.ndarray) -> None:
    """16-bit PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(depth * 1000).astype(np.uint16)).save(path)


def write_wall(path: Path, to_file: np.ndarray | None = None, scale: float = 1.0) -> None:
    """The wall as a mesh of two triangles, its vertices moved by `to_file` (4, 4)."""
    import trimesh

    x, y = np.array([-20.0, 20, -20, 20]), np.array([-20.0, -20, 20, 20])
    vertices = scale * np.stack([x, y, OFFSET - NORMAL[0] * x - NORMAL[1] * y], axis=1)
    if to_file is not None:
        vertices = vertices @ to_file[:3, :3].T + to_file[:3, 3]
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(vertices, [[0, 1, 2], [2, 1, 3]], process=False).export(path)


def write_colmap(folder: Path, names: Sequence[str], camera: str, extrinsics: np.ndarray | None = None) -> None:
    """A COLMAP text model with one camera, given as the line of cameras.txt without its number."""
    folder.mkdir(parents=True)
    (folder / "cameras.txt").write_text(f"# cameras\n1 {camera}\n", encoding="utf-8")
    lines = ["# images"]
    for i, (name, matrix) in enumerate(zip(names, cameras() if extrinsics is None else extrinsics, strict=True)):
        numbers = " ".join(f"{x:.17g}" for x in (*from_matrix(matrix[:3, :3]), *matrix[:3, 3]))
        lines += [f"{i + 1} {numbers} 1 {name}", "10.5 12.5 -1"]
    (folder / "images.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "points3D.txt").write_text("# points\n", encoding="utf-8")


def pinhole_line() -> str:
    """INTRINSICS as a line of cameras.txt."""
    return f"PINHOLE {WIDTH} {HEIGHT} 70 72 41 29"


def eth3d(root: Path) -> Path:
    """Undistorted photos, and depth of the distorted originals, which are larger."""
    import pycolmap

    scene = root / "facade"
    names = [f"DSC_{i:04d}.JPG" for i in range(4)]
    write_colmap(
        scene / "dslr_calibration_undistorted", [f"dslr_images_undistorted/{n}" for n in names], pinhole_line()
    )
    width, height = 100, 90
    parameters = [68.0, 69, 48, 46, -0.03, 0.01, 0.002, -0.001, 0, 0, 0.001, 0.002]
    line = f"THIN_PRISM_FISHEYE {width} {height} {' '.join(map(str, parameters))}"
    write_colmap(scene / "dslr_calibration_jpg", [f"dslr_images/{n}" for n in names], line)
    original = pycolmap.Camera(model="THIN_PRISM_FISHEYE", width=width, height=height, params=parameters)
    rays = original.cam_from_img(pixel_centres(height, width).reshape(-1, 2)).reshape(height, width, 2)
    rays = np.concatenate([rays, np.ones((height, width, 1))], axis=-1)
    folder = scene / "ground_truth_depth" / "dslr_images"
    folder.mkdir(parents=True)
    for name, camera in zip(names, cameras(), strict=True):
        write_photo(scene / "images" / "dslr_images_undistorted" / name)
        depth = wall_depth(camera, rays).astype("<f4")
        depth[45:50, 45:50] = np.inf
        depth.tofile(folder / name)
    mask = np.zeros((height, width), np.uint8)
    mask[60:62] = 1
    (scene / "masks_for_images" / "dslr_images").mkdir(parents=True)
    Image.fromarray(mask).save(scene / "masks_for_images" / "dslr_images" / "DSC_0001.png")
    scan_from_world = np.eye(4)
    scan_from_world[:3, 3] = 1, 2, 3
    write_wall(scene / "dslr_scan_eval" / "scan1.ply", scan_from_world)
    numbers = "\n".join(" ".join(map(str, row)) for row in np.linalg.inv(scan_from_world))
    (scene / "dslr_scan_eval" / "scan_alignment.mlp").write_text(
        '<!DOCTYPE MeshLabDocument>\n<MeshLabProject><MeshGroup><MLMesh label="scan1" filename="scan1.ply">'
        f"<MLMatrix44>\n{numbers}\n</MLMatrix44></MLMesh></MeshGroup></MeshLabProject>\n",
        encoding="utf-8",
    )
    return scene


def seven_scenes(root: Path) -> Path:
    """Frames of 640 × 480 with the camera that all of the data set's scenes have."""
    sequence = root / "chess" / "seq-01"
    intrinsics = np.array([[585.0, 0, 320], [0, 585, 240], [0, 0, 1]])
    for i, camera in enumerate(cameras()):
        stem = f"frame-{i:06d}"
        write_photo(sequence / f"{stem}.color.png", 640, 480)
        depth = depth_map(camera, intrinsics, 640, 480)
        depth[100:110, 200:230] = 65.535
        write_millimetres(sequence / f"{stem}.depth.png", depth)
        np.savetxt(sequence / f"{stem}.pose.txt", invert_rigid(camera))
    np.savetxt(sequence / "frame-000009.pose.txt", np.full((4, 4), np.nan))
    write_wall(root / "meshes" / "chess.ply")
    return root / "chess"


def scannetpp(root: Path) -> Path:
    """Undistorted DSLR photos, rendered depth of the fisheye ones, and the scan's mesh."""
    import pycolmap

    scene = root / "0a1b2c3d4e"
    names = [f"DSC{i:05d}.JPG" for i in range(4)]
    to_nerfstudio = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])  # as its toolkit turns worlds
    frames = [
        {"file_path": name, "transform_matrix": (to_nerfstudio @ invert_rigid(c) @ np.diag([1, -1, -1, 1])).tolist()}
        for name, c in zip(names, cameras(), strict=True)
    ]
    camera = {"w": WIDTH, "h": HEIGHT, "fl_x": 70.0, "fl_y": 72.0, "cx": 41.0, "cy": 29.0, "camera_model": "PINHOLE"}
    path = scene / "dslr" / "nerfstudio" / "transforms_undistorted.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**camera, "frames": frames[:3], "test_frames": frames[3:]}), encoding="utf-8")
    parameters = [60.0, 61, 45, 40, -0.02, 0.01, 0.0, 0.0]
    write_colmap(scene / "dslr" / "colmap", names, f"OPENCV_FISHEYE 92 82 {' '.join(map(str, parameters))}")
    fisheye = pycolmap.Camera(model="OPENCV_FISHEYE", width=92, height=82, params=parameters)
    rays = fisheye.cam_from_img(pixel_centres(82, 92).reshape(-1, 2)).reshape(82, 92, 2)
    rays = np.concatenate([rays, np.ones((82, 92, 1))], axis=-1)
    for name, matrix in zip(names, cameras(), strict=True):
        write_photo(scene / "dslr" / "resized_undistorted_images" / name)
        write_millimetres(scene / "dslr" / "render_depth" / f"{Path(name).stem}.png", wall_depth(matrix, rays))
    write_wall(scene / "scans" / "mesh_aligned_0.05.ply")
    return scene


def scannetpp_merged(root: Path) -> Path:
    """The copy of the DA3 benchmark: iPhone frames among DSLR ones in one COLMAP model."""
    part = root / "0a1b2c3d4e" / "merge_dslr_iphone"
    names = [*(f"iphone/frame_{i:06d}.jpg" for i in range(4)), "dslr/DSC00001.JPG"]
    extrinsics = np.concatenate([cameras(), np.eye(4)[None]])
    write_colmap(part / "colmap" / "sparse_render_rgb", names, f"OPENCV {pinhole_line()[8:]} 0 0 0 0", extrinsics)
    for name, camera in zip(names[:4], cameras(), strict=True):
        write_photo(part / "images" / name)
        depth = depth_map(camera, np.diag([2.0, 2, 1]) @ INTRINSICS, 2 * WIDTH, 2 * HEIGHT)
        write_millimetres(part / "render_depth" / f"{Path(name).stem}.png", depth)
    return part.parent


def dtu(root: Path) -> Path:
    """Full images of one scan, in millimetres, with cameras whose pixel centres are at integers."""
    stored = np.diag([1600 / WIDTH, 1200 / HEIGHT, 1.0]) @ INTRINSICS
    intrinsics = stored.copy()
    stored[:2, 2] -= 0.5
    for i, camera in enumerate(cameras()):
        millimetres = camera.copy()
        millimetres[:3, 3] *= 1000
        _write_mvsnet_camera(root / "Cameras" / f"{i:08d}_cam.txt", millimetres, stored)
        write_photo(root / "Rectified" / "scan1" / f"rect_{i + 1:03d}_3_r5000.png", 1600, 1200)
        depth = 1000 * depth_map(camera, intrinsics, 1600, 1200)
        folder = root / "Depths_raw" / "scan1"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"depth_map_{i:04d}.pfm"), depth.astype(np.float32))
        mask = np.full(depth.shape, 255, np.uint8)
        mask[:200] = 3
        Image.fromarray(mask).save(folder / f"depth_visual_{i:04d}.png")
    write_wall(root / "Points" / "stl" / "stl001_total.ply", scale=1000)
    return root / "Rectified" / "scan1"


def dtu_train(root: Path) -> Path:
    """Images of 640 × 512 with cameras of 160 × 128 and depth of that size, as MVSNet trains on."""
    intrinsics = np.array([[360.0, 0, 82], [0, 361, 66], [0, 0, 1]])
    for i, camera in enumerate(cameras()):
        stored = intrinsics - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
        millimetres = camera.copy()
        millimetres[:3, 3] *= 1000
        _write_mvsnet_camera(root / "Cameras" / "train" / f"{i:08d}_cam.txt", millimetres, stored)
        write_photo(root / "Rectified" / "scan2_train" / f"rect_{i + 1:03d}_3_r5000.png", 640, 512)
        folder = root / "Depths" / "scan2_train"
        folder.mkdir(parents=True, exist_ok=True)
        depth = 1000 * depth_map(camera, intrinsics, 160, 128)
        cv2.imwrite(str(folder / f"depth_map_{i:04d}.pfm"), depth.astype(np.float32))
    return root / "Rectified" / "scan2_train"


def _write_mvsnet_camera(path: Path, extrinsic: np.ndarray, intrinsic: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [" ".join(f"{x:.17g}" for x in row) for row in (*extrinsic, *intrinsic)]
    text = "\n".join(["extrinsic", *rows[:4], "", "intrinsic", *rows[4:], "", "425.0 2.5", ""])
    path.write_text(text, encoding="utf-8")


def blendedmvs(root: Path) -> Path:
    """Blended photos, masked ones beside them, and rendered depth with a hole."""
    stored = INTRINSICS - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    scene = root / "5a3ca9cb270f0e3f14d0eddb"
    for i, camera in enumerate(cameras()):
        _write_mvsnet_camera(scene / "cams" / f"{i:08d}_cam.txt", camera, stored)
        for suffix in ("", "_masked"):
            write_photo(scene / "blended_images" / f"{i:08d}{suffix}.jpg")
        folder = scene / "rendered_depth_maps"
        folder.mkdir(exist_ok=True)
        depth = depth_map(camera, INTRINSICS, WIDTH, HEIGHT)
        depth[:6, :9] = 0
        cv2.imwrite(str(folder / f"{i:08d}.pfm"), depth.astype(np.float32))
    (scene / "cams" / "pair.txt").write_text("4\n0\n1 1 0.5\n", encoding="utf-8")
    return scene


_WIDE = np.array([[320.0, 0, 320], [0, 320, 240], [0, 0, 1]])
_FORWARD_RIGHT_DOWN = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""From OpenCV's axes to those of TartanAir's poses."""


def _write_poses(path: Path) -> None:
    lines = []
    for camera_to_world in invert_rigid(cameras()):
        w, x, y, z = from_matrix(camera_to_world[:3, :3] @ _FORWARD_RIGHT_DOWN.T)
        lines.append(" ".join(f"{value:.17g}" for value in (*camera_to_world[:3, 3], x, y, z, w)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def tartanair(root: Path) -> Path:
    """A trajectory with the left camera; a strip of the painted sky at the top of its depth."""
    trajectory = root / "abandonedfactory" / "Easy" / "P000"
    _write_poses(trajectory / "pose_left.txt")
    (trajectory / "depth_left").mkdir()
    for i, camera in enumerate(cameras()):
        write_photo(trajectory / "image_left" / f"{i:06d}_left.png", 640, 480)
        depth = depth_map(camera, _WIDE, 640, 480).astype(np.float32)
        depth[:20] = 10_000
        np.save(trajectory / "depth_left" / f"{i:06d}_left_depth.npy", depth)
    return trajectory


def tartanair_v2(root: Path) -> Path:
    """The same of the second version: square images, floats in the four bytes of a PNG."""
    trajectory = root / "House" / "Data_easy" / "P001"
    _write_poses(trajectory / "pose_lcam_front.txt")
    (trajectory / "depth_lcam_front").mkdir()
    square = np.array([[320.0, 0, 320], [0, 320, 320], [0, 0, 1]])
    for i, camera in enumerate(cameras()):
        write_photo(trajectory / "image_lcam_front" / f"{i:06d}_lcam_front.png", 640, 640)
        depth = depth_map(camera, square, 640, 640).astype("<f4")
        packed = depth[..., None].view(np.uint8)
        cv2.imwrite(str(trajectory / "depth_lcam_front" / f"{i:06d}_lcam_front_depth.png"), packed)
    return trajectory


HYPERSIM_TILT = np.array([[0.5, 0.01, 0.02], [-0.015, 0.38, -0.03], [0.04, -0.06, -1]])
"""M_cam_from_uv of a lens that is tilted and shifted."""


def hypersim_pixel_rays(width: int, height: int, from_uv: np.ndarray = HYPERSIM_TILT) -> np.ndarray:
    """(height, width, 3) rays in OpenCV's axes through the pixel centres, as the toolkit's notebook casts them."""
    u = (np.arange(width) + 0.5) / width * 2 - 1
    v = 1 - (np.arange(height) + 0.5) / height * 2
    uv = np.stack([*np.meshgrid(u, v), np.ones((height, width))], axis=-1)
    return uv @ from_uv.T * (1, -1, -1)


def write_hypersim(root: Path, from_uv: np.ndarray | None) -> Path:
    """Two cameras of two frames each, with distances and positions in inches; with the file of parameters or not."""
    import h5py

    def write(path: Path, values: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["dataset"] = values

    scene = root / "ai_001_001"
    inch, width, height = 0.0254, 96, 72
    matrices = invert_rigid(cameras())
    standard = np.diag([np.tan(np.pi / 6), np.tan(np.pi / 6) * height / width, -1.0])
    rays = hypersim_pixel_rays(width, height, standard if from_uv is None else from_uv)
    for cam, frames in (("cam_00", [0, 1]), ("cam_01", [2, 3])):
        detail = scene / "_detail" / cam
        write(detail / "camera_keyframe_positions.hdf5", matrices[frames, :3, 3] / inch)
        write(detail / "camera_keyframe_orientations.hdf5", matrices[frames, :3, :3] @ np.diag([1.0, -1, -1]))
        write(detail / "camera_keyframe_frame_indices.hdf5", np.arange(5, 7))
        for number, frame in enumerate(frames, start=5):
            write_photo(
                scene / "images" / f"scene_{cam}_final_preview" / f"frame.{number:04d}.tonemap.jpg", width, height
            )
            steps = wall_depth(cameras()[frame], rays)  # of the ray as it is, whose z is about 1
            distance = (steps * np.linalg.norm(rays, axis=-1)).astype(np.float16 if from_uv is None else np.float32)
            distance[:5] = np.nan
            write(scene / "images" / f"scene_{cam}_geometry_hdf5" / f"frame.{number:04d}.depth_meters.hdf5", distance)
    text = f"parameter_name,parameter_value\nmeters_per_asset_unit,{inch}\n"
    (scene / "_detail" / "metadata_scene.csv").write_text(text, encoding="utf-8")
    if from_uv is not None:
        names = [f"M_cam_from_uv_{i}{j}" for i in range(3) for j in range(3)]
        row = ",".join(str(value) for value in from_uv.ravel())
        (root / "metadata_camera_parameters.csv").write_text(
            f"scene_name,{','.join(names)}\nai_001_002,{','.join('0' * 9)}\nai_001_001,{row}\n", encoding="utf-8"
        )
    return scene


def hypersim(root: Path) -> Path:
    """Of a scene without tilt and shift, as its file of parameters says."""
    return write_hypersim(root, np.diag([np.tan(np.pi / 6), np.tan(np.pi / 6) * 0.75, -1.0]))


def colmap(root: Path) -> Path:
    """Undistorted photos with a model whose points, some hundred to an image, lie on the wall."""
    names = [f"photo_{i}.png" for i in range(4)]
    write_colmap(root / "sparse" / "0", names, pinhole_line())
    rng = numpy_random(0)
    points = np.stack([rng.uniform(-3, 4, 300), rng.uniform(-2, 2, 300), np.zeros(300)], axis=1)
    points[:, 2] = OFFSET - points @ NORMAL
    observations: list[list[str]] = []
    for name, camera in zip(names, cameras(), strict=True):
        write_photo(root / "images" / name)
        homogeneous = (points @ camera[:3, :3].T + camera[:3, 3]) @ INTRINSICS.T
        pixels = homogeneous[:, :2] / homogeneous[:, 2:]
        inside = (pixels > 0).all(axis=1) & (pixels < (WIDTH, HEIGHT)).all(axis=1)
        observations.append([f"{x} {y} {i + 1}" for i, (x, y) in enumerate(pixels) if inside[i]])
    images = (root / "sparse" / "0" / "images.txt").read_text(encoding="utf-8").replace("10.5 12.5 -1", "{}")
    images = images.format(*(" ".join(seen) for seen in observations))
    (root / "sparse" / "0" / "images.txt").write_text(images, encoding="utf-8")
    lines = []
    for i, point in enumerate(points):
        track = [
            f"{image + 1} {place}"
            for image, seen in enumerate(observations)
            for place, text in enumerate(seen)
            if text.endswith(f" {i + 1}")
        ]
        if track:
            lines.append(f"{i + 1} {' '.join(map(str, point))} 0 0 0 0.1 {' '.join(track)}")
    (root / "sparse" / "0" / "points3D.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def sample(root: Path) -> Path:
    """Four photos with a strip of sky at the top, and one that is held out, with its depth."""
    for folder, images, depths, views in (
        (root, root / "images", root / "depth", [0, 1, 2, 3]),
        (root / "held_out", root / "held_out", root / "held_out" / "depth", [4]),
    ):
        names = [f"{view:04d}.jpg" for view in views]
        extrinsics = cameras(5)[views]
        for name, camera in zip(names, extrinsics, strict=True):
            write_photo(images / name)
            depth = depth_map(camera, INTRINSICS, WIDTH, HEIGHT)
            depth[:20] = 0
            write_millimetres(depths / f"{Path(name).stem}.png", 2 * depth)
        matrices = np.tile(INTRINSICS, (len(views), 1, 1))
        write_cameras(folder / "cameras.json", names, cameras_of([(WIDTH, HEIGHT)] * len(views), extrinsics, matrices))
    (root / "scene.json").write_text('{"name": "wall", "units": "metric", "depth_scale": 0.0005}', encoding="utf-8")
    return root


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "eth3d": eth3d,
    "seven_scenes": seven_scenes,
    "scannetpp": scannetpp,
    "scannetpp_merged": scannetpp_merged,
    "dtu": dtu,
    "dtu_train": dtu_train,
    "blendedmvs": blendedmvs,
    "tartanair": tartanair,
    "tartanair_v2": tartanair_v2,
    "hypersim": hypersim,
}


def perfect_prediction(
    names: Sequence[str],
    extrinsics: np.ndarray,
    intrinsics: np.ndarray,
    original_size: tuple[int, int],
    world: Similarity | None = None,
    scale: float = 1.0,
    gaussians: Gaussians | None = None,
) -> Prediction:
    """The truth as a run would give it at 40 × 28 pixels, cut out of photos at half their width.

    Args:
        names: of N photos.
        extrinsics: (N, 4, 4) true.
        intrinsics: (N, 3, 3) true, of the photos.
        original_size: width and height of the photos.
        world: from the true world to the run's.
        scale: true units per metre.
        gaussians: of the run's world.
    """
    world = Similarity(1.0, np.eye(3), np.zeros(3)) if world is None else world
    width, height = 40, 28
    step = original_size[0] / width
    affine = np.array([[step, 0, 0], [0, step, (original_size[1] - step * height) / 2], [0, 0, 1]])
    processed = np.linalg.inv(affine) @ intrinsics
    metric = np.array(extrinsics)
    metric[:, :3, 3] /= scale
    depth = [scale * depth_map(e, k, width, height) for e, k in zip(metric, processed, strict=True)]
    count = len(names)
    return Prediction(
        depth=(np.stack(depth) * world.scale).astype(np.float32),
        processed_images=np.zeros((count, height, width, 3), np.uint8),
        extrinsics=to_3x4(world.apply_to_extrinsics(extrinsics)).astype(np.float32),
        intrinsics=processed.astype(np.float32),
        units="metric" if world.scale == 1 else "relative",
        image_names=tuple(Path(name).name for name in names),
        original_sizes=np.tile(np.array(original_size), (count, 1)),
        processed_to_original=np.tile(affine, (count, 1, 1)),
        gaussians=gaussians,
        gaussian_source=None if gaussians is None else "depth",
    )


def write_run(
    folder: Path,
    prediction: Prediction,
    full: bool = False,
    dropped: Sequence[str] = (),
    inputs: Sequence[Path] = (),
) -> Path:
    """The folder of a run: a results.npz and a run.json."""
    from recon.run.record import image_entries

    (write_full if full else write_mini)(prediction, folder, NoOptions())
    record = {
        "settings": {"inputs": [str(path) for path in inputs]},
        "images": image_entries(prediction),
        "dropped_images": [{"name": name, "reason": "not registered"} for name in dropped],
        "exports": {"npz" if full else "mini_npz": {}},
    }
    write_record(folder, record)
    return folder
