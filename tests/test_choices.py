"""Options that commands and functions share: their bounds, and that their names are those of the parts."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import get_args

import numpy as np
import pytest

from recon.choices import InferenceOptions
from recon.errors import InputError


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("process_res", 13, "process_res must be at least 14, or 0, got 13"),
        ("process_res", 50.5, "process_res must be a whole number, got 50.5"),
        ("process_res", True, "process_res must be a whole number, got True"),
        ("process_res_method", "resize", "process_res_method must be one of upper_bound_resize"),
        ("ref_view_strategy", "last", "ref_view_strategy must be one of first, middle"),
        ("mixed_sizes", "pad", "mixed_sizes must be one of own, crop, error"),
        ("export_feat_layers", 3, r"export_feat_layers must be a list, written \[3\], got 3"),
        ("export_feat_layers", (3, -1), "export_feat_layers must be at least 0, got -1"),
        ("export_feat_layers", ("a",), "export_feat_layers must be a whole number, got 'a'"),
        ("conf_thresh_percentile", 101, "conf_thresh_percentile must be 0 to 100"),
        ("conf_thresh_percentile", float("nan"), "conf_thresh_percentile must be a number, got nan"),
        ("conf_thresh_percentile", "40", "conf_thresh_percentile must be a number, got '40'"),
        ("num_max_points", 0, "num_max_points must be at least 1"),
        ("feat_vis_fps", 0, "feat_vis_fps must be at least 1"),
        ("infer_gs", 1, "infer_gs must be true or false, got 1"),
        ("infer_gs", "false", "infer_gs must be true or false, got 'false'"),
        ("seed", -1, "seed must be 0 to"),
    ],
)
def test_wrong_values_name_the_field(name: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        InferenceOptions(**{name: value})


def test_values_of_other_number_types_are_converted() -> None:
    options = InferenceOptions(
        process_res=np.int64(140), conf_thresh_percentile=30, export_feat_layers=np.array([1, 2])
    )
    assert type(options.process_res) is int
    assert type(options.conf_thresh_percentile) is float
    assert options.export_feat_layers == (1, 2)
    with pytest.raises(FrozenInstanceError):
        options.seed = 3  # type: ignore[misc]


def test_names_are_those_the_parts_check_against() -> None:
    """Types of settings are written out for the command line; what they allow must be what the parts know."""
    from recon import choices as config
    from recon.models import precision, presets, ready, reference_view
    from recon.sources import fitting as preprocess

    assert get_args(config.RefViewStrategy) == reference_view.REF_VIEW_STRATEGIES
    assert get_args(config.Precision) == precision.PRECISIONS
    assert get_args(config.Engine) == ready.ENGINES
    assert preprocess.PATCH == presets.PATCH_SIZE
