"""Work that needs no photos, done beside the stage that needs nothing but photos."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence


@contextlib.contextmanager
def meanwhile(works: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Do `works` one after the other in a thread, beside what is done in this context.

    Nobody waits for them: what is not ready when it is needed is made there and then. So is what failed, and fails
    there again, where it can be said what for.
    """

    def work() -> None:
        for each in works:
            with contextlib.suppress(Exception):
                each()

    # A daemon, so that whoever stops the run need not wait either.
    threading.Thread(target=contextvars.copy_context().run, args=(work,), name="recon-meanwhile", daemon=True).start()
    yield
