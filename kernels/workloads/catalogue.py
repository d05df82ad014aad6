"""What a labelled CUDA C file is, and the list of all of them.

A CUDA source is one `.cu` file with its label, its kin and the ways to compile it. Each package of
workloads (`hash`, `plain`) exposes a tuple ``CUDA_SOURCES`` of one line per file; `cuda_sources` joins them.
Nothing registers itself: what is not in a tuple does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Literal

from hashwarden.errors import UsageError

__all__ = ["Bound", "CudaSource", "Label", "Role", "Variant", "cuda_sources", "find", "parse_variant"]

Label = Literal["mining", "hash-other", "plain"]
Role = Literal["hash", "dag", "helper", "kernel"]
Bound = Literal["integer", "tensor", "float", "memory", "latency", "shared"]

PACKAGES: Final = ("hash", "plain")
ROLES: Final = ("hash", "dag", "helper", "kernel")


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to compile a workload.

    Attributes
    ----------
    name : str
        The words it was written with; empty for the base variant.
    defines : tuple of (str, str)
        Macros, each a name and a value.
    flags : tuple of str
        Compile flags of `hashwarden.kernels.workloads.compiler.FLAGS`.
    """

    name: str
    defines: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]


def parse_variant(words: str) -> Variant:
    """Read a variant: ``NAME`` and ``NAME=VALUE`` are macros, words that begin with ``-`` are flags.

    >>> parse_variant("UNROLL=4 -maxrregcount=64").defines
    (('UNROLL', '4'),)
    """
    parts = words.split()
    macros = (part.partition("=") for part in parts if not part.startswith("-"))
    defines = tuple((name, value or "1") for name, _, value in macros)
    return Variant(" ".join(parts), defines, tuple(part for part in parts if part.startswith("-")))


@dataclass(frozen=True, slots=True)
class CudaSource:
    """One `.cu` file: what it computes, how it is labelled, how it may be compiled.

    Attributes
    ----------
    name : str
        Unique name, also the file's name without ``.cu`` unless ``file`` is given.
    family : str
        Algorithm family, in the words of the kernel mix tables where they have one.
    lineage : str
        Key of kin: workloads of one lineage share code or descent and are split together.
    kernels : str
        Entry kernels as ``name:role`` words; role is hash, dag, helper or kernel.
    bound : str
        What limits it on a GPU.
    variants : tuple of str
        Further ways to compile it, beside the base variant; see `parse_variant`.
    label : str
        ``mining``, ``hash-other`` (benign hash work) or ``plain``.
    package : str
        The package that holds the file: ``hash`` or ``plain``.
    file : str
        Source file, if it is not ``name.cu``.
    generate : callable, optional
        From the variant's macros to further headers (file name to text) that the source includes.
    """

    name: str
    family: str
    lineage: str
    kernels: str
    bound: Bound
    variants: tuple[str, ...] = ()
    label: Label = "mining"
    package: str = "hash"
    file: str = ""
    generate: Callable[[Mapping[str, str]], Mapping[str, str]] | None = None

    @property
    def source(self) -> str:
        """Name of the source file inside its package."""
        return self.file or f"{self.name}.cu"

    @property
    def entries(self) -> tuple[tuple[str, Role], ...]:
        """Entry kernels with their roles."""
        return tuple(_entry(word, self.name) for word in self.kernels.split())

    def all_variants(self) -> tuple[Variant, ...]:
        """Return the base variant, then the others in their order."""
        return (parse_variant(""), *(parse_variant(words) for words in self.variants))


def _entry(word: str, where: str) -> tuple[str, Role]:
    name, _, role = word.partition(":")
    for known in ROLES:
        if role == known:
            return name, known
    raise UsageError(f"the role {role!r} of kernel {name!r}", "one of " + ", ".join(ROLES), "Correct it.", where=where)


def cuda_sources() -> tuple[CudaSource, ...]:
    """All workloads of all packages, in a fixed order."""
    modules = (import_module(f"hashwarden.kernels.workloads.{name}") for name in PACKAGES)
    return tuple(workload for module in modules for workload in module.CUDA_SOURCES)


def find(name: str) -> CudaSource:
    """Find the workload of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    for workload in cuda_sources():
        if workload.name == name:
            return workload
    raise UsageError(f"no CUDA source is called {name!r}", "a name of the catalogue", "List them with cuda_sources().")
