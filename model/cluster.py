"""Being connected to a Ray cluster, as training and scoring need it: telemetry and dashboard off, errors in words."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from hashwarden.errors import HashwardenError, UsageError

__all__ = ["connected", "quiet_data", "received", "sent"]

_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def connected(address: str) -> Iterator[int]:
    """Use a cluster inside this block; telemetry and dashboard stay off.

    Parameters
    ----------
    address : str
        ``local`` for one on this machine alone, ``auto``, or HOST:PORT.

    Yields
    ------
    int
        CPUs of the cluster.

    Raises
    ------
    UsageError
        If there is no cluster at that address.
    """
    os.environ.update(_QUIET)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    begun = not ray.is_initialized()
    if begun:
        where = {"include_dashboard": False} if address == "local" else {"address": address}
        try:
            ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"no cluster ({str(error).splitlines()[0][:120]})", "the address of a Ray head node, or 'local'",
                "Start one: ray start --head --include-dashboard=false", where=address,
            ) from error  # fmt: skip
    try:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        yield int(resources.get("CPU", 1))
    finally:
        if begun:
            ray.shutdown()


def quiet_data() -> None:
    """Keep Ray Data from showing progress and its plans; its own import turns both on."""
    from ray.data import DataContext

    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def sent(error: HashwardenError | OSError) -> bytes:
    """An error of a worker as a value, for the column ``problem`` of its row; raised, only its words would arrive."""
    return pickle.dumps(error)


def received(rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The rows that workers gave, if none has a problem.

    Raises
    ------
    HashwardenError, OSError
        What a worker `sent`.
    """
    for row in rows:
        if row["problem"]:
            raise pickle.loads(row["problem"])  # noqa: S301  Ray itself unpickles all that its workers send
    return rows
