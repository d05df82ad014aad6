"""Processes that end with the one that started them: a pool's workers otherwise wait for ever when it is killed."""

from __future__ import annotations

import multiprocessing
import os
import threading

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """Let this process end when its parent does, however that ends: the initializer of a pool's workers.

    Each of them holds both ends of the pool's queue, so none is ever told that nobody writes to it any more.
    """
    threading.Thread(target=_wait, name="end-with-parent", daemon=True).start()


def _wait() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
