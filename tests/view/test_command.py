"""`recon view` as a process: the address it prints, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request

import pytest

from recon.export import export
from recon.view.server import LOOPBACK, Address

PORT = 18400


@pytest.mark.slow
def test_ctrl_c_ends_it_quietly(make_prediction, tmp_path):
    export(make_prediction(), "ply", tmp_path)
    command = [sys.executable, "-m", "recon", "view", str(tmp_path / "points.ply"), "--no-browser", "--port", str(PORT)]
    with Address(PORT) as taken:  # the next one is free
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            url = process.stdout.readline().strip()
            assert url.startswith(f"http://{LOOPBACK}:")
            assert int(url.rstrip("/").rpartition(":")[2]) > taken.port
            with urllib.request.urlopen(url, timeout=20) as answer:
                assert b'id="scene"' in answer.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            said = process.stderr.read()
            assert f"port {PORT} cannot be used" in said
            assert "Traceback" not in said
            assert "Exception" not in said
        finally:
            process.kill()
            process.wait()
