"""`recon serve` as a process, with a real worker: killed in mid-run, started again, cancelled, interrupted."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from recon.cli.main import main
from recon.run.load import load
from tests.fake_network import save_photos
from tests.test_readme import blocks
from tests.view.service.client import Client

SMALL = {"model": "da3-small", "process_res": "56", "export": "mini_npz-depth_vis"}
PORT = "18300"


@contextlib.contextmanager
def served(runs: Path, *more: str):
    command = [sys.executable, "-m", "recon", "serve", "--runs", str(runs), "--port", PORT, "--no-browser", *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RECON_TOKEN": ""}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            yield server, Client(int(server.stdout.readline().rstrip("/\n").rpartition(":")[2]))
        finally:
            server.kill()


@pytest.fixture(scope="module")
def of_photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("of") / "photos"
    save_photos(folder, 2)
    return folder


@pytest.fixture(scope="module")
def photos(of_photos):
    return [("files", f"yard/{path.name}", path.read_bytes()) for path in sorted(of_photos.iterdir())]


def test_a_run_and_a_waiting_one_survive_the_server_and_a_model_stays_loaded(
    tmp_path, photos, of_photos, capsys, monkeypatch
):
    """One after the other: processes that load torch are slow to start."""
    runs = tmp_path / "runs"
    with served(runs, "--weights", "none") as (server, client):
        first, second, third = (client.form("/v1/runs", photos, SMALL).json["id"] for _ in range(3))
        assert next(event for event in client.events(first) if event["progress"]["stages"])["state"] == "running"
        server.kill()
    assert json.loads((runs / first / "job.json").read_text())["state"] == "running"
    with served(runs, "--weights", "none") as (server, client):
        assert client.wait_for(first, "done", "failed") == "done"
        stages = [event["progress"]["stage"] for event in client.events(second)]
        assert client.state(second) == "done"
        assert client.wait_for(third, "done", "failed") == "done"
        loaded = json.loads((runs / third / "result" / "run.json").read_text())["model"]
        assert loaded["weights"]["source"] in ("none", "random")
        assert "load da3-small" not in stages
        shown = client.ask("GET", f"/v1/runs/{first}").json
        assert (shown["name"], shown["summary"]["views"]) == ("yard", 2)
        files = {file["path"]: client.ask("GET", file["url"]) for file in shown["files"]}
        assert {"run.json", "view.html", "depth_vis/0000.jpg", "exports/mini_npz/results.npz"} <= set(files)
        assert all(reply.status == 200 for reply in files.values())
        for name in ("run.json", "view.html"):
            assert str(tmp_path).encode() not in files[name].body, name
        page = client.ask("GET", shown["view"])
        assert "sandbox" in page.headers["content-security-policy"]
        assert client.ask("GET", shown["picture"]).body[:2] == b"\xff\xd8"

        there = f"http://127.0.0.1:{client.port}"
        arguments = ["run", str(of_photos), "--server", there, "--out", str(tmp_path / "out")]
        arguments += ["--model", "da3-small", "--process-res", "56", "--masks", str(of_photos / "0.png")]
        assert main([*arguments, "--export", "ply-gs_ply", "--gs-iterations", "0"]) == 0
        assert "points.ply" in capsys.readouterr().out
        assert main([*arguments, "--export", "mini_npz-glb"]) == 0
        shown = capsys.readouterr()
        assert "2 views at" in shown.out
        assert "export html" in shown.err
        assert not (tmp_path / "out" / "points.ply").exists()
        prediction = load(tmp_path / "out")
        assert prediction.originals.paths[1] == of_photos / "1.png"
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        assert record["settings"]["inputs"] == [str(of_photos)]
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert names >= {"run.json", "scene.glb", "exports"}
        assert "view.html" not in names  # which was not asked for

        (example,) = (block for block in blocks("python") if "urlopen" in block)
        monkeypatch.chdir(tmp_path)
        example = example.replace("http://127.0.0.1:8080", there).replace('"PHOTOS"', repr(str(of_photos)))
        exec(example.replace("parts = [", "parts = [('name=\"process_res\"', b'56'), "), {})
        assert capsys.readouterr().out.splitlines()[-1].startswith("done")
        assert (tmp_path / "points.ply").is_file()

        secret = tmp_path / "secret.png"
        secret.write_bytes(photos[0][2])
        lists = [("files", "photos.txt", f"{secret}\n{secret}\n".encode())]
        refused = client.form("/v1/runs", lists, SMALL).json["id"]
        assert client.wait_for(refused, "failed", "done") == "failed"
        assert str(tmp_path) not in client.ask("GET", f"/v1/runs/{refused}").json["error"]

        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for _, name, pixels in photos:
                archive.writestr(name, pixels)
        packed = [("files", "yard.zip", content.getvalue())]
        other = client.form("/v1/runs", packed, {**SMALL, "model": "mvs", "cameras": "sfm"}).json["id"]
        assert client.wait_for(other, "running", "failed") == "running"
        assert client.ask("POST", f"/v1/runs/{other}/cancel").status == 200
        assert client.wait_for(other, "cancelled", "failed") in ("cancelled", "failed")
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
        assert "Traceback" not in server.stderr.read()
    time.sleep(0.1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "--token"),
        (("--host", "0.0.0.0", "--token", "short"), "token"),
        (("--host", "198.51.100.1", "--token", "long-enough"), "198.51.100.1"),
    ],
)
def test_what_is_refused(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("RECON_TOKEN", raising=False)
    assert main(["serve", "--runs", str(tmp_path), "--no-browser", *arguments]) == 2
    assert said in capsys.readouterr().err
