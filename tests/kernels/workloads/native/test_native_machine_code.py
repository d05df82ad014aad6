"""Every launch of every CUDA C program fits the machine code that it meets: parameters, constants, registers."""

from __future__ import annotations

import struct
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import hashwarden.kernels.workloads.native
from hashwarden.kernels.workloads import catalogue, compiler
from hashwarden.kernels.workloads.engines.cupy_driver import mangled
from hashwarden.kernels.workloads.native.launches import Fill, Store
from hashwarden.kernels.workloads.plan import Empty

PACKAGE = "hashwarden.kernels.workloads.native"
MODULES = sorted(path.stem for path in Path(hashwarden.kernels.workloads.native.__path__[0]).glob("*.py"))
FAMILIES = [module for name in MODULES if hasattr(module := import_module(f"{PACKAGE}.{name}"), "WORKLOADS")]
WORKLOADS = [workload for module in FAMILIES for workload in module.WORKLOADS]
ARCHES = ("sm_80", "sm_90", "sm_100", "sm_120")
SIZES = ("gpu", pytest.param("small", marks=pytest.mark.slow))
STEPS = 2
MOST_HOST_BYTES, MOST_DEVICE_BYTES = 100 << 20, 8 << 30
REGISTERS, STATIC_SHARED = 65536, 48 << 10
# Attributes of .nv.info, as `cuobjdump -elf` names them.
MAX_THREADS, PARAMETER, REGISTER_COUNT = 0x05, 0x17, 0x2F


class Cubin:
    """The little of an ELF file that a launch depends on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        (table,), (size, count, names) = struct.unpack_from("<Q", data, 40), struct.unpack_from("<HHH", data, 58)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + size * i) for i in range(count)]
        text = headers[names][4]
        self.sections = {self._name(text + header[0]): header for header in headers}
        self.symbols = dict(self._symbols())

    def _name(self, at: int) -> str:
        return self.data[at : self.data.index(b"\0", at)].decode()

    def _symbols(self):
        table, strings = self.sections[".symtab"], self.sections[".strtab"][4]
        self.order = []
        for at in range(table[4], table[4] + table[5], 24):
            name, _, _, _, _, size = struct.unpack_from("<IBBHQQ", self.data, at)
            self.order.append(self._name(strings + name))
            yield self.order[-1], size

    def attributes(self, section: str):
        header = self.sections[section]
        at, end = header[4], header[4] + header[5]
        while at < end:
            form, kind, size = struct.unpack_from("<BBH", self.data, at)
            at += 4
            if form == 4:
                yield kind, self.data[at : at + size]
                at += size

    def parameters(self, kernel: str) -> list[int]:
        found = {}
        for kind, payload in self.attributes(f".nv.info.{kernel}"):
            if kind == PARAMETER:
                _, ordinal, _, flags = struct.unpack("<IHHI", payload)
                found[ordinal] = flags >> 18
        return [found[i] for i in range(len(found))]

    def most_threads(self, kernel: str) -> int:
        limits = [
            struct.unpack("<III", it) for kind, it in self.attributes(f".nv.info.{kernel}") if kind == MAX_THREADS
        ]
        return int(np.prod(limits[0])) if limits else 1024

    def registers(self, kernel: str) -> int:
        pairs = (struct.unpack("<II", it) for kind, it in self.attributes(".nv.info") if kind == REGISTER_COUNT)
        return next(count for symbol, count in pairs if self.order[symbol] == kernel)

    def shared(self, kernel: str) -> int:
        return self.sections.get(f".nv.shared.{kernel}", (0,) * 6)[5]


@cache
def cubin(source: str, variant: str, arch: str) -> Cubin:
    return Cubin(compiler.compile_cubin(catalogue.find(source), catalogue.parse_variant(variant), arch))


@cache
def plan_of(name: str, size: str):
    workload = next(it for it in WORKLOADS if it.name == name)
    return workload.native(workload.settings(size), 1)


def launches_of(plan):
    steps = [launch for number in range(STEPS) for launch in plan.step(number)]
    return [launch for launch in (*plan.setup, *steps) if not isinstance(launch, Fill)]


def size_of(argument) -> int:
    return 8 if isinstance(argument, str) else argument.dtype.itemsize


def part_bytes(plan, words: str) -> int:
    name, _, part = words.partition("[")
    array = plan.arrays[name]
    return int(array.nbytes) // (array.shape[0] if part else 1)


def check_launch(plan, launch, arch: str) -> None:
    code = cubin(launch.source, launch.variant, arch)
    for (source, symbol), data in plan.symbols.items():
        if source == launch.source:
            assert code.symbols[mangled(symbol)] == data.nbytes, f"{symbol} of {source}"
    if isinstance(launch, Store):
        assert code.symbols[launch.kernel] >= part_bytes(plan, launch.arguments[0])
        return
    assert launch.kernel in dict(catalogue.find(launch.source).entries)
    assert code.parameters(launch.kernel) == [size_of(it) for it in launch.arguments], launch.kernel
    threads = int(np.prod(launch.block))
    assert 1 <= threads <= code.most_threads(launch.kernel)
    assert -(-code.registers(launch.kernel) // 8) * 8 * -(-threads // 32) * 32 <= REGISTERS
    assert code.shared(launch.kernel) + launch.shared_bytes <= STATIC_SHARED or launch.shared_bytes > STATIC_SHARED
    assert all(1 <= side <= limit for side, limit in zip(launch.grid, (2**31 - 1, 65535, 65535), strict=False))


def distinct(plan):
    """One launch of each kernel, variant and shape of arguments."""
    found = {}
    for launch in launches_of(plan):
        sizes = tuple(size_of(it) for it in launch.arguments)
        found.setdefault((launch.source, launch.variant, launch.kernel, sizes, launch.block), launch)
    return found.values()


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("workload", WORKLOADS, ids=[it.name for it in WORKLOADS])
def test_launches_fit_the_code_of_every_architecture(workload, size: str, arch: str) -> None:
    plan = plan_of(workload.name, size)
    for launch in distinct(plan):
        check_launch(plan, launch, arch)


@pytest.mark.parametrize("workload", WORKLOADS, ids=[it.name for it in WORKLOADS])
def test_real_sizes_fit_a_gpu_and_are_not_made_on_the_host(workload) -> None:
    plan = plan_of(workload.name, "gpu")
    host = sum(array.nbytes for array in plan.arrays.values() if not isinstance(array, Empty))
    assert host <= MOST_HOST_BYTES
    assert plan.nbytes <= MOST_DEVICE_BYTES
    named = {it.partition("[")[0] for launch in launches_of(plan) for it in launch.arguments if isinstance(it, str)}
    assert named <= set(plan.arrays)
    assert all(isinstance(it, str | np.generic) for launch in launches_of(plan) for it in launch.arguments)
