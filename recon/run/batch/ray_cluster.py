"""A Ray cluster: one that is there, or one of this machine alone that is started and ended here."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

from recon.cores import usable_cores
from recon.errors import InputError, MissingExtraError
from recon.run.batch.resources import Resources

_SECONDS_TO_ANSWER = 5.0
_AUTO, _LOCAL = "auto", "local"
_STORE_BYTES = 100 * 2**20
"""For messages between processes: results do not go through it."""
_ADDRESS_VARIABLE = "RAY_ADDRESS"


def import_ray() -> Any:
    """The package, which then reports its use to nobody. Raises MissingExtraError."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError("--engine ray", "ray", "ray") from error
    return ray


def connect(address: str | None) -> Any:
    """Ray, connected to the cluster at `HOST:PORT`, to that of this machine (`auto`), or to a new one (None).

    Raises InputError where there is none.
    """
    ray = import_ray()
    address = address or os.environ.get(_ADDRESS_VARIABLE) or _LOCAL
    if address not in (_AUTO, _LOCAL):
        _check_answers(address)
    of_own = {"num_cpus": usable_cores(), "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        with _signals_not_blocked():
            ray.init(
                address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
                **(of_own if address == _LOCAL else {}),
            )
    except Exception as error:  # of many kinds, for a cluster that is not there or of another version
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"address {address}: no Ray cluster to work with ({said}); start one with `ray start --head`, or leave "
            "--address out for one of this machine alone"
        ) from error
    return ray


def _check_answers(address: str) -> None:
    """Ray itself would try for a minute."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise InputError(f"address {address!r}: HOST:PORT of the cluster's head, such as 10.0.0.5:6379, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"address {address}: no Ray cluster answers there ({getattr(error, 'strerror', None) or error}); start one "
            "with `ray start --head`, or leave --address out for one of this machine alone"
        ) from error


@contextlib.contextmanager
def _signals_not_blocked() -> Iterator[None]:
    """Processes that are started within obey SIGTERM and SIGHUP, which the command line blocks for itself."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def machines(ray: Any) -> list[dict[str, float]]:
    """The resources of each machine that is there: `CPU`, `GPU`, `memory` in bytes."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def room(machine: dict[str, float], needed: Resources) -> int:
    """How many scenes a machine has room for at a time."""
    shares = [
        machine.get(name, 0.0) / amount
        for name, amount in (("CPU", needed.cpus), ("GPU", needed.gpus), ("memory", needed.memory * 1e9))
        if amount > 0
    ]
    return int(min(shares, default=1.0) + 1e-9)
