"""All sources: one file each, one line each. Nothing registers itself: what is not named here does not exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, cast, final

from hashwarden.serve.registry import chosen, find, made
from hashwarden.serve.sources.source import Options, Source

__all__ = ["SOURCES", "Registration", "find_source", "makers"]


@final
@dataclass(frozen=True, slots=True)
class Registration:
    """One source.

    Attributes
    ----------
    name : str
        What flags and metrics call it.
    help : str
        One line.
    default : bool
        Whether it is on unless it is turned off.
    extra : str
        The extra that brings its package, empty if it needs none.
    needs : str
        What else it needs: hardware, rights.
    """

    name: str
    help: str
    default: bool
    extra: str
    needs: str

    def make(self, options: Options) -> Source:
        """The source, not open yet; its file ``NAME.py`` has a function ``make``."""
        return cast(Source, made("hashwarden.serve.sources", self.name, options))


SOURCES: Final[tuple[Registration, ...]] = (
    Registration("nvml", "counters of NVML, with GPM where the GPU has it", True, "node", "NVIDIA's driver"),
    Registration("dcgm", "counters of dcgm-exporter, or of a Prometheus server", False, "node", "its address"),
    Registration("pm", "instruction pipes and caches at kilohertz", False, "pm", "root or CAP_SYS_ADMIN; no MIG"),
    Registration("launches", "kernel launches of all processes, by eBPF", False, "", "root; Linux 5.8"),
    Registration("code", "the machine code of what was launched", False, "", "root; launches"),
    Registration("probe", "contention that our own kernels feel", False, "cuda13", "a GPU; takes time slices of it"),
    Registration("replay", "a trace, played as if it were live", False, "", "a trace file"),
    Registration("pushed", "samples that others hand in", False, "", "hashwarden serve"),
)
"""All of them, in the order in which they are asked: where two know the same channel, the first one's word counts."""


def find_source(name: str) -> Registration:
    """Find the source of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    return find(SOURCES, name, "source")


def makers(names: tuple[str, ...], options: Options) -> dict[str, Callable[[], Source]]:
    """What makes each of the named sources; the defaults if none is named.

    Raises
    ------
    UsageError
        If there is no such source.
    """
    return {one.name: partial(one.make, options) for one in chosen(SOURCES, names, "source")}
