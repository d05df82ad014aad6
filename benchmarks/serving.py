"""What the scoring service takes: requests and samples a second, latency at half load, memory, and ten times too much.

One command::

    python benchmarks/serving.py [--seconds 8] [--out benchmarks/results]

Capacity and overload are made by h2load (Debian: nghttp2-client): HTTP/1.1 over Unix sockets and TCP, bodies of any
bytes, and a line in a file for every request, from which the percentiles here are made. wrk, hey and bombardier know
no Unix sockets or no rate, autocannon counts in whole milliseconds; h2load's rate comes in ticks of 10 ms. So the open
loop at half the capacity has a generator of its own, `serving_load`.

Peers in the same run: onnxruntime called directly in one thread, and the same ONNX file behind Ray Serve with raw
binary bodies, over TCP, where the service is measured a second time. What machine and server add to the latency is told
by an application that answers as many bytes and does nothing, in turn with the service. Writes serving.json and
serving.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.api.roles import Role
from hashwarden.serve.api.tokens import new_token
from hashwarden.serve.job_scorer import JobScorer

sys.path.insert(0, str(Path(__file__).parent))
from serving_load import LENGTH, Connection, request_of
from serving_peer import peer
from turns import interleaved, machine

LOAD = "import sys; sys.path.insert(0, sys.argv.pop(1)); from serving_load import main; main()"
START = "from hashwarden.cli import main; main()"
BATCHES = (1, 1000)
CLIENTS, CROWD, TIMES = 8, 800, 10
INFER = "/v2/models/job/infer"
PACKAGES = ("fastapi", "httptools", "numpy", "onnxruntime", "ray", "uvicorn", "uvloop")
P99_MS, WITHIN = 2.0, 2.0
TURNS = 5
IDLE_APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    head = [(b"content-length", b"%d"), (b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": bytes(%d)})
"""
"""What answers and does nothing."""


def tensors(rows: int) -> dict[str, np.ndarray]:
    """A batch as schedulers send it: what is known of each job, the time since the sample before, its state."""
    random = np.random.default_rng(rows)
    scorer = JobScorer()
    sample = random.random((rows, len(CHANNELS)), np.float32)
    sample[random.random(sample.shape) < 0.3] = np.nan
    return {"sample": sample, "dt": np.ones((rows, 1), np.float32), "state": scorer.initial(rows)}


def body(rows: int, folder: Path) -> tuple[Path, int, Path]:
    """The request as tritonclient writes it, how long its JSON is, and the same tensors as bytes alone."""
    from tritonclient.http import InferenceServerClient, InferInput

    inputs = []
    for name, array in tensors(rows).items():
        inputs.append(InferInput(name, list(array.shape), "FP32"))
        inputs[-1].set_data_from_numpy(array)
    content, length = InferenceServerClient.generate_request_body(inputs)
    ours, raw = folder / f"{rows}.v2", folder / f"{rows}.raw"
    ours.write_bytes(content)
    raw.write_bytes(b"".join(array.tobytes() for array in tensors(rows).values()))
    return ours, length, raw


@contextmanager
def service(folder: Path) -> Iterator[dict[str, Any]]:
    """The real program, on a Unix socket and on TCP."""
    token, log, path = new_token(folder / "tokens", "load", [Role.READ]), folder / "log", folder / "s"
    flags = ["serve", "--socket", str(path), "--listen", "127.0.0.1:0", "--tokens", str(folder / "tokens"), "--no-jobs",
             "--log-format", "text"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    with log.open("w") as file:
        running = subprocess.Popen([sys.executable, "-c", START, *flags], env=environment, stderr=file)
    try:
        while "stop: Ctrl-C" not in log.read_text():
            if running.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.05)
        url = re.search(r"http://127\S+", log.read_text())
        assert url is not None
        yield {"pid": running.pid, "unix": f"unix:{path}", "tcp": url[0], "token": token}
    finally:
        running.terminate()
        running.wait(60)


@contextmanager
def idle(folder: Path, size: int) -> Iterator[str]:
    """The server alone: an application that answers so many bytes."""
    (folder / "idle_app.py").write_text(IDLE_APP % (size, size))
    path = folder / "i"
    words = ["-m", "uvicorn", "idle_app:app", "--app-dir", str(folder), "--uds", str(path), "--log-level", "error",
             "--no-access-log"]  # fmt: skip
    running = subprocess.Popen([sys.executable, *words])
    try:
        while not path.exists():
            time.sleep(0.05)
        yield f"unix:{path}"
    finally:
        running.terminate()
        running.wait(60)


@final
@dataclass(frozen=True)
class Target:
    """Whom to ask what."""

    where: str
    path: str
    content: Path
    head: list[str]


def load(target: Target, clients: int, *words: str) -> dict[str, Any]:
    """Run h2load."""
    base = ["-B", target.where] if target.where.startswith("unix:") else []
    url = f"http://localhost{target.path}" if base else f"{target.where}{target.path}"
    log = target.content.with_name("requests")
    log.unlink(missing_ok=True)
    head = [word for each in target.head for word in ("-H", each)]
    fixed = ["--h1", "-t", "1", "-c", str(clients), "-d", str(target.content), "--log-file", str(log)]
    command = ["h2load", *fixed, *base, *head, *words, url]
    subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    lines = np.loadtxt(log, dtype=np.int64, ndmin=2)
    lasted_s = float((lines[:, 0] + lines[:, 2]).max() - lines[:, 0].min()) / 1e6
    return {"seconds": lasted_s, **told(lines[:, 2] / 1e3, lines[:, 1], lasted_s)}


def paced(target: Target, rate: float, seconds: float) -> dict[str, Any]:
    """Requests at a constant rate."""
    words = [target.where, target.path, str(target.content), json.dumps(target.head), str(rate), str(seconds)]
    command = [sys.executable, "-c", LOAD, str(Path(__file__).parent), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=seconds + 120)
    found = np.array(json.loads(done.stdout))
    return {"rate": rate, **told(found[:, 0], found[:, 1].astype(int), seconds)}


def told(ms: np.ndarray, status: np.ndarray, seconds: float) -> dict[str, Any]:
    """What the requests of a run say; the times are those of requests that were scored."""
    good = ms[status == 200]
    return {
        "requests": len(ms), "a_second": len(good) / seconds,
        "statuses": dict(Counter(str(each) if each > 0 else "none" for each in status.tolist())),
        "ms": {f"p{q:g}": float(np.percentile(good, q)) for q in (50, 99, 99.9)},
    }  # fmt: skip


def resident_mib(pid: int, which: str) -> float:
    """Memory of a process: VmRSS now, VmHWM at most."""
    return int(re.search(rf"{which}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def both(target: Target, seconds: float) -> dict[str, Any]:
    """Capacity, then latency at half of it."""
    full = load(target, CLIENTS, "-D", f"{seconds:.0f}")
    return {"capacity": full, "half": paced(target, full["a_second"] / 2, seconds)}


def in_turn(target: Target, rate: float, seconds: float, folder: Path) -> dict[str, Any]:
    """Latency of the service and of a server that does nothing, in turns at one rate; medians of the turns."""
    seen: dict[str, list[dict[str, float]]] = {"service": [], "idle": []}
    with idle(folder, answer_bytes(target)) as where:
        empty = Target(where, "/", target.content, target.head)
        for _ in range(TURNS):
            seen["service"].append(paced(target, rate, seconds / 2)["ms"])
            seen["idle"].append(paced(empty, rate, seconds / 2)["ms"])
    medians = {
        who: {name: float(np.median([each[name] for each in turns])) for name in turns[0]}
        for who, turns in seen.items()
    }
    return {"rate": rate, "turns": seen, "medians": medians}


def answer_bytes(target: Target) -> int:
    """How long an answer of the service is."""
    link = Connection(target.where)
    link.link.sendall(request_of(target.path, target.head, target.content.read_bytes()))
    got = link.link.recv(1 << 20)
    link.link.close()
    length = LENGTH.search(got)
    assert length is not None
    return int(length[1])


def direct(rows: int) -> float:
    """Seconds of a call of onnxruntime with the same tensors, nothing around it."""
    scorer, feed = JobScorer(), tensors(rows)
    mask = (~np.isnan(feed["sample"])).astype(np.float32)
    fed = {"sample": np.nan_to_num(feed["sample"]), "mask": mask, "dt": feed["dt"], "state": feed["state"]}
    return interleaved({"direct": lambda: scorer.session.run(None, fed)}, 9, 20)["direct"]


def counted(it: dict[str, Any]) -> dict[str, float]:
    """What the service says that it answered."""
    request = urllib.request.Request(f"{it['tcp']}/metrics", headers={"Authorization": f"Bearer {it['token']}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read().decode()
    pattern = r'^hashwarden_serve_requests_total\{route="/v2/models/\{model\}/infer",status="(\d+)"\} (\S+)'
    return {status: float(value) for status, value in re.findall(pattern, text, re.MULTILINE)}


def recovery_s(target: Target, usual_ms: float) -> float:
    """Seconds until twenty requests in a row were answered in ten times the usual time."""
    start, row = time.monotonic(), 0
    request = request_of(target.path, target.head, target.content.read_bytes())
    while row < 20 and time.monotonic() - start < 60:
        try:
            link, began = Connection(target.where), time.monotonic()
            link.send(request, 0)
            while not (status := link.read()):
                pass
            link.link.close()
        except OSError:
            status = 0
        row = row + 1 if status == 200 and 1e3 * (time.monotonic() - began) < 10 * usual_ms else 0
    return time.monotonic() - start


def too_much(it: dict[str, Any], target: Target, seen: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Ten times what it takes, from hundreds of connections; to the last answer, so that all can be counted."""
    before, capacity = counted(it), seen["capacity"]["a_second"]
    pace = f"{TIMES * capacity / CROWD:.4f}"
    run = load(target, CROWD, "-n", str(int(2 * capacity * seconds)), "--rps", pace)
    after = counted(it)
    recovered = recovery_s(target, seen["half"]["ms"]["p50"])
    answered = {status: after.get(status, 0) - before.get(status, 0) for status in after}
    return {**run, "wanted_a_second": TIMES * capacity, "recovered_s": recovered, "said_by_the_service": answered,
            "resident_mib": resident_mib(it["pid"], "VmRSS")}  # fmt: skip


def measure(seconds: float, folder: Path) -> dict[str, Any]:
    """All of it."""
    bodies = {rows: body(rows, folder) for rows in BATCHES}
    found: dict[str, Any] = {"direct_s": {rows: direct(rows) for rows in BATCHES}, "unix": {}, "tcp": {}, "ray": {}}
    with service(folder) as it:
        found["idle_mib"] = resident_mib(it["pid"], "VmRSS")
        for rows, (ours, length, _) in bodies.items():
            head = [f"Inference-Header-Content-Length: {length}", "Content-Type: application/octet-stream"]
            near = Target(it["unix"], INFER, ours, head)
            far = Target(it["tcp"], INFER, ours, [*head, f"Authorization: Bearer {it['token']}"])
            found["unix"][rows], found["tcp"][rows] = both(near, seconds), both(far, seconds)
            found[f"after_{rows}_mib"] = resident_mib(it["pid"], "VmRSS")
            if rows == 1:
                found["in_turn"] = in_turn(near, found["unix"][1]["capacity"]["a_second"] / 2, seconds, folder)
                found["too_much"] = too_much(it, near, found["unix"][1], seconds)
        found["most_mib"] = resident_mib(it["pid"], "VmHWM")
    with peer() as url:
        for rows, (_, _, raw) in bodies.items():
            found["ray"][rows] = both(Target(url, "/", raw, ["Content-Type: application/octet-stream"]), seconds)
    return found


def row(name: str, rows: int, it: dict[str, Any], direct_s: float) -> str:
    """One line of the table."""
    full, ms = it["capacity"], it["half"]["ms"]
    share = full["a_second"] * direct_s
    return (f"| {name} | {rows:,} | {full['a_second']:,.0f} | {rows * full['a_second']:,.0f} | {share:.2f} | "
            f"{ms['p50']:.2f} | {ms['p99']:.2f} | {ms['p99.9']:.2f} |")  # fmt: skip


NAMES = {"unix": "hashwarden serve, Unix socket", "tcp": "hashwarden serve, TCP, token", "ray": "Ray Serve, TCP, raw"}


def page(found: dict[str, Any]) -> str:
    """The results for people."""
    where, over, at_1000 = found["machine"], found["too_much"], found["unix"][1000]["capacity"]["a_second"]
    lines = [row(NAMES[kind], rows, found[kind][rows], found["direct_s"][rows]) for rows in BATCHES for kind in NAMES]
    turn = found["in_turn"]["medians"]
    p99, within = turn["service"]["p99"], 1 / (at_1000 * found["direct_s"][1000])
    shares = ", ".join(f"{count:,} of {status} ({count / over['requests']:.1%})"
                       for status, count in sorted(over["statuses"].items()))  # fmt: skip
    accepted, received = over["said_by_the_service"].get("200", 0), over["statuses"].get("200", 0)
    return "\n".join([
        "# What the scoring service takes", "",
        f"{where['cpu']}, {where['cores']} cores, shared by the service and the load generators; {where['date']}, load",
        f"before the run {where['load']:.1f}. One process, one thread a network. Binary tensors of the job model:",
        f"{len(CHANNELS)} channels, time and state in; probabilities, families, novelty and state out.", "",
        f"Capacity: {CLIENTS} connections, each asks when it has its answer. Latency: a constant rate of half of that,",
        "each request timed from when it should have been sent. Direct: onnxruntime in a loop, with the same tensors.",
        "", "| | batch | requests a second | samples a second | of direct | p50 ms | p99 ms | p99.9 ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |", *lines, "",
        f"Aims: p99 under {P99_MS:g} ms at batch 1 over the Unix socket at half load: {p99:.2f} ms, "
        f"{'met' if p99 < P99_MS else 'missed'} (median of {TURNS} turns;",
        f"p50 {turn['service']['p50']:.2f}, p99.9 {turn['service']['p99.9']:.2f}). In turn with it a server that "
        "answers as many bytes and does nothing:",
        f"p50 {turn['idle']['p50']:.2f}, p99 {turn['idle']['p99']:.2f}, p99.9 {turn['idle']['p99.9']:.2f} ms.",
        f"Samples a second within {WITHIN:g} times of direct at batch 1,000: {within:.2f} times, "
        f"{'met' if within < WITHIN else 'missed'}.", "",
        f"Memory: {found['idle_mib']:.0f} MiB idle, {found['after_1_mib']:.0f} after batches of 1, "
        f"{found['after_1000_mib']:.0f} after batches of 1,000,",
        f"{found['most_mib']:.0f} at most, the time of too much included.", "",
        f"Ten times too much: {CROWD} connections that want {over['wanted_a_second']:,.0f} requests a second in all,",
        f"until {over['requests']:,} are answered ({over['seconds']:.1f} s): {shares}.",
        f"{over['a_second']:,.0f} a second were scored, p99 {over['ms']['p99']:.0f} ms. As usual again "
        f"{over['recovered_s']:.2f} s after its end.",
        f"Accepted, as the service counts: {accepted:,.0f}; answered, as the clients count: {received:,}.",
    ]) + "\n"  # fmt: skip


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    if shutil.which("h2load") is None:
        print("left out: h2load is not installed (Debian: nghttp2-client)")
        return
    where = machine(PACKAGES)
    with tempfile.TemporaryDirectory() as folder:
        found = {"machine": where, **measure(asked.seconds, Path(folder))}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "serving.json").write_text(json.dumps(found, indent=1) + "\n")
    (asked.out / "serving.md").write_text(page(found))
    print(page(found))


if __name__ == "__main__":
    main()
