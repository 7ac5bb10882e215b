"""The process that does scenes on this machine: `python -m recon.run.batch.worker`; see `recon.run.worker`.

It is told `{"job": SCENE, "out": ADDRESS}`, and tells how that ended: `{"end": "ended", …}` with what
`recon.run.batch.outcome.Ended` holds, or `{"end": "cancelled"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from recon.run.batch.do_scene import do_scene
from recon.run.batch.open_place import open_place
from recon.run.batch.scene import BatchScene
from recon.run.kept_models import KeptModels
from recon.run.worker import Cancelled, Worker, worker_streams

ENDED = "ended"
MODELS_KEPT = 1


def main() -> None:
    """Until nobody is there to be told by."""
    worker = Worker(*worker_streams())
    models = KeptModels(MODELS_KEPT)

    def do(message: Mapping[str, Any]) -> dict[str, Any]:
        try:
            scene, place = BatchScene.of_message(message["job"]), open_place(message["out"])
            ended = do_scene(scene, place, models.choose, worker.report)
        except Cancelled:
            return {"end": "cancelled"}
        return {"end": ENDED, **asdict(ended)}

    worker.work(do)


if __name__ == "__main__":
    main()
