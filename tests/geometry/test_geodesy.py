"""Positions on the earth, beside the worked examples of EPSG Guidance Note 7-2."""

from __future__ import annotations

import numpy as np

from recon.geometry.geodesy import east_north_up, geocentric, middle_of

PLACE = np.array([53 + 48 / 60 + 33.82 / 3600, 2 + 7 / 60 + 46.38 / 3600, 73.0])


def test_geocentric_coordinates_are_those_of_method_9602() -> None:
    np.testing.assert_allclose(geocentric(PLACE), [3771793.968, 140253.342, 5124304.349], atol=0.01)


def test_topocentric_coordinates_are_those_of_method_9837() -> None:
    found = east_north_up(PLACE[None], np.array([55.0, 5.0, 200.0]))
    np.testing.assert_allclose(found[0], [-189013.869, -128642.040, -4220.171], atol=0.01)


def test_the_middle_is_found_across_the_date_line_and_beside_a_place_elsewhere() -> None:
    positions = np.array([[10.0, 179.9999, 5.0], [10.0, -179.9999, 7.0], [10.0, 180.0, 6.0], [48.0, 11.0, 500.0]])
    latitude, longitude, height = middle_of(positions[:3])
    assert (latitude, abs(longitude), height) == (10, 180, 6)
    assert middle_of(positions)[0] == 10
