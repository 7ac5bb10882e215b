from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, asdict, fields
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from recon.cli.command_settings import ExportSettings
from recon.errors import InputError
from recon.export import EXPORTERS
from recon.options import (
    ExportChoices,
    InferenceOptions,
    RunSettings,
    load_settings,
    settings_names,
)


def write(folder: Path, text: str) -> str:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_help_names_every_format_and_every_bundled_file() -> None:
    source = inspect.getsource(inspect.getmodule(RunSettings))
    for settings in (RunSettings, ExportSettings):
        assert ", ".join(EXPORTERS) in inspect.getsource(inspect.getmodule(settings))
    assert f"or a name: {', '.join(settings_names())}." in source


def test_every_field_has_a_help_text() -> None:
    source = inspect.getsource(inspect.getmodule(RunSettings))
    for field in fields(RunSettings):
        assert f"\n    {field.name}: " in source
        after = source.split(f"\n    {field.name}: ")[1].splitlines()[1]
        assert after.startswith('    """'), field.name


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("process_res", 13, "process_res must be at least 14, got 13"),
        ("process_res", 50.5, "process_res must be a whole number, got 50.5"),
        ("process_res", True, "process_res must be a whole number, got True"),
        ("process_res_method", "resize", "process_res_method must be one of upper_bound_resize"),
        ("ref_view_strategy", "last", "ref_view_strategy must be one of first, middle"),
        ("mixed_sizes", "pad", "mixed_sizes must be one of crop, error"),
        ("export_feat_layers", 3, "export_feat_layers must be a list, got 3"),
        ("export_feat_layers", (3, -1), "export_feat_layers must be 0 or more, got -1"),
        ("export_feat_layers", ("a",), "export_feat_layers must be a whole number, got 'a'"),
        ("conf_thresh_percentile", 101, "conf_thresh_percentile must be 0 to 100"),
        ("conf_thresh_percentile", float("nan"), "conf_thresh_percentile must be 0 to 100"),
        ("conf_thresh_percentile", "40", "conf_thresh_percentile must be a number, got '40'"),
        ("num_max_points", 0, "num_max_points must be above 0"),
        ("feat_vis_fps", 0, "feat_vis_fps must be above 0"),
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


def test_run_settings_hold_the_inference_options() -> None:
    settings = RunSettings(inputs=("a",), process_res=70, export_feat_layers=(1,), strict=True, seed=4)
    assert settings.inputs == (Path("a"),)
    assert settings.inference_options() == InferenceOptions(
        process_res=70, export_feat_layers=(1,), strict=True, seed=4
    )
    assert {f.name for f in fields(ExportChoices)} < set(asdict(settings.inference_options()))


def test_a_file_sets_fields(tmp_path: Path) -> None:
    path = write(tmp_path, "model: da3-small\ninputs: [a, b]\nout: results\nexport_feat_layers: [1, 2]\nseed: 3\n")
    settings = load_settings(path)
    assert settings.inputs == (Path("a"), Path("b"))
    assert settings == RunSettings(
        inputs=(Path("a"), Path("b")), model="da3-small", out=Path("results"), export_feat_layers=(1, 2), seed=3
    )
    assert load_settings(write(tmp_path, "")) == RunSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proces_res: 140", "settings.yaml: unknown key 'proces_res'; did you mean 'process_res'?"),
        ("xyzzy: 1", "settings.yaml: unknown key 'xyzzy'; known keys: inputs, model"),
        ("config: quick", "settings.yaml: unknown key 'config'"),
        ("process_res: big", "settings.yaml: process_res must be a whole number, got 'big'"),
        ("out: 3", "settings.yaml: out must be a path, got 3"),
        ("model: null", "settings.yaml: model must be text, got None"),
        ("inputs: a", "settings.yaml: inputs must be a list, got 'a'"),
        ("engine: torch", "settings.yaml: engine must be one of recon, reference"),
        ("- a\n- b", "settings.yaml: expected `key: value` lines, found a list"),
        ("a: [", "settings.yaml: not a readable YAML file"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        load_settings(write(tmp_path, text))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_absent_file_is_named_with_the_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file; settings known by name: .*quick"):
        load_settings("quik")
    with pytest.raises(InputError, match="no such file"):
        load_settings(str(tmp_path / "quick.yaml"))


@pytest.mark.parametrize("name", settings_names())
def test_bundled_files_can_be_used(name: str) -> None:
    from recon.export import parse_formats
    from recon.models.presets import load_preset

    settings = load_settings(name)
    preset = load_preset(settings.model)
    parse_formats(settings.export)
    assert not (settings.commercial_only and preset.non_commercial)
    assert not (settings.infer_gs and not preset.has_gaussians)
    assert settings != RunSettings()


def test_names_are_those_the_parts_check_against() -> None:
    """Types of settings are written out for the command line; what they allow must be what the parts know."""
    from recon import options as config
    from recon.models import precision, presets, ready, reference_view
    from recon.sources import fitting as preprocess

    assert get_args(config.RefViewStrategy) == reference_view.REF_VIEW_STRATEGIES
    assert get_args(config.Precision) == precision.PRECISIONS
    assert get_args(config.Engine) == ready.ENGINES
    assert preprocess.PATCH == presets.PATCH_SIZE
