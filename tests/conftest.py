"""A scorer, a file rule and a reading whose outcome tests can foretell.

The real ones are used in tests/cli/test_end_to_end.py.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from hashwarden.kernels.sass.table import NESTED, SCALARS, MixTable, Ragged
from hashwarden.model.kernel.verdict import FileVerdict, KernelVerdict, Verdict
from hashwarden.serve.scan.events import Event, Finished, Kernels, ReadStats, Unreadable
from hashwarden.serve.scan.spool import KernelSpool


@pytest.hookimpl(tryfirst=True)  # a worker of xdist reads the marks in a hook of its own
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep together, where several processes test, what is shared: a Slurm, the code of a workload, else a file."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        workload = getattr(item, "callspec", None) and item.callspec.params.get("workload")  # type: ignore[attr-defined]
        # One cluster for all that need one; and who probes every libcuda of the machine finds those of other tests too.
        real = next((name for name in REAL if item.get_closest_marker(name)), None)
        together = real or getattr(workload, "name", None) or item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(together))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Tests that share something are never run beside each other unnoticed, as with pytest 9.2 and pytest-xdist 3.8."""
    if node.config.getvalue("dist") == "loadgroup" and not all("@" in name for name in ids):
        raise pytest.UsageError("pytest-xdist keeps no groups together: install the versions of constraints.txt")


if os.environ.get("HASHWARDEN_NO_SKIP"):  # the same inputs judge every change; elsewhere they are new
    hypothesis.settings.register_profile("fixed", derandomize=True, print_blob=True)
    hypothesis.settings.load_profile("fixed")

REAL = ("bpf", "slurm", "chromium")
"""Markers of tests with real components, which a machine that sets HASHWARDEN_NO_SKIP has."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let nothing of what a machine is meant to have be left out in silence."""
    report = yield
    if report.skipped and os.environ.get("HASHWARDEN_NO_SKIP") and any(map(item.get_closest_marker, REAL)):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report


sys.path.insert(0, str(Path(__file__).parent))  # for ports.py, which test modules import
_BEGUN: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _same_numbers(request: pytest.FixtureRequest) -> None:
    """Let each test draw what it draws alone, whichever tests of its file ran before it, in this process or another."""
    for name in ("RANDOM", "RNG"):
        source = getattr(request.module, name, None)
        if isinstance(source, np.random.Generator):
            state = source.bit_generator.state
            source.bit_generator.state = _BEGUN.setdefault(f"{request.module.__name__}.{name}", state)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes folders of the test that are disks of their own: ``small_disk("256k")``; they are gone after it."""
    mounted: list[Path] = []

    def mount(size: str, name: str = "disk") -> Path:
        place = tmp_path / name
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", place]
        if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
            wanting = pytest.fail if os.environ.get("HASHWARDEN_NO_SKIP") else pytest.skip
            wanting("no small disk can be mounted here: it takes root, and a container that may")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", place], check=True)


def make_table(kernels: Sequence[tuple[str, str, int]]) -> MixTable:
    """Kernels of (file, name, instructions)."""
    size = len(kernels)
    scalars = {name: np.zeros(size, np.int64) for name in SCALARS}
    scalars["arch"] += 90
    scalars["n_instr"] = np.array([n for _, _, n in kernels], np.int64)
    text = {
        "file": np.array([file for file, _, _ in kernels], object),
        "kernel": np.array([name for _, name, _ in kernels], object),
        "code_sha1": np.array([f"{abs(hash(name)) & 0xFFFFFFFFFFFFFFFF:016x}" for _, name, _ in kernels], object),
    }
    zeros = np.zeros((size, 5), np.int64)
    return MixTable(scalars, zeros, zeros, {name: Ragged.empty(name, size) for name in NESTED}, text)


class NameScorer:
    """Judges a kernel by its name: ``mine...`` mines, ``hash...`` hashes, ``odd...`` is unknown."""

    identity: Mapping[str, str] = {"name": "by-name", "version": "1", "sha256": "ab" * 32}

    def judge(self, table: MixTable) -> Sequence[KernelVerdict]:
        return [self._judge(table, row) for row in range(len(table))]

    def _judge(self, table: MixTable, row: int) -> KernelVerdict:
        name = table.text["kernel"][row]
        starts = {
            "mine": (Verdict.MINING, 0.99, 0.98),
            "hash": (Verdict.OTHER_HASH, 0.9, 0.1),
            "odd": (Verdict.ABSTAIN, 0.5, 0.4),
        }
        found = next(
            (value for start, value in starts.items() if name.startswith(start)), (Verdict.NOT_HASH, 0.01, 0.0)
        )
        verdict, p_hash, p_mining = found
        family = "" if verdict is Verdict.ABSTAIN else name
        reasons = (f"the name begins like {name[:4]}",)
        sha1, n_instr = table.text["code_sha1"][row], int(table.scalars["n_instr"][row])
        where, arch = table.text["file"][row], int(table.scalars["arch"][row])
        return KernelVerdict(row, where, name, arch, p_hash, p_mining, family, verdict, reasons, sha1, n_instr)


def worst_kernel(
    where: str, table: MixTable, verdicts: Sequence[KernelVerdict], notes: Sequence[str]
) -> tuple[FileVerdict, Sequence[KernelVerdict]]:
    """A file is as bad as its worst kernel; company changes no kernel."""
    top = tuple(sorted(verdicts, key=lambda kernel: kernel.verdict.rank))[:3]
    counts = dict(Counter(kernel.verdict for kernel in verdicts))
    distinct = len(set(table.text["code_sha1"]))
    reasons = (f"the worst kernel is {top[0].kernel}",)
    verdict, chance = top[0].verdict, top[0].p_mining
    file = FileVerdict(where, verdict, chance, len(verdicts), distinct, counts, reasons, top, tuple(notes))
    return file, verdicts


@pytest.fixture
def table_of() -> Callable[[Sequence[tuple[str, str, int]]], MixTable]:
    return make_table


@pytest.fixture
def scorer() -> NameScorer:
    return NameScorer()


@pytest.fixture
def rule() -> Callable[..., tuple[FileVerdict, Sequence[KernelVerdict]]]:
    return worst_kernel


@pytest.fixture
def kernel_spool() -> Iterator[KernelSpool]:
    with KernelSpool() as spool:
        yield spool


@pytest.fixture
def cache_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def foretold(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, Sequence[Kernels | Unreadable]]], list[str]]:
    """Let the reading of each named target yield the given events; gives the list of what was read."""

    def install(events: Mapping[str, Sequence[Kernels | Unreadable]]) -> list[str]:
        read: list[str] = []

        def reader(targets: Sequence[object], *_: object, **__: object) -> Iterator[Event]:
            for index, target in enumerate(targets):
                name = str(target)
                read.append(name)
                found = events[name]
                yield from found
                kernels = sum(len(event.table) for event in found if isinstance(event, Kernels))
                yield Finished(index, name, ReadStats(files=1, kernels=kernels))

        monkeypatch.setattr("hashwarden.serve.scan.scan.read_targets", reader)
        return read

    return install


WHEELS = Path(__file__).resolve().parent.parent / ".cache" / "wheels"
"""Public packages, fetched once for all tests."""


PLATFORMS = [f"--platform=manylinux_2_{glibc}_x86_64" for glibc in (28, 27, 17)]
"""Named one by one: for a platform that is named, pip does not think of the older ones that it covers."""


def fetch_wheel(requirement: str, folder: Path = WHEELS) -> Path:
    """The wheel of ``NAME==VERSION`` for CPython 3.11 on Linux x86-64, from the cache or from PyPI."""
    name, version = requirement.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not any(folder.glob(pattern)):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as part:  # another worker must never see half of one
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            command += ["--implementation=cp", "--python-version=3.11", *PLATFORMS, f"--dest={part}", requirement]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            assert done.returncode == 0, f"cannot fetch {requirement}: {done.stderr[-2000:]}"
            for fetched in Path(part).iterdir():
                fetched.replace(folder / fetched.name)
    return next(folder.glob(pattern))


@pytest.fixture(scope="session")
def wheel() -> Callable[[str], Path]:
    """Fetch a wheel: ``wheel("xformers==0.0.35")`` is its path. A failed download fails the test."""
    return fetch_wheel


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[Any]:
    """A real Slurm, for tests marked ``slurm``: `SlurmCluster` of slurm_cluster.py."""
    spec = importlib.util.spec_from_file_location("slurm_cluster", Path(__file__).parent / "slurm_cluster.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    with module.running() as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_session: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The real Slurm without jobs, before and after; SLURM_CONF names it."""
    monkeypatch.setenv("SLURM_CONF", slurm_session.env["SLURM_CONF"])
    slurm_session.clear()
    yield slurm_session
    slurm_session.clear()
