"""Cameras and points of structure from motion, moved to where the GPS of the photos says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recon.geometry.geodesy import GeoPosition, east_north_up, middle_of
from recon.geometry.georeferencing import FEWEST, fit_to_positions
from recon.sfm.georeference import Georeference
from recon.sfm.photos import SfmPhoto
from recon.sfm.result import SfmResult


def georeferenced(result: SfmResult, photos: Sequence[SfmPhoto], seed: int = 0) -> SfmResult:
    """The result in metres east (x), north (y) and up (z) of the middle of the photos, as far as GPS tells.

    Args:
        result: of a free scale.
        photos: the N that it was made of.
        seed: of the search among the positions.

    Returns:
        The result as it is where no photo has a position; with a `georeference` otherwise, which says what was done.
        Of the views of a rig, which have one centre, the first one counts.
    """
    views = _views_with_position(result, photos)
    if not views:
        return result
    positions = [photos[int(result.registered[view])].gps for view in views]
    found = [one for one in positions if one is not None]
    altitudes = any(one.altitude is not None for one in found)
    if altitudes:  # a position without says too little beside others
        views = [view for view, one in zip(views, found, strict=True) if one.altitude is not None]
        found = [one for one in found if one.altitude is not None]
    names = tuple(result.registered_names[view] for view in views)
    count = len(result.registered)
    if len(views) < FEWEST:
        return replace(result, georeference=Georeference("free", names, count, altitudes=altitudes))
    numbers = np.array([(one.latitude, one.longitude, one.altitude or 0.0) for one in found])
    middle = middle_of(numbers)
    assert result.cameras.world_to_camera is not None
    accuracies = np.array([np.nan if one.accuracy is None else one.accuracy for one in found])
    fit = fit_to_positions(result.cameras.world_to_camera[views], east_north_up(numbers, middle), seed, accuracies)
    latitude, longitude, height = middle.tolist()
    origin = GeoPosition(latitude, longitude, height if altitudes else None)
    placed = replace(result, georeference=Georeference.of(fit, names, count, origin, altitudes))
    return placed if fit.similarity is None else placed.moved(fit.similarity, "metric")


def _views_with_position(result: SfmResult, photos: Sequence[SfmPhoto]) -> list[int]:
    """Rows of the registered photos that know where they were taken, one of each rig."""
    rigs: set[str] = set()
    views = []
    for view, index in enumerate(result.registered.tolist()):
        photo = photos[index]
        if photo.gps is None or (photo.rig is not None and photo.rig.name in rigs):
            continue
        if photo.rig is not None:
            rigs.add(photo.rig.name)
        views.append(view)
    return views
