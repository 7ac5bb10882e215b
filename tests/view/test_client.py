"""`recon run --server`: what is sent, and what is refused, by a service whose jobs the test does."""

from __future__ import annotations

import json
import threading

import pytest

from recon.cli.main import main
from recon.errors import InputError
from recon.view.client import RemoteService, SentFile
from tests.fake_network import save_photos
from tests.view.service.conftest import DONE, serving


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECON_TOKEN", raising=False)
    save_photos(tmp_path / "photos", 2)
    (tmp_path / "photos" / ".hidden").write_text("no")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--server", "http://127.0.0.1:1"], "127.0.0.1:1"),
        (["--server", "ftp://here"], "ftp://here"),
        (["--server", "http://127.0.0.1:x"], "server"),
        (["--server", "http://127.0.0.1:1", "--weights", "none"], "weights"),
        (["--server", "http://127.0.0.1:1", "--masks", "none"], "masks"),
    ],
)
def test_what_is_refused_here(photos, arguments, said, capsys):
    assert main(["run", "photos", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (photos.parent / "outputs").exists()


def test_splats_are_trained_here(photos, capsys):
    assert main(["train-splats", "photos", "--server", "http://127.0.0.1:1"]) == 2
    assert "train-splats" in capsys.readouterr().err


PRIOR = ["--depth-prior", "points", "--num-max-points", "9"]


def ended(service, end, result):
    """Do the next job."""
    folder = service.worker.begun.get(timeout=20)
    for name, content in result.items():
        (folder / "result" / name).write_text(content)
    service.worker.ends.put(end)


def test_files_and_settings_arrive_and_what_leads_out_is_not_fetched(photos, tmp_path, capsys):
    (photos.parent / "cameras.json").write_text("{}")
    with serving(tmp_path / "runs") as service:
        files = [{"path": name, "bytes": 1} for name in ("a.txt", "../../evil.txt", "run.json")]
        doing = threading.Thread(target=ended, args=(service, {**DONE, "files": files}, {"run.json": "{}"}))
        doing.start()
        command = ["run", "photos", "--server", f"127.0.0.1:{service.port}", "--config", "quick", "--limit", "2"]
        assert main([*command, "--cameras", "cameras.json", "--depth-prior", "photos", *PRIOR]) == 2
        doing.join()
        assert "evil.txt" in capsys.readouterr().err
        assert not (photos.parent / "outputs").exists()
        (run,) = service.ask("GET", "/v1/runs").json["runs"]
        run = service.ask("GET", f"/v1/runs/{run['id']}").json
        assert [file["path"] for file in run["inputs"]] == ["0.png", "1.png"]
        assert (run["name"], run["preset"]) == ("photos", "quick")
        expected = {"model": "da3-small", "process_res": 336, "num_max_points": 9, "limit": 2}
        expected["depth_prior"] = ["given/depth_prior", "points"]
        expected |= {"cameras": "given/cameras/cameras.json", "export": "mini_npz-glb-depth_vis-html"}
        assert run["settings"] == expected


def test_formats_that_were_not_asked_for_stay_there(photos, tmp_path, capsys):
    listed = {"ply": ["points.ply", "both.txt"], "html": ["view.html", "both.txt"]}
    exports = {name: {"files": [{"path": one, "bytes": 1} for one in names]} for name, names in listed.items()}
    record = {"state": "done", "exports": exports, "settings": {"export": "ply-html"}}
    names = ["points.ply", "both.txt", "view.html", "run.json"]
    content = {**dict.fromkeys(names, "x"), "run.json": json.dumps(record)}
    files = [{"path": name, "bytes": len(content[name])} for name in names]
    summary = {"views": 2, "width": 42, "height": 28, "units": "relative", "seconds": 1.0, "text": []}
    with serving(tmp_path / "runs") as service:
        end = {**DONE, "files": files, "summary": summary}
        doing = threading.Thread(target=ended, args=(service, end, content))
        doing.start()
        assert main(["run", "photos", "--export", "ply", "--server", f"127.0.0.1:{service.port}", "--out", "out"]) == 0
        doing.join()
    assert {path.name for path in (photos.parent / "out").iterdir()} == {"points.ply", "both.txt", "run.json"}
    found = json.loads((photos.parent / "out" / "run.json").read_text())
    assert (set(found["exports"]), found["settings"]["export"], found["state"]) == ({"ply"}, "ply", "done")
    assert "view.html" not in capsys.readouterr().out


def test_a_failure_there_is_said_here(photos, tmp_path, capsys):
    with serving(tmp_path / "runs") as service:
        doing = threading.Thread(target=ended, args=(service, {"end": "failed", "error": "0.png is blurred"}, {}))
        doing.start()
        assert main(["run", "photos", "--server", f"http://127.0.0.1:{service.port}"]) == 2
        doing.join()
        assert "0.png is blurred" in capsys.readouterr().err


def test_the_token_is_sent(photos, tmp_path, capsys, monkeypatch):
    with serving(tmp_path / "runs", token="long-enough") as service:
        address = f"http://127.0.0.1:{service.port}"
        assert main(["run", "photos", "--server", address]) == 2
        assert "RECON_TOKEN" in capsys.readouterr().err
        monkeypatch.setenv("RECON_TOKEN", "long-enough")
        assert RemoteService(address, "long-enough").about()["most_files"] == 20
        assert RemoteService(f"{address}?token=long-enough").about()["most_files"] == 20


def test_many_files_go_in_several_requests(tmp_path, monkeypatch):
    monkeypatch.setattr("recon.view.client._BATCH_FILES", 3)
    monkeypatch.setattr("recon.view.client._BATCH_BYTES", 2000)
    files = []
    for index in range(8):
        path = tmp_path / f"{index}"
        path.write_bytes(b"x" * (100 if index else 3000))
        files.append(SentFile("files", f'sub/"{index}".jpg', path))
    told: list[tuple[int, int]] = []
    with serving(tmp_path / "runs") as service:
        client = RemoteService(f"http://127.0.0.1:{service.port}/")
        run = client.start(client.upload(files, lambda *numbers: told.append(numbers)), {"limit": 1}, None, "many")
        assert [file["bytes"] for file in run["inputs"]] == [3000, *[100] * 7]
        assert (told[0], told[-1]) == ((0, 3700), (3700, 3700))
        service.worker.begun.get(timeout=20)
        client.cancel(run["id"])
        assert [event["state"] for event in client.follow(run["id"])][-1] == "cancelled"
        with pytest.raises(InputError, match="no such upload"):
            client.start("nothing", {}, None, "none")
        with pytest.raises(InputError, match="at most"):
            client.upload([SentFile("files", "a", big(tmp_path / "big"))], lambda *numbers: None)
    assert json.dumps(run)


def big(path):
    path.write_bytes(b"0" * 2_000_000)
    return path
