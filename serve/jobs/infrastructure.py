"""Processes on a GPU that belong to the machine and to no job: they make no GPU a shared one.

A name alone says nothing. Such a process runs as root, in no container, in root's own cgroups, and no scheduler knows
it; a GPU that has nothing else on it is watched all the same.
"""

from __future__ import annotations

import re
from typing import Final

from hashwarden.serve.jobs.provider import ProcessFacts
from hashwarden.serve.jobs.sessions import container_of

__all__ = ["is_infrastructure", "is_mps_server"]

_MPS: Final = "nvidia-cuda-mps"  # the kernel keeps 15 characters: the server and its control daemon
_NAMES: Final = frozenset({_MPS, "nvidia-persiste", "nv-hostengine", "dcgm-exporter", "nvidia-smi", "Xorg"})
_PLACES: Final = re.compile(r"/|/init\.scope|/system\.slice|/system\.slice/[^/]+\.service")


def is_infrastructure(process: ProcessFacts) -> bool:
    """Whether a process that no scheduler knows serves the machine."""
    named = process.comm in _NAMES and process.uid == 0  # the cheapest first: it is asked of every process
    return named and not container_of(process) and all(_PLACES.fullmatch(path) for path in process.paths)


def is_mps_server(process: ProcessFacts) -> bool:
    """Whether it may be the MPS server that root's control daemon started for one user.

    It runs as that user, outside of the user's job. Taking it for a part of a job of the same user can harm nobody
    else.
    """
    return process.comm == _MPS
