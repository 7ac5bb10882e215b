"""How a run goes on, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from recon.view.service.job import Job
from recon.view.service.job_queue import JobQueue
from recon.view.service.run_facts import brief

_SECONDS_BETWEEN = 0.1
_SECONDS_OF_SILENCE = 15.0
"""After which something is sent all the same, so that what lies between does not take the connection for dead."""


def event_stream(queue: JobQueue, job: Job) -> StreamingResponse:
    """An event `run` for each change, with the run as in the list of all and its `warnings`; ends with the run."""
    return StreamingResponse(_events(queue, job), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(queue: JobQueue, job: Job) -> AsyncIterator[str]:
    seen: tuple[int, int | None] | None = None
    said = time.monotonic()
    while not queue.is_closed:
        now = (job.version, queue.position(job))
        is_over = job.is_over or queue.get(job.id) is None
        if now != seen:
            seen, said = now, time.monotonic()
            yield f"event: run\ndata: {json.dumps({**brief(job, now[1]), 'warnings': list(job.warnings)})}\n\n"
        elif time.monotonic() > said + _SECONDS_OF_SILENCE:
            said = time.monotonic()
            yield ":\n\n"
        if is_over:
            return
        await asyncio.sleep(_SECONDS_BETWEEN)
