"""What renders and moves splats, by the name of its rasterizer. A new one is a file and a line in the table."""

from __future__ import annotations

from collections.abc import Callable

from recon.choices import RasterizerName
from recon.refine.optimisation.cpu_updater import CpuUpdater
from recon.refine.optimisation.state import AdamSplats
from recon.refine.optimisation.updater import SplatUpdater
from recon.splats.rendering import choose_rasterizer


def open_updater(rasterizer: RasterizerName, splats: AdamSplats, threads: int | None) -> SplatUpdater:
    """Of `splats`; `threads` of the CPU. Raises InputError where it cannot run on this machine."""
    return UPDATERS[choose_rasterizer(rasterizer).name](splats, threads)


def _gsplat(splats: AdamSplats, threads: int | None) -> SplatUpdater:
    from recon.refine.optimisation.gsplat_updater import open_gsplat_updater

    return open_gsplat_updater(splats)


UPDATERS: dict[str, Callable[[AdamSplats, int | None], SplatUpdater]] = {"cpu": CpuUpdater, "gsplat": _gsplat}
