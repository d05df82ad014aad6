"""Logs to be damaged, and what they are damaged with."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.log import AuditLog, Limits

SMALL = Limits(rotate_bytes=2500, every=4, reserve_bytes=0)


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer.generate()


@pytest.fixture
def written(tmp_path: Path, signer: Signer) -> Callable[..., Path]:
    """Write a log of some records and close it; gives its folder."""

    def write(records: int = 12, limits: Limits = SMALL, name: str = "log") -> Path:
        with AuditLog(tmp_path / name, signer, limits=limits) as log:
            for number in range(records):
                log.append(EventKind.BLIND, {"kind": "stale", "subject": f"gpu {number}"}, sync=False)
        return tmp_path / name

    return write


@pytest.fixture
def story(signer: Signer) -> Callable[..., Path]:
    """Write one day of a node into a folder."""
    spec = importlib.util.spec_from_file_location("audit_story", Path(__file__).with_name("story.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda folder, step=None, key=signer: module.write_story(folder, key, step)


@pytest.fixture
def make_site() -> Callable[..., object]:
    """Makes a `retention_site.Site`."""
    spec = importlib.util.spec_from_file_location("audit_site", Path(__file__).with_name("retention_site.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Site


@pytest.fixture
def site(tmp_path: Path, signer: Signer, make_site: Callable[..., object]) -> Iterator[object]:
    """A log that keeps its files for ten days; not open yet."""
    found = make_site(tmp_path, signer)
    yield found
    found.close()


@pytest.fixture
def old(site: object) -> object:
    """Five files or more, all but the last of eleven days ago, copied away."""
    site.open()
    site.write(40)
    site.days(11)
    site.write(1)
    site.keep()
    assert len(site.files) >= 5
    return site
