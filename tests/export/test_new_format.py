"""A format is a module of its own and a line in the table: nothing else has to know of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

import recon.models.ready
from recon.choices import ExportChoices, InferenceOptions
from recon.cli.main import main
from recon.errors import InputError
from recon.export import EXPORTERS, Exported, Exporter, Needs, export
from recon.files import atomic_write
from recon.options import Options, like, option
from recon.run.pipeline import reconstruct
from recon.types import Prediction
from tests.fake_network import WIDTH, fake_model, fake_ready, photos, save_photos


@dataclass(frozen=True, kw_only=True)
class TallyOptions(Options):
    """What the toy counts."""

    start: int = option(0, help="Where counting begins.", least=0)
    ceiling: int = like(ExportChoices, "num_max_points", help="Count no further.")


def write_tally(prediction: Prediction, folder: Path, options: TallyOptions) -> Exported:
    path = folder / "tally.json"
    gaussians = 0 if prediction.gaussians is None else len(prediction.gaussians)
    counts = {"views": len(prediction.depth), "gaussians": gaussians, "layers": sorted(prediction.features)}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({**counts, "start": options.start, "ceiling": options.ceiling}))
    return Exported((path,))


def add(monkeypatch: pytest.MonkeyPatch, needs: Needs = Needs()) -> None:  # noqa: B008 (frozen)
    """The line in the table."""
    monkeypatch.setitem(EXPORTERS, "tally", Exporter("tally", TallyOptions, write_tally, ("tally.json",), needs))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with `photos/` of two images; every network is a fake one."""
    monkeypatch.chdir(tmp_path)
    save_photos(tmp_path / "photos", 2)
    monkeypatch.setattr(recon.models.ready, "ready_model", lambda name, **_: fake_ready(name))
    return tmp_path


def test_from_python(monkeypatch, tmp_path):
    add(monkeypatch, Needs(gaussians=True, features=True, least_views=2))
    options = InferenceOptions(process_res=WIDTH, export_feat_layers=(3,), num_max_points=17)
    overrides = {"tally": {"start": 4}}
    result = reconstruct(
        fake_model(),
        photos(2),
        options=options,
        export_dir=tmp_path,
        export_format="npz-tally",
        export_kwargs=overrides,
    )
    written = json.loads((tmp_path / "tally.json").read_text())
    assert written == {
        "views": 2,
        "gaussians": len(result.prediction.gaussians),
        "layers": [3],
        "start": 4,
        "ceiling": 17,
    }
    assert written["gaussians"] > 0
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["exports"]["tally"]["files"][0]["path"] == "tally.json"


def test_from_the_command_line(monkeypatch, folder, capsys):
    add(monkeypatch, Needs(gaussians=True))
    flags = ["--model", "da3-small", "--process-res", "70", "--export-kwargs", "tally.start=4"]
    assert main(["run", "photos", "--export", "npz-tally", "--num-max-points", "17", "--out", "o", *flags]) == 0
    written = json.loads((folder / "o/tally.json").read_text())
    assert (written["start"], written["ceiling"]) == (4, 17)
    assert written["gaussians"] > 0
    assert main(["export", "o/exports/npz/results.npz", "--to", "tally", "--gs-budget", "9", "--out", "again"]) == 0
    assert json.loads((folder / "again/tally.json").read_text())["gaussians"] <= 9
    capsys.readouterr()
    for command in ("run", "export", "mono"):
        assert main([command, "--help"]) == 0
        assert "tally" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run photos --export tally --export-kwargs tally.start=-1", "tally.start must be at least 0"),
        ("run photos --export tally --export-kwargs tally.end=1", "unknown option 'end' for export format 'tally'"),
        ("run photos --export tally --show-cameras", None),
        ("run photos --export tally --feat-vis-fps 9", "--feat-vis-fps is for the export format feat_vis"),
        ("run photos --export npz --num-max-points 9", "nerfstudio and html and tally"),
        ("run photos --export npz --export-kwargs tally.start=1", "tally has options"),
    ],
)
def test_its_options_are_checked_like_all_others(arguments, message, monkeypatch, folder, capsys):
    add(monkeypatch)
    status = main([*arguments.split(), "--model", "da3-small", "--process-res", "70"])
    assert status == (0 if message is None else 2)
    assert message is None or message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("needs", "model", "arguments", "message"),
    [
        (Needs(features=True), "da3-small", "run photos", "--export-feat-layers"),
        (Needs(features=True), "da3mono-large", "mono photos", "tally needs the features"),
        (Needs(cameras=True), "da3mono-large", "run photos", "tally of 2 views need"),
        (Needs(least_views=2), "da3-small", "run photos/0.png", "tally needs at least 2 views"),
        (Needs(least_views=2), "da3mono-large", "mono photos", "tally needs several views"),
    ],
)
def test_a_run_that_lacks_what_it_needs_is_refused(needs, model, arguments, message, monkeypatch, folder, capsys):
    add(monkeypatch, needs)
    assert main([*arguments.split(), "--model", model, "--process-res", "70", "--export", "tally"]) == 2
    assert message in capsys.readouterr().err
    assert not list(folder.rglob("tally.json"))


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (Needs(features=True), "export_feat_layers"),
        (Needs(gaussians=True), "gaussians 'auto', 'head' or 'depth'"),
        (Needs(cameras=True), "no extrinsics"),
        (Needs(least_views=4), "at least 4 views"),
    ],
)
def test_a_prediction_that_lacks_what_it_needs_is_refused(needs, message, monkeypatch, make_prediction, tmp_path):
    add(monkeypatch, needs)
    with pytest.raises(InputError, match=message):
        export(make_prediction(cameras=False), "tally", tmp_path)
    assert export(make_prediction(views=4, gaussians=True, layers=(1,)), "tally", tmp_path)
