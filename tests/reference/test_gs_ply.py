"""The splat PLY against the one that the reference package writes of the same Gaussians."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from recon.export import gs_ply
from recon.export.splats import SplatOptions
from recon.types import Prediction
from tests.reference.stubs import import_reference_api, reference_available
from tests.seeds import numpy_random
from tests.splats.random_gaussians import random_gaussians

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not reference_available(), reason="depth-anything-3 is not installed"),
]
VIEWS, HEIGHT, WIDTH = 5, 70, 98


@pytest.fixture(scope="module")
def save_gaussian_ply():
    import_reference_api()
    from depth_anything_3.utils.gsply_helpers import save_gaussian_ply

    return save_gaussian_ply


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    shape = (VIEWS, HEIGHT, WIDTH)
    generator = numpy_random(0)
    return Prediction(
        depth=generator.gamma(3, 1, shape).astype(np.float32),
        processed_images=np.zeros((*shape, 3), np.uint8),
        gaussians=random_gaussians(VIEWS * HEIGHT * WIDTH, 2),
        gaussian_source="head",
    )


@pytest.mark.parametrize(
    "options",
    [
        SplatOptions(sh_degree=0),
        SplatOptions(sh_degree=0, gs_views_interval=2),
        SplatOptions(sh_degree=0, prune_border=False, prune_by_depth_percent=0.5),
        SplatOptions(sh_degree=0, prune_by_depth_percent=1.0),
        SplatOptions(),
    ],
    ids=["defaults", "every second view", "near half", "border only", "all bands"],
)
def test_the_same_vertices(options, prediction, save_gaussian_ply, tmp_path):
    plyfile = pytest.importorskip("plyfile")
    torch = pytest.importorskip("torch")
    gaussians = prediction.gaussians
    save_gaussian_ply(
        SimpleNamespace(**{name: torch.from_numpy(values)[None] for name, values in vars(gaussians).items()}),
        str(tmp_path / "reference.ply"),
        torch.from_numpy(prediction.depth)[..., None],
        save_sh_dc_only=options.sh_degree == 0,
        gs_views_interval=options.gs_views_interval,
        prune_by_depth_percent=options.prune_by_depth_percent,
        prune_border_gs=options.prune_border,
    )
    written = gs_ply.write(prediction, tmp_path, options)
    expected = plyfile.PlyData.read(tmp_path / "reference.ply")["vertex"].data
    actual = plyfile.PlyData.read(written.files[0])["vertex"].data
    assert actual.dtype == expected.dtype  # the same properties in the same order
    assert len(actual) == len(expected) == written.details["gaussians"]
    # Of opacities 0 and 1 the reference writes infinite logits, recon the largest finite ones.
    expected["opacity"] = expected["opacity"].clip(actual["opacity"].min(), actual["opacity"].max())
    for name in expected.dtype.names:
        np.testing.assert_allclose(actual[name], expected[name], atol=1e-6, err_msg=name)
