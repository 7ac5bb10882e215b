"""`recon run` goes on from what it kept, and says what it took over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recon.cli.main import main
from tests.fake_network import save_photos


@pytest.mark.filterwarnings("ignore::recon.messages.ReconWarning")
def test_the_same_command_again_and_with_fresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_photos(tmp_path / "photos", 2)
    out = tmp_path / "out"
    command = ["run", str(tmp_path / "photos"), "--model", "da3-small", "--weights", "none", "--process-res", "70"]
    command += ["--export", "mini_npz", "--out", str(out)]

    def reused(*more: str) -> list[str]:
        assert main([*command, *more]) == 0
        found: list[str] = json.loads((out / "run.json").read_text())["reused"]
        table = capsys.readouterr().out
        assert ("reused" in table) == bool(found)
        return found

    assert reused() == []
    result = (out / "exports/mini_npz/results.npz").read_bytes()
    assert reused() == ["load", "predict", "align", "export mini_npz"]
    assert reused("--fresh") == []
    assert (out / "exports/mini_npz/results.npz").read_bytes() == result
    assert reused("--seed", "1") == []  # other random weights
    (tmp_path / "photos/0.png").write_bytes((tmp_path / "photos/1.png").read_bytes())
    assert reused("--seed", "1") == []
