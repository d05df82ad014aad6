"""Nothing of what is asked is sent to a collector that an environment variable or another package set up."""

import os
import subprocess
import sys

ASK = """
import asyncio, sys
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from hashwarden.serve.api.app import create_app
from hashwarden.serve.api.config import ServeConfig

seen = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(seen))
trace.set_tracer_provider(provider)

def ask(app):
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/healthz", "raw_path": b"/healthz",
             "root_path": "", "scheme": "http", "query_string": b"", "headers": [], "client": None, "server": None,
             "asgi": {"version": "3.0"}}
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        pass
    asyncio.run(app(scope, receive, send))
    return len(seen.get_finished_spans())

ours = create_app(ServeConfig())
print(ask(ours))
plain = FastAPI()
plain.add_api_route("/healthz", lambda: "well")
print(ask(plain))
"""


def test_no_trace_of_a_request_leaves_the_service():
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, timeout=120,
                          env=os.environ | {"FASTAPI_OTEL_AUTO_CONFIGURE": "true"})  # fmt: skip
    ours, plain = map(int, done.stdout.split())
    assert ours == 0
    assert plain > 0, "else this test would see nothing at all"
