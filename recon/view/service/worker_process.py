"""The process that does the jobs, as the server sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon.run.worker_process import WorkerProcess

_LOG, _TEMPORARY = ".worker.log", ".temporary"


def service_process(root: Path, keep: int, of_server: Mapping[str, Any]) -> WorkerProcess:
    """`keep` models stay loaded, `of_server` are options over those of jobs, `root` is for a log and scratch."""
    temporary = root / _TEMPORARY
    temporary.mkdir(exist_ok=True)
    return WorkerProcess(
        "recon.view.service.worker",
        [str(keep), json.dumps(dict(of_server))],
        log=root / _LOG,
        folder=root,
        environment={name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")},
    )
