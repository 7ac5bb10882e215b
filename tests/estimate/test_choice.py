from __future__ import annotations

from pathlib import Path

import pytest

import recon.estimate.choice
import recon.sfm.structure_from_motion
from recon.cli.main import main
from recon.errors import InputError
from recon.estimate.choice import choose_model
from recon.models.presets import load_preset
from tests.fake_hub import FakeHub


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch):
    """Function that says which presets are in the cache, and whether the hub answers."""

    def prepare(*cached: str, hub: bool = False) -> None:
        repos = {load_preset(name).hub_repo for name in cached}
        monkeypatch.setattr(recon.estimate.choice, "is_cached", lambda repo, files: repo in repos)
        monkeypatch.setattr(recon.estimate.choice, "is_reachable", lambda repo: hub)

    return prepare


@pytest.mark.parametrize(
    ("cached", "hub", "commercial_only", "expected"),
    [
        ((), False, False, "mvs"),
        ((), True, False, "da3-large"),
        ((), True, True, "da3-base"),
        (("da3-small",), True, False, "da3-small"),
        (("da3-small", "da3-large"), False, False, "da3-large"),
        (("da3-large",), False, True, "mvs"),
        (("da3-giant",), False, False, "da3-giant"),
        (("da3mono-large", "depth-anything-v2-small"), False, False, "mvs"),
    ],
)
def test_the_best_that_can_be_had(there, cached, hub: bool, commercial_only: bool, expected: str) -> None:
    there(*cached, hub=hub)
    assert choose_model(commercial_only) == expected


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tests.fake_network import save_photos

    monkeypatch.chdir(tmp_path)
    save_photos(tmp_path / "photos", 2)
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "said"), [([], "no weights of Depth Anything 3 on"), (["--commercial-only"], "3 for commercial use on")]
)
def test_without_weights_the_command_says_how_to_get_them(
    there,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    there(*(["da3-large"] if flags else []))

    def stop(*_: object, **__: object) -> None:
        raise InputError("found nothing")

    monkeypatch.setattr(recon.sfm.structure_from_motion, "structure_from_motion", stop)
    assert main(["run", "photos", *flags]) == 2
    warning, *_, error = capsys.readouterr().err.splitlines()
    assert warning.startswith("recon: warning: no weights of Depth Anything 3")
    assert said in warning
    assert "--weights FOLDER" in warning
    assert error == "recon: error: found nothing"


def test_a_single_photo_needs_a_network(there, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there()
    assert main(["run", "photos/0.png"]) == 2
    assert "one photo shows no depth to multi-view stereo" in capsys.readouterr().err


def test_a_named_model_is_never_replaced(there, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there()
    assert main(["run", "photos", "--model", "da3-small", "--weights", "./none"]) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_whether_the_hub_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from recon.models.hub import is_reachable

    repo = tmp_path / "hub" / "depth-anything" / "DA3-SMALL"
    repo.mkdir(parents=True)
    (repo / "config.json").write_text("{}")

    def use(url: str) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")

    with FakeHub(tmp_path / "hub") as hub:
        use(hub.url)
        assert is_reachable("depth-anything/DA3-SMALL")
        assert not is_reachable("depth-anything/OTHER")
    use("http://127.0.0.1:9")
    assert not is_reachable("depth-anything/DA3-SMALL")


def test_the_demo_knows_its_scenes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--scene", "castle"]) == 2
    assert "no sample scene 'castle'; there are courtyard, table" in capsys.readouterr().err


def test_an_evaluation_without_results_or_ground_truth(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "photos"]) == 2
    assert "'photos' holds no exports/npz/results.npz" in capsys.readouterr().err
    assert main(["eval"]) == 2
    assert "nothing to evaluate" in capsys.readouterr().err
    assert main(["eval", "photos", "--model", "mvs"]) == 2
    assert "none of the known layouts" in capsys.readouterr().err
