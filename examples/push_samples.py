"""Push a recorded trace to `hashwarden serve` as if it were live, and print verdicts when they change.

Needs Python alone to talk; pyarrow to read the trace. Each run of the trace is a job. The samples are stamped as if the
last of them were taken now::

    python examples/push_samples.py data/job/demo.parquet --socket /run/hashwarden/serve.sock
    python examples/push_samples.py data/job/demo.parquet --url https://scores.example.org:9477 --token-file token

With ``--live`` a second takes a second; else all that is there is pushed as a backlog, which is judged by the times of
its samples, as fast as it can be.
"""

import argparse
import http.client
import json
import math
import os
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq

TEXT = {"run", "time_s", "label", "family", "strategy", "gpu", "origin"}
PATIENCE_S = 60.0


class Socket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self._path)


def connection(args: argparse.Namespace) -> http.client.HTTPConnection:
    """To the socket or the URL of the command line."""
    if args.socket:
        return Socket(args.socket)
    url = urlsplit(args.url)
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=args.ca)
        return http.client.HTTPSConnection(url.hostname or "", url.port, timeout=PATIENCE_S, context=context)
    return http.client.HTTPConnection(url.hostname or "", url.port, timeout=PATIENCE_S)


class Desk:
    """The service, on one connection that is made anew when it breaks."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._link = connection(args)
        token = os.environ.get("HASHWARDEN_TOKEN", "")
        if args.token_file:
            token = Path(args.token_file).read_text(encoding="ascii").strip()
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def close(self) -> None:
        """Hang up."""
        self._link.close()

    def post(self, path: str, value: dict[str, Any]) -> dict[str, Any]:
        """Send until it is answered: what was taken already is told as a duplicate, and counts once."""
        body = json.dumps(value)
        for attempt in range(10):
            try:
                self._link.request("POST", path, body, self._headers)
                answer = self._link.getresponse()
                told = json.loads(answer.read())
            except (OSError, http.client.HTTPException) as error:
                print(f"again: {error!r}", file=sys.stderr)
                self._link.close()
                self._link = connection(self._args)
                time.sleep(min(2**attempt, 30))
                continue
            if answer.status in (429, 503):  # nothing was taken
                time.sleep(float(answer.headers.get("Retry-After", 1)))
            elif answer.status >= 400:
                sys.exit(f"{answer.status}: {told['error']}")
            else:
                return told
        sys.exit("the service does not answer")


def jobs_of(path: str) -> dict[str, list[tuple[float, dict[str, float]]]]:
    """The samples of each run: seconds since its start, and what is known then."""
    found: dict[str, list[tuple[float, dict[str, float]]]] = {}
    for row in pq.read_table(path).to_pylist():
        there = {name: value for name, value in row.items() if name not in TEXT and value is not None}
        known = {name: value for name, value in there.items() if math.isfinite(value)}
        found.setdefault(row["run"], []).append((row["time_s"], known))
    return found


def batches(jobs: dict[str, list[tuple[float, dict[str, float]]]], every_s: float) -> Iterator[list[dict[str, Any]]]:
    """What each request brings: the samples of all jobs within so many seconds; their times are those of the trace."""
    end = max(samples[-1][0] for samples in jobs.values())
    for part in range(int(end // every_s) + 1):
        yield [
            {"id": name, "gpus": [f"GPU-{place}"], "samples": [
                {"gpu": f"GPU-{place}", "unix_s": at, "channels": values}
                for at, values in samples if part * every_s <= at < (part + 1) * every_s
            ]}
            for place, (name, samples) in enumerate(jobs.items())
        ]  # fmt: skip


def push(args: argparse.Namespace) -> dict[str, str]:
    """Push everything; gives the last state of each job."""
    desk, jobs, states = Desk(args), jobs_of(args.trace), dict[str, str]()
    length = max(samples[-1][0] for samples in jobs.values())
    start = time.time() - (0 if args.live else length)
    where = {"cluster": args.cluster, "scheduler": args.scheduler}
    for batch in batches(jobs, 1.0 if args.live else args.every_s):
        for job in batch:
            for sample in job["samples"]:
                sample["unix_s"] += start
        newest = max((sample["unix_s"] for job in batch for sample in job["samples"]), default=start)
        time.sleep(max(0.0, newest - time.time()))
        for verdict in desk.post("/v1/samples?wait=30", {**where, "jobs": batch})["verdicts"]:
            note(states, newest - start, verdict["job"], verdict)
    for name in jobs:
        told = desk.post("/v1/jobs/end?wait=30", {**where, "id": name})
        for verdict in told["verdicts"].values():
            note(states, length, told["job"], verdict)
    desk.close()
    return states


def note(states: dict[str, str], seconds: float, job: str, verdict: dict[str, Any]) -> None:
    """Print a verdict whose state is new."""
    if states.get(job) != verdict["state"]:
        states[job] = verdict["state"]
        print(f"{seconds:7.0f} s  {states[job]:9}  {job}  {verdict['likeliest']} {verdict['family']}", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", help="a trace of hashwarden record")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--socket", help="the service's Unix socket")
    place.add_argument("--url", help="http://HOST:PORT or https://HOST:PORT")
    parser.add_argument("--ca", help="PEM file of the authority of the service's certificate")
    parser.add_argument("--token-file", help="file with the token; else HASHWARDEN_TOKEN in the environment")
    parser.add_argument("--cluster", default="", help="which cluster counts these jobs")
    parser.add_argument("--scheduler", default="other", help="slurm, kubernetes, …")
    parser.add_argument("--every-s", type=float, default=60.0, help="seconds of the trace in one request")
    parser.add_argument("--live", action="store_true", help="a second takes a second")
    push(parser.parse_args())


if __name__ == "__main__":
    main()
