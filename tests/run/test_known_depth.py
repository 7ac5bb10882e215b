"""What is known not to be there is refused before a model is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from recon.choices import InferenceOptions
from recon.errors import InputError
from recon.run.given_cameras import GivenCameras
from recon.run.known_depth import check_known_depth
from recon.sources.open_source import open_source


@pytest.mark.parametrize(
    ("prior", "cameras", "said"),
    [
        ("measured", None, "depth_prior measured"),
        ("measured", "sfm", "depth_prior measured"),
        ("points", None, "depth_prior points"),
        ("points", "sfm", None),
        ("points", "a/model", None),
    ],
)
def test_depth_that_nothing_brings(tmp_path: Path, prior: str, cameras: str | None, said: str | None) -> None:
    for name in "ab":
        Image.new("RGB", (28, 28)).save(tmp_path / f"{name}.png")
    source, options = open_source(tmp_path), InferenceOptions(depth_prior=(prior,))
    if said is None:
        check_known_depth(source, GivenCameras(source=cameras), options)
        return
    with pytest.raises(InputError, match=said):
        check_known_depth(source, GivenCameras(source=cameras), options)


def test_parts_of_a_model_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (28, 28)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="model points"):
        check_known_depth(open_source(tmp_path), GivenCameras(), InferenceOptions(), ("da3-small", "points"))
