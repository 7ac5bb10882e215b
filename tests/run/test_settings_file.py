from __future__ import annotations

from pathlib import Path

import pytest

from recon.cli.run import RunSettings
from recon.errors import InputError
from recon.run.settings_file import read_settings_file, settings_names


def write(folder: Path, text: str) -> str:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def load(name_or_path: str) -> RunSettings:
    return RunSettings(**read_settings_file(name_or_path, RunSettings))


def test_a_file_sets_fields(tmp_path: Path) -> None:
    path = write(tmp_path, "model: da3-small\ninputs: [a, b]\nout: results\nexport_feat_layers: [1, 2]\nseed: 3\n")
    settings = load(path)
    assert settings.inputs == (Path("a"), Path("b"))
    assert settings == RunSettings(
        inputs=(Path("a"), Path("b")), model="da3-small", out=Path("results"), export_feat_layers=(1, 2), seed=3
    )
    assert load(write(tmp_path, "")) == RunSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proces_res: 140", "settings.yaml: unknown key 'proces_res'; did you mean 'process_res'?"),
        ("xyzzy: 1", "settings.yaml: unknown key 'xyzzy'; known: "),
        ("config: quick", "settings.yaml: config belongs on the command line, as --config"),
        ("process_res: big", "settings.yaml: process_res must be a whole number, got 'big'"),
        ("out: 3", "settings.yaml: out must be a path, got 3"),
        ("model: null", "settings.yaml: model must be text, got None"),
        ("inputs: a", "settings.yaml: inputs must be a list, written [a], got 'a'"),
        ("engine: torch", "settings.yaml: engine must be one of recon, reference"),
        ("- a\n- b", "settings.yaml: expected `key: value` lines, found a list"),
        ("a: [", "settings.yaml: not a YAML file"),
        ("out: 2020-13-45", "settings.yaml: not a YAML file"),
        ("model: " + 5000 * "[", "settings.yaml: not a YAML file"),
        ("seed: 1\nmodel: mvs\nseed: 2", "settings.yaml: seed is given twice, in lines 1 and 3"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        load(write(tmp_path, text))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_absent_file_is_named_with_the_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file; settings known by name: .*quick"):
        load("quik")
    with pytest.raises(InputError, match="no such file"):
        load(str(tmp_path / "quick.yaml"))


@pytest.mark.parametrize("name", settings_names())
def test_bundled_files_can_be_used(name: str) -> None:
    from recon.export import parse_formats
    from recon.models.presets import load_preset

    settings = load(name)
    preset = load_preset(settings.model)
    parse_formats(settings.export)
    assert not (settings.commercial_only and preset.non_commercial)
    assert not (settings.infer_gs and not preset.has_gaussians)
    assert settings != RunSettings()
