"""The sample scenes that are shipped under `scenes/`: made by this module, and read back.

    python -m tests.synthetic scenes

A folder holds

    images/0000.jpg …     photos with the focal length in EXIF
    cameras.json          their cameras (`recon.sources.cameras_file`), in metres
    depth/0000.png …      16-bit z-depth at the pixel centres, in `depth_scale` metres; 0 is sky
    objects/0000.png …    8-bit index in `objects` of what is seen; 0 is sky
    held_out/             photos from between those, their cameras.json and depth/, for tests of novel views
    scene.json            name, seed, `units`, `depth_scale`, `objects`, and how the photos were taken
    README.md
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.errors import InputError
from recon.files import atomic_write
from recon.sources.cameras_file import read_cameras, write_cameras
from recon.types.cameras import Cameras

from .camera_paths import PathKind, camera_path, held_out_cameras
from .render import SyntheticViews, render_views
from .scenes import make_scene

_EXIF_IFD, _FOCAL_LENGTH_IN_35MM_FILM = 0x8769, 0xA405
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class Sample:
    """How a sample scene is photographed."""

    scene: str
    """Its name for `make_scene`, and that of its folder."""
    title: str
    """A line for people."""
    seed: int = 1
    """Of the scene and of the path."""
    path: PathKind = "hand_held"
    """How the camera moves."""
    count: int = 12
    """Photos."""
    held_out: tuple[int, ...] = (2, 5, 8)
    """After which of the photos there is one more, halfway to the next."""
    size: tuple[int, int] = (504, 672)
    """Height and width."""
    focal_35mm: int = 30
    """Focal length in millimetres on a frame with the diagonal of 36 × 24 mm."""
    samples_per_pixel: int = 9
    """For colour."""
    depth_scale: float = 0.001
    """Metres per step of the depth maps."""

    def intrinsics(self) -> NDArray[np.float64]:
        """(3, 3) in pixels."""
        height, width = self.size
        focal = self.focal_35mm / np.hypot(36, 24) * np.hypot(height, width)
        return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


SAMPLES = {
    sample.scene: sample
    for sample in (
        Sample("courtyard", "A courtyard with a sculpture, under a bright sky"),
        Sample("table", "A laid table in a room with books and pictures", depth_scale=0.0005),
    )
}
"""The sample scenes by name."""


def render_sample(sample: Sample, views: list[int] | None = None) -> SyntheticViews:
    """The photos of a sample, or those with the indices `views`."""
    scene = make_scene(sample.scene, sample.seed)
    extrinsics = camera_path(scene, sample.path, sample.count, sample.seed)
    chosen = extrinsics if views is None else extrinsics[views]
    return render_views(scene, chosen, sample.intrinsics(), sample.size, sample.samples_per_pixel)


def write_sample(folder: Path, sample: Sample) -> None:
    """Render a sample and write it to `folder`; the same library versions give the same bytes.

    Raises:
        InputError: a place that cannot be written to.
    """
    scene = make_scene(sample.scene, sample.seed)
    size, intrinsics = sample.size, sample.intrinsics()
    extrinsics = camera_path(scene, sample.path, sample.count, sample.seed)
    views = render_views(scene, extrinsics, intrinsics, size, sample.samples_per_pixel)
    for index in range(sample.count):
        write_file(folder / "images" / f"{index:04d}.jpg", jpeg(views.images[index], sample.focal_35mm))
        write_file(folder / "depth" / f"{index:04d}.png", png(_steps(views.depth[index], sample)))
        write_file(folder / "objects" / f"{index:04d}.png", png(views.object_ids[index].astype(np.uint8)))
    write_cameras_of(
        folder / "cameras.json", [f"{index:04d}.jpg" for index in range(sample.count)], views.cameras, size
    )

    between = held_out_cameras(scene, sample.path, sample.count, sample.seed)[list(sample.held_out)]
    extra = render_views(scene, between, intrinsics, size, sample.samples_per_pixel)
    names = [f"{index:04d}_{index + 1:04d}.jpg" for index in sample.held_out]
    for name, image, depth in zip(names, extra.images, extra.depth, strict=True):
        write_file(folder / "held_out" / name, jpeg(image, sample.focal_35mm))
        write_file(folder / "held_out" / "depth" / f"{Path(name).stem}.png", png(_steps(depth, sample)))
    write_cameras_of(folder / "held_out" / "cameras.json", names, extra.cameras, size)

    facts = {
        "name": sample.scene,
        "title": sample.title,
        "units": views.units,
        "depth_scale": sample.depth_scale,
        "objects": list(scene.objects),
        "seed": sample.seed,
        "path": sample.path,
        "focal_35mm": sample.focal_35mm,
        "samples_per_pixel": sample.samples_per_pixel,
    }
    write_file(folder / "scene.json", (json.dumps(facts, indent=1) + "\n").encode())
    write_file(folder / "README.md", _readme(sample).encode())


def load_scene(folder: Path) -> SyntheticViews:
    """Read a sample scene: photos as JPEG left them, depth to the nearest step, sky, objects and cameras.

    Raises:
        InputError: no such folder, or files that are missing or damaged.
    """
    facts = _facts(folder)
    names = sorted(path.name for path in (folder / "images").glob("*.jpg"))
    if not names:
        raise InputError(f"the sample scene '{folder}' has no images/*.jpg")
    images = np.stack([_read(folder / "images" / name) for name in names])
    steps = np.stack([_read(folder / "depth" / f"{Path(name).stem}.png") for name in names])
    objects = np.stack([_read(folder / "objects" / f"{Path(name).stem}.png") for name in names])
    depth = (steps * float(facts["depth_scale"])).astype(np.float32)
    cameras = read_cameras(folder / "cameras.json", names)
    return SyntheticViews(images, depth, steps == 0, objects.astype(np.int32), cameras, facts["name"], facts["units"])


def load_held_out(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32], Cameras]:
    """Photos of a sample scene that are no input of a reconstruction, their depth and their cameras.

    Returns:
        (N, H, W, 3) photos, (N, H, W) depth to the nearest step, 0 where sky, and N cameras.

    Raises:
        InputError: as `load_scene`.
    """
    facts = _facts(folder)
    names = sorted(path.name for path in (folder / "held_out").glob("*.jpg"))
    if not names:
        raise InputError(f"the sample scene '{folder}' has no held_out/*.jpg")
    images = np.stack([_read(folder / "held_out" / name) for name in names])
    steps = np.stack([_read(folder / "held_out" / "depth" / f"{Path(name).stem}.png") for name in names])
    depth = (steps * float(facts["depth_scale"])).astype(np.float32)
    return images, depth, read_cameras(folder / "held_out" / "cameras.json", names)


def _facts(folder: Path) -> dict[str, Any]:
    """What scene.json says."""
    path = folder / "scene.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"'{folder}' is not a sample scene: '{path}' cannot be read: {error}") from error
    missing = [key for key in ("name", "units", "depth_scale") if not isinstance(facts, dict) or key not in facts]
    if missing:
        raise InputError(f"'{path}' does not say {', '.join(missing)}")
    return dict(facts)


def _read(path: Path) -> NDArray[Any]:
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read: {error}") from error


def write_file(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_cameras_of(path: Path, names: list[str], cameras: Cameras, size: tuple[int, int]) -> None:
    """`cameras.json` of images of one size, height and width."""
    write_cameras(path, names, replace(cameras, sizes=np.tile(np.array(size[::-1]), (len(names), 1))))


def jpeg(image: NDArray[np.uint8], focal_35mm: int | None = None) -> bytes:
    """A JPEG file, with the focal length in EXIF where it is given."""
    exif = Image.Exif()
    if focal_35mm is not None:
        exif.get_ifd(_EXIF_IFD)[_FOCAL_LENGTH_IN_35MM_FILM] = focal_35mm
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=_JPEG_QUALITY, optimize=True, exif=exif)
    return stream.getvalue()


def _steps(depth: NDArray[np.float32], sample: Sample) -> NDArray[np.uint16]:
    """(H, W) depth in metres to whole steps."""
    return np.rint(depth.astype(np.float64) / sample.depth_scale).astype(np.uint16)


def png(values: NDArray[Any]) -> bytes:
    """A PNG file of one channel."""
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _readme(sample: Sample) -> str:
    height, width = sample.size
    focal = sample.intrinsics()[0, 0]
    camera = sample.path.replace("_", "-")
    return f"""# {sample.title}

{sample.count} photos of {width} × {height} pixels by a {camera} camera, ray-cast by `tests.synthetic.render`
(scene `{sample.scene}`, seed {sample.seed}). Made by this project, under its licence. This makes them anew:

    python -m tests.synthetic scenes {sample.scene}

- `images/`: photos, sRGB. EXIF says {sample.focal_35mm} mm on 35 mm film, which is {focal:.2f} pixels.
- `cameras.json`: exact cameras. `world_to_camera` in metres (OpenCV: x right, y down, z forward; in the world z is up),
  `intrinsics` in pixels, pixel centres at half-integers.
- `depth/`: exact depth along the camera z axis at the pixel centres, 16 bits, {sample.depth_scale * 1000:g} mm a step.
  0 is sky.
- `objects/`: what the pixel centres show, 8 bits, an index in `objects` of `scene.json`. 0 is sky.
- `held_out/`: {len(sample.held_out)} photos from between the others, with `cameras.json` and `depth/`: to compare novel
  views with, not to reconstruct from. Depth tells which pixels are sky.
- `scene.json`: these numbers for programs, `depth_scale` in metres.

`recon.eval.ground_truth.read_ground_truth` reads it.
"""


def main(arguments: list[str]) -> None:
    """Write the samples named after the folder, or all."""
    if not arguments or any(name not in SAMPLES for name in arguments[1:]):
        raise SystemExit(f"usage: python -m tests.synthetic FOLDER [{'|'.join(SAMPLES)}]…")
    for name in arguments[1:] or SAMPLES:
        write_sample(Path(arguments[0]) / name, SAMPLES[name])
