"""Photos and cameras find each other by name; what could be another is nobody's."""

from __future__ import annotations

import pytest

from recon.messages import ReconWarning
from recon.sources.name_matches import match_names


def test_equal_names_first_and_each_photo_given_twice_has_its_camera() -> None:
    found = match_names(["b/x.jpg", "x.jpg", "x.jpg"], ["./x.jpg", "b\\x.jpg", "c.jpg"], "model")
    assert found.cameras == (1, 0, 0)
    assert found.unused == (2,)


@pytest.mark.parametrize(
    ("photos", "cameras", "expected", "said"),
    [
        (["IMG_1.JPG"], ["img_1.jpg"], (0,), "upper and lower case"),
        (["1.jpg", "2.jpg"], ["left/2.jpg", "left/1.jpg"], (1, 0), "by the end of their paths"),
        (["scan/left/1.jpg"], ["left/1.jpg"], (0,), "by the end of their paths"),
        (["1.png", "2.png"], ["images/1.JPG", "2.jpeg"], (0, 1), "whatever their suffix"),
    ],
)
def test_what_is_alike_is_bridged_and_said(
    photos: list[str], cameras: list[str], expected: tuple[int, ...], said: str
) -> None:
    with pytest.warns(ReconWarning, match=f"of 'model' {said}"):
        assert match_names(photos, cameras, "model").cameras == expected


@pytest.mark.parametrize(
    ("photos", "cameras"),
    [
        (["a.jpg"], ["left/a.jpg", "right/a.jpg"]),
        (["left/a.jpg", "right/a.jpg"], ["a.jpg"]),
        (["left/a.jpg"], ["right/a.jpg"]),
        (["a.jpg"], ["a.png", "a.tif"]),
        (["a.jpg"], ["b.jpg"]),
    ],
)
def test_what_may_be_another_is_not(photos: list[str], cameras: list[str]) -> None:
    found = match_names(photos, cameras, "model")
    assert set(found.cameras) == {None}
    assert found.unused == tuple(range(len(cameras)))
