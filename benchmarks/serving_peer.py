"""The peer of `serving`: the same ONNX file behind Ray Serve, one replica, tensors as raw bytes both ways."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.job_scorer import JobScorer

PORT = 18099


class Scores:
    """The step graph."""

    def __init__(self) -> None:
        scorer = JobScorer()
        self._session, self._width = scorer.session, scorer.metadata.state_size

    async def __call__(self, request: Request) -> Response:
        """Answer."""
        numbers = np.frombuffer(await request.body(), np.float32)
        rows = len(numbers) // (len(CHANNELS) + 1 + self._width)
        if not rows:
            return Response()
        ends = np.cumsum([rows * len(CHANNELS), rows])
        sample, dt, state = (part.reshape(rows, -1) for part in np.split(numbers, ends))
        known = ~np.isnan(sample)
        feed = {"sample": np.where(known, sample, 0), "mask": known.astype(np.float32), "dt": dt, "state": state}
        found: Any = self._session.run(None, feed)
        return Response(b"".join(each.tobytes() for each in found), media_type="application/octet-stream")


@contextmanager
def peer() -> Iterator[str]:
    """Where it answers, until the block ends."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    paths = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "OMP_NUM_THREADS": "1"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False,
             runtime_env={"env_vars": paths})  # fmt: skip
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": PORT})
        made = serve.deployment(Scores, max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
        serve.run(made.bind(), route_prefix="/")
        url = f"http://127.0.0.1:{PORT}"
        for _ in range(200):
            with suppress(OSError):
                urllib.request.urlopen(url, timeout=5).read()
                break
            time.sleep(0.1)
        yield url
    finally:
        serve.shutdown()
        ray.shutdown()
