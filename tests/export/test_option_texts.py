"""Values of the command line get the type of their option, whatever they look like."""

from __future__ import annotations

from typing import Any

import pytest

from recon.errors import InputError
from recon.export import check_options
from recon.export.option_texts import parse_export_kwargs


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("glb.camera_size=0.05", 0.05),
        ("glb.camera_size=1e-2", 0.01),
        ("glb.conf_thresh_percentile=10", 10.0),
        ("glb.num_max_points=007", 7),
        ("glb.filter_black_bg=true", True),
        ("glb.filter_black_bg=No", False),
        ("feat_vis.fps=3", 3),
        ("gs_video.trj_mode=wander", "wander"),
        ("gs_video.output_name=2024-01-01", "2024-01-01"),
        ("gs_video.output_name=007", "007"),
        ("gs_video.output_name=off", "off"),
        ("gs_video.output_name=a=b", "a=b"),
        ("gs_video.vis_depth=none", "none"),
        ("gs_video.render_hw=[56, 70]", (56, 70)),
    ],
)
def test_a_value_has_the_type_of_its_option(item: str, value: object) -> None:
    parsed = parse_export_kwargs([item])
    ((name, options),) = parsed.items()
    (option,) = options
    chosen = getattr(check_options(parsed)[name], option)
    assert chosen == value
    assert type(chosen) is type(value)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("glb.camera_size=big", "glb.camera_size must be a number, got 'big'"),
        ("glb.num_max_points=5.5", "glb.num_max_points must be a whole number, got"),
        ("glb.num_max_points=true", "must be a whole number, got"),
        ("glb.filter_black_bg=1", "must be true or false, got"),
        ("glb.size=1", "unknown option 'size' for export format 'glb'"),
        ("glob.size=1", "unknown export format 'glob'"),
        ("gs_video.trj_mode=off", "'off'"),
        ("gs_video.render_hw=[", "gs_video.render_hw must be"),
    ],
)
def test_what_an_option_does_not_take_is_refused(item: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_options(parse_export_kwargs([item]))


def test_options_of_one_format_are_gathered_and_the_last_counts() -> None:
    items = ["glb.camera_size=0.1", "feat_vis.fps=3", "glb.show_cameras=false", "glb.camera_size=0.2"]
    expected: dict[str, dict[str, Any]] = {"glb": {"camera_size": 0.2, "show_cameras": False}, "feat_vis": {"fps": 3}}
    assert parse_export_kwargs(items) == expected


@pytest.mark.parametrize("item", ["glb", "glb.camera_size", "camera_size=1", ".a=1", "glb.=1"])
def test_malformed(item: str) -> None:
    with pytest.raises(InputError, match="export_kwargs must look like"):
        parse_export_kwargs([item])
