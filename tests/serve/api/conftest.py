"""The protocol's pages on a real server, in a thread of the tests' process; models are loaded once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def running(app: object, **where: object) -> Iterator[object]:
    """A uvicorn that serves an application until the block ends."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none", **where)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    began = threading.Event()
    started = server.startup

    async def startup(sockets: object = None) -> None:
        await started(sockets)
        began.set()

    server.startup = startup
    thread.start()
    assert began.wait(60)
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def run_app() -> Callable[..., object]:
    """`running`, for tests that serve an application of their own."""
    return running


@pytest.fixture(scope="session")
def served_models() -> object:
    from hashwarden.serve.api.models import load_models

    return load_models()


@pytest.fixture(scope="session")
def protocol_app(served_models) -> Callable[..., object]:
    """An application with the protocol's pages and nothing else; takes bounds."""
    from fastapi import FastAPI

    from hashwarden.serve.api.asked import Limits
    from hashwarden.serve.api.engine import Engine
    from hashwarden.serve.api.inference import inference_router

    def make(**limits: int) -> FastAPI:
        app = FastAPI()
        app.include_router(inference_router(Engine(served_models, Limits(**limits))))
        return app

    return make


@pytest.fixture(scope="session")
def protocol_port(protocol_app) -> Iterator[int]:
    """A port of 127.0.0.1 where the protocol is answered; batches of at most 5,000 rows."""
    with running(protocol_app(rows=5000), host="127.0.0.1", port=0) as server:
        yield server.servers[0].sockets[0].getsockname()[1]


@pytest.fixture
def protocol_socket(protocol_app, tmp_path: Path) -> Iterator[Path]:
    """A Unix socket where the protocol is answered."""
    path = tmp_path / "protocol.sock"
    with running(protocol_app(), uds=str(path)):
        yield path
