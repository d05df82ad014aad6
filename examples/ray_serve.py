"""The scoring service on a Ray cluster: the same application, a copy of it in each replica, unchanged.

    pip install 'hashwarden[api]' 'ray[serve]'
    hashwarden serve token new scheduler --role read --tokens tokens.json
    HASHWARDEN_SERVE__ACCESS__TOKENS=$PWD/tokens.json python examples/ray_serve.py

or, on a cluster, ``serve run ray_serve:app`` in this folder. Settings are those of ``hashwarden serve``, from
the environment of the replicas; behind Ray's proxy nobody is known but by a token. The inference protocol carries a
job's state with each request, so that any replica can answer the next one; the job API keeps it, and stays with
``hashwarden serve``.
"""

from __future__ import annotations

import time

from fastapi import FastAPI
from ray import serve


def build() -> FastAPI:
    """Make the application; runs in each replica."""
    from hashwarden.serve.agent.build import model_in_service
    from hashwarden.serve.api.app import create_app
    from hashwarden.serve.api.config import load_serve_config
    from hashwarden.serve.api.engine import Engine
    from hashwarden.serve.api.inference import inference_router
    from hashwarden.serve.api.models import load_models
    from hashwarden.serve.api.service import engine_limits

    config = load_serve_config(None, {})
    models = load_models(config.job_model or model_in_service(), config.kernel_model)
    engine = Engine(models, engine_limits(config.limits))
    return create_app(config, inference_router(engine), ready=lambda: {"ready": engine.ready})


Scoring = serve.deployment(serve.ingress(build)(), name="hashwarden", num_replicas=2, max_ongoing_requests=32)
app = Scoring.bind()

if __name__ == "__main__":
    serve.run(app, name="hashwarden")
    print("answers on http://127.0.0.1:8000/v2", flush=True)
    while True:
        time.sleep(60)
