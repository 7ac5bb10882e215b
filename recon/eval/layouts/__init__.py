"""The folder layouts that ground truth is read from: one module each, and the table of them."""

from __future__ import annotations

from recon.eval.layouts import (
    blendedmvs,
    cameras_json,
    colmap,
    dtu,
    eth3d,
    hypersim,
    sample,
    scannetpp,
    seven_scenes,
    strecha,
    tanks_and_temples,
    tartanair,
)
from recon.eval.layouts.layout import Layout

LAYOUTS: tuple[Layout, ...] = (
    sample.LAYOUT,
    eth3d.LAYOUT,
    seven_scenes.LAYOUT,
    scannetpp.LAYOUT,
    dtu.LAYOUT,
    strecha.LAYOUT,
    tanks_and_temples.LAYOUT,
    tartanair.LAYOUT,
    blendedmvs.LAYOUT,
    hypersim.LAYOUT,
    colmap.LAYOUT,
    cameras_json.LAYOUT,
)
