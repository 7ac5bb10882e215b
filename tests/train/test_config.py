"""Configurations: what is not known, or cannot be, is named in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml

from recon.cli.main import main
from recon.errors import InputError
from recon.models.presets import load_preset
from recon.options import options_of
from recon.train.config import SECTIONS, MainOptions, config_of, read_config
from recon.train.data.settings import DataOptions, SetOptions
from recon.train.learning_options import LearningOptions
from recon.train.parts import encoder_of, freeze, parameter_groups, part_of_name
from recon.train.prior import MeanDepthMap, best_constant
from recon.train.schedule import average_decay, rate_factor
from recon.train.setup import set_up
from recon.train.terms import TERMS, family_of, weights_of
from tests.seeds import numpy_random
from tests.train.settings import config

LEAST = {"network": "tiny-any-view", "steps": 10, "data": {"sets": []}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": {}}, "unknown key 'optimizer'; did you mean 'optimiser'?"),
        ({"optimiser": {"decoder_rat": 1}}, "unknown key 'optimiser.decoder_rat'; did you mean 'decoder_rate'?"),
        ({"losses": {"camara": 1}}, "unknown key 'losses.camara'; did you mean 'camera'?"),
        ({"losses": {"camera": -1}}, "losses.camera must be a number of at least 0, got -1"),
        ({"losses": {"camera": "much"}}, "losses.camera must be a number of at least 0, got 'much'"),
        ({"optimiser": {"clip": "no"}}, "optimiser.clip must be a number, got 'no'"),
        ({"optimiser": {"average": 1.0}}, "optimiser.average must be at least 0 and below 1, got 1.0"),
        ({"optimiser": 3}, "optimiser must be a mapping"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": None}, "steps must be a whole number"),
        ({"precision": "fp8"}, "precision must be one of fp32, bf16"),
        ({"data": []}, "data must be a mapping"),
    ],
)
def test_what_is_wrong_is_named(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"my.yaml: {message}")):
        config_of(LEAST | change, "my.yaml")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="needs network and steps and data"):
        config_of({"seed": 1})


def test_numbers_as_people_write_them() -> None:
    """YAML takes 1e-4 for text."""
    text = (
        "network: tiny-any-view\nsteps: 10\noptimiser: {encoder_rate: 1e-4, betas: [0.9, 99e-2]}\nlosses: {depth: 2e0}"
    )
    found = config_of(yaml.safe_load(text) | {"data": {}})
    assert found.optimiser.encoder_rate == 1e-4
    assert found.optimiser.betas == (0.9, 0.99)
    assert found.losses == {"depth": 2.0}


class TestFiles:
    def test_changes_of_the_command_line(self, tmp_path: Path) -> None:
        path = tmp_path / "my.yaml"
        path.write_text(yaml.safe_dump(LEAST | {"data": {"sets": [{"paths": ["a"]}]}}))
        changes = ["optimiser.decoder_rate=1e-3", "steps=7", "data.sets.0.paths=[b, c]", "losses={depth: 1}"]
        found = read_config(str(path), changes)
        assert found.main.steps == 7
        assert found.optimiser.decoder_rate == 1e-3
        assert found.data["sets"][0]["paths"] == ["b", "c"]
        assert found.losses == {"depth": 1.0}
        assert config_of(found.entries()).entries() == found.entries()
        for change, named in (("steps", "KEY=VALUE"), ("data.sets.4.paths=[x]", "4"), ("steps.x=1", "x")):
            with pytest.raises(InputError, match=named):
                read_config(str(path), [change])

    @pytest.mark.parametrize(
        ("content", "named"), [("- 1", "list"), ("a: [", "YAML"), ("", "nothing"), ("some words", "text without keys")]
    )
    def test_what_is_no_configuration(self, content: str, named: str, tmp_path: Path) -> None:
        (tmp_path / "my.yaml").write_text(content)
        with pytest.raises(InputError, match=rf"my\.yaml.*{named}"):
            read_config(str(tmp_path / "my.yaml"))

    def test_what_set_brings_is_not_the_files(self, tmp_path: Path) -> None:
        path = tmp_path / "my.yaml"
        path.write_text(yaml.safe_dump(LEAST))
        for change, said in (
            ("stepz=7", "--set stepz=7: unknown key 'stepz'"),
            ("freeze=encodr", r"--set freeze=encodr: freeze must be a list, written \[encodr\], got 'encodr'"),
        ):
            with pytest.raises(InputError, match=f"^{said}"):
                read_config(str(path), ["seed=1", change])
        path.write_text(yaml.safe_dump(LEAST | {"steps": 0}))
        with pytest.raises(InputError, match=r"my\.yaml: steps must be at least 1"):
            read_config(str(path), ["seed=1"])

    def test_of_an_interruption_the_first_process_speaks(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def interrupted(*given: object) -> None:
            raise KeyboardInterrupt("interrupted after step 3")

        monkeypatch.setattr("recon.train.config.read_config", interrupted)
        assert main(["train", "tiny"]) == 1
        assert "interrupted after step 3" in capsys.readouterr().err
        monkeypatch.setenv("RANK", "1")
        with pytest.raises(SystemExit) as ended:
            main(["train", "tiny"])
        assert (ended.value.code, capsys.readouterr().err) == (1, "")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=f"{tmp_path} is a folder; give a YAML file"):
            read_config(str(tmp_path))

    def test_what_makes_the_data_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["train", "tiny"]) == 2
        assert "tests.synthetic training outputs/training_scenes/train && python" in capsys.readouterr().err
        assert main(["train", "finetune-scene"]) == 2
        assert "recon run PHOTOS --model mvs --export npz --out outputs/scene" in capsys.readouterr().err
        assert main(["train", "tiny", "--set", "data.sets=[{paths: [gone]}]"]) == 2
        said = capsys.readouterr().err
        assert "tiny.yaml with --set: data.sets[0]: 'gone' does not exist" in said
        assert "synthetic" not in said

    def test_names_that_are_not_there(self) -> None:
        with pytest.raises(InputError, match="no such file; configurations known by name"):
            read_config("nothing-like-it")

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["missing.yaml"], "missing.yaml: no such file"),
            ([], "takes one CONFIG"),
            (["my.yaml"], "my.yaml: data"),
            (["my.yaml", "--set", "network=da3-smal"], "da3-small"),
            (["my.yaml", "--set", "network=da3nested-giant-large"], "two networks"),
            (["my.yaml", "--set", "losses={log: 1}"], "losses.log"),
            (["my.yaml", "--set", "losses={depth: 0}"], "nothing to learn"),
            (["my.yaml", "--set", "freeze=[decodr]"], "did you mean 'decoder'"),
            (["my.yaml", "--set", "weights=official"], "no official weights"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_the_command_says_it_in_one_line(
        self,
        arguments: list[str],
        named: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        scene = Path(__file__).parents[2] / "scenes" / "courtyard"
        data = {"sets": [{"paths": [str(scene)], "limit": 2}], "process_res": 28, "patches": 4, "workers": 1}
        good = {"network": "tiny-any-view", "weights": "none", "steps": 1, "device": "cpu", "data": data}
        bad = good | {"data": {"sets": []}} if arguments == ["my.yaml"] else good
        (tmp_path / "my.yaml").write_text(yaml.safe_dump(bad))
        assert main(["train", *arguments]) == 2
        *_, last = capsys.readouterr().err.strip().splitlines()
        assert named in last
        assert "error:" in last
        assert not list((tmp_path).glob("outputs/train/*/model"))


def test_every_key_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--keys"]) == 0
    shown = capsys.readouterr().out
    keys = set(re.findall(r"^ *(\w+):", shown, re.MULTILINE))
    classes = (MainOptions, *SECTIONS.values(), SetOptions, DataOptions)
    assert keys >= {*TERMS, *SECTIONS, *(name for cls in classes for name in options_of(cls))}
    assert "decoder_rate: 5e-05" in shown


class TestTerms:
    @pytest.mark.parametrize("name", ["tiny-any-view", "tiny-single-view", "tiny-monocular", "da3metric-large"])
    def test_networks_have_usual_terms_that_fit(self, name: str) -> None:
        preset = load_preset(name)
        found = weights_of(preset, {})
        assert found
        assert all(family_of(preset) in TERMS[term].usual for term in found)

    def test_a_term_that_does_not_fit(self) -> None:
        with pytest.raises(InputError, match=r"losses.camera: depth-anything-v2-small.*affine_invariant"):
            weights_of(load_preset("depth-anything-v2-small"), {"camera": 1.0})

    def test_metres_are_learned_by_the_log_loss(self) -> None:
        assert weights_of(load_preset("depth-anything-v2-metric-indoor-small"), {})["log"] == 1
        assert LearningOptions().feature_tolerance == 0.85


def test_rates_and_decay_are_where_they_belong() -> None:
    settings = config(optimiser={"encoder_rate": 1e-6, "decoder_rate": 1e-5, "weight_decay": 0.1})
    network = set_up(settings, torch.device("cpu")).network
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = parameter_groups(network, settings.optimiser)
    found = {names[id(one)]: (group["lr"], group["weight_decay"]) for group in groups for one in group["params"]}
    assert found.keys() == set(names.values())
    assert found["backbone.pretrained.blocks.0.attn.qkv.weight"] == (1e-6, 0.1)
    assert found["backbone.pretrained.blocks.0.attn.qkv.bias"] == (1e-6, 0)
    assert found["backbone.pretrained.pos_embed"] == (1e-6, 0)
    assert found["head.scratch.refinenet1.out_conv.weight"] == (1e-5, 0.1)
    assert found["cam_dec.fc_t.bias"] == (1e-5, 0)


@pytest.mark.parametrize("name", ["da3-giant", "da3mono-large", "depth-anything-v2-small"])
def test_every_parameter_has_a_part(name: str) -> None:
    from recon.models.build import build_network

    with torch.device("meta"):
        network = build_network(load_preset(name).network)
    parts = {part_of_name(key) for key, _ in network.named_parameters()}
    assert {"encoder", "decoder"} <= parts
    assert encoder_of(network).config == load_preset(name).encoder
    freeze(network, ())
    if name == "da3-giant":  # no loss is for its Gaussians
        frozen = {part_of_name(key) for key, one in network.named_parameters() if not one.requires_grad}
        assert frozen == {"gaussians"}
    with pytest.raises(InputError, match="nothing to learn"):
        freeze(network, ("encoder", "decoder", "cameras"))


class TestSchedule:
    def test_rates_rise_and_fall(self) -> None:
        linear = [rate_factor(step, 100, 10, "linear") for step in range(100)]
        assert linear[0] == pytest.approx(1 / 11)
        assert linear[10] == 1
        assert linear[55] == pytest.approx(0.5)
        assert 0 < linear[99] < 0.02
        assert rate_factor(55, 100, 10, "cosine") == pytest.approx(0.5)
        assert rate_factor(32, 100, 10, "cosine") > rate_factor(32, 100, 10, "linear")
        assert rate_factor(99, 100, 10, "none") == 1

    def test_the_average_is_short_at_first(self) -> None:
        assert average_decay(0, 0.999) == 0.1
        assert average_decay(10**6, 0.999) == 0.999


class TestPriors:
    def test_the_best_constant_is_the_best(self) -> None:
        truth = numpy_random(0).lognormal(1, 0.7, 501)
        best = best_constant(truth)

        def error(constant: float) -> float:
            return float(abs(constant - truth).__truediv__(truth).mean())

        assert error(best) <= min(error(best * factor) for factor in (0.9, 0.97, 0.99, 1.01, 1.03, 1.1))

    def test_the_mean_map_is_that_of_log_depth_in_units_of_its_mean(self) -> None:
        near, far = torch.full((1, 1, 64, 64), 2.0), torch.full((1, 1, 64, 64), 2.0)
        near[..., :32], far[..., :32] = 1.0, 4.0
        found = MeanDepthMap()
        assert found.depth(8, 8) is None
        valid = torch.ones_like(near, dtype=torch.bool)
        valid[..., :4] = False
        for depth in (near, 10 * far):  # the unit of a view does not matter
            found.add(torch.where(valid, depth, torch.nan), valid, several_views=False)
        units = near[valid].mean() * far[valid].mean()
        left, right = ((1 * 4 / units) ** 0.5, (2 * 2 / units) ** 0.5)  # means of logs
        prior = found.depth(64, 64)
        assert prior[32, 16] == pytest.approx(float(left), rel=1e-5)
        assert prior[32, 48] == pytest.approx(float(right), rel=1e-5)
        again = MeanDepthMap()
        again.resume(found.state())
        assert (again.depth(8, 8) == found.depth(8, 8)).all()
