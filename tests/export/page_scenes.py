"""Splats whose picture in the page is compared with the CPU rasterizer's."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recon.export.packing import Packed, pack_splats
from recon.export.page_layers import pack_mesh
from recon.geometry.mesh import Mesh
from recon.refine import from_depth
from recon.splats.rendering import render
from recon.types import Gaussians
from recon.types.cameras import Cameras
from tests.export.browser import Page, decode
from tests.export.true_scene import true_prediction
from tests.splats.scenes import Scene, random_scenes

SCENES = Path(__file__).resolve().parents[2] / "scenes"


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    """Of a picture (H, W, 3) uint8 beside colours from 0 to 1, in dB."""
    error = np.mean((picture / 255.0 - np.clip(truth, 0, 1)) ** 2)
    return float(-10 * np.log10(error + 1e-12))


def sample_scenes(process_res: int = 504, views: int = 4) -> dict[str, Scene]:
    """Both sample scenes at 504 × 378 from their first camera: splats of true depth of the first `views` photos.

    Args:
        process_res: longer side of the photos that splats are made of.
    """
    found = {}
    for folder in sorted(path for path in SCENES.iterdir() if (path / "images").is_dir()):
        prediction = true_prediction(range(views), process_res, scene=folder)
        camera = prediction.cameras[[0]]
        assert camera.intrinsics is not None
        enlarged = np.diag([504 / process_res, 504 / process_res, 1]) @ camera.intrinsics
        cameras = Cameras(camera.world_to_camera, enlarged)
        found[folder.name] = Scene(from_depth(prediction), cameras, (378, 504), (0.2, 0.4, 0.6))
    return found


def compared(page: Page, scene: Scene) -> float:
    """PSNR of what an open page draws of a scene, instead of its own splats, beside the CPU rasterizer."""
    given = f"{_given(scene.gaussians)} {_seen(scene)} recon.show({{ splats: true }});"
    drawn = page.run(f"(async () => {{ {given} return recon.picture(); }})()")
    picture = decode(drawn.partition(",")[2])
    truth = render(scene.gaussians, scene.cameras, scene.size, background=scene.background, rasterizer="cpu").color
    return psnr(picture, truth[0])


def give_splats(page: Page, gaussians: Gaussians) -> None:
    """Put these splats in the place of the page's own; they are not shown yet."""
    page.run(f"(async () => {{ {_given(gaussians)} }})()")


def _given(gaussians: Gaussians) -> str:
    packed = pack_splats(gaussians)
    more = {"count": len(gaussians), "degree": packed.degree, "limits": packed.limits}
    return _given_layer("splats", packed.blocks, more)


def give_mesh(page: Page, mesh: Mesh) -> None:
    """Have the page show this mesh instead of its own, and nothing else."""
    given = _given_layer("mesh", pack_mesh(mesh), {"count": len(mesh.faces)})
    page.run(f"(async () => {{ {given} recon.show({{ mesh: true }}); }})()")


def _given_layer(layer: str, packed: Mapping[str, Packed], more: dict[str, Any]) -> str:
    described = {**more, "blocks": {name: one.described(f"given-{name}") for name, one in packed.items()}}
    texts = {f"given-{name}": base64.b64encode(one.data).decode() for name, one in packed.items()}
    return f"""
        for (const [id, text] of Object.entries({json.dumps(texts)})) {{
            const block = document.createElement("script");
            Object.assign(block, {{ type: "text/plain", id, textContent: text }});
            document.body.append(block);
        }}
        recon.show({{ points: false, sparse: false, mesh: false, photos: false, splats: false }});
        await recon.take("{layer}", {json.dumps(described)});"""


def _seen(scene: Scene) -> str:
    assert scene.cameras.world_to_camera is not None
    assert scene.cameras.intrinsics is not None
    height, width = scene.size
    k = scene.cameras.intrinsics[0].astype(float)
    lens = [k[0, 0].item(), k[1, 1].item(), k[0, 2].item(), k[1, 2].item()]
    rows = scene.cameras.world_to_camera[0, :3].ravel().tolist()
    return f"""
        recon.setSize({width}, {height});
        recon.setBackground({list(scene.background)});
        recon.setCamera({rows}, {lens}, [{width}, {height}]);"""


__all__ = ["compared", "give_mesh", "give_splats", "psnr", "random_scenes", "sample_scenes"]
