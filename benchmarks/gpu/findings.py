"""Makes the page docs/gpu-findings.md: each question that only a GPU answers, with its answer or open.

    python benchmarks/gpu/findings.py [--check]

Reads benchmarks/results/gpu/*/*.json, which benchmarks/gpu/keep.py puts there, and writes the page; with ``--check`` it
only says whether the page is that. Nothing on it is written by hand but the questions and why they matter.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "questions"))
from asked import QUESTIONS, Question
from reported import KNOWN

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "gpu"
PAGE = ROOT / "docs" / "gpu-findings.md"
NOT_YET = "**Open.** No GPU was at hand so far."
HEAD = """# What only a GPU can tell

Made by `python benchmarks/gpu/findings.py` from `benchmarks/results/gpu`. A question without a result is open, and says
so: nothing here is estimated. `make gpu` asks all of them on a machine with a GPU ([how](measuring.md)),
`python benchmarks/gpu/keep.py` keeps what it found. What others say of a question stands under it as theirs: it is no
answer, and nothing rests on it but what to look at first.
"""


def results_for(question: Question, results: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where and what, for each result that was kept; the newest first."""
    for path in sorted(results.glob(f"*/{question.result}.json"), reverse=True):
        yield path.parent.name, json.loads(path.read_text())


def place(name: str, found: dict[str, Any], results: Path) -> str:
    """On what it was measured: the GPU, its driver and the day."""
    report = results / name / "report.json"
    machine = found.get("machine")
    if not (isinstance(machine, dict) and "driver" in machine):
        machine = json.loads(report.read_text())["machine"] if report.exists() else None
    if machine is None:
        return f"From recordings, {name}"
    return f"{machine['gpu']}, driver {machine['driver']}, {machine['date'][:10]}"


def _of(question: Question, lines: Sequence[str]) -> list[str]:
    """Lines of a result that belong to the question."""
    return [line for line in lines if not question.parts or line.startswith(question.parts)]


def section(question: Question, results: Path) -> Iterator[str]:
    """The question and all that is known."""
    yield from ("", f"## {question.title}", "", question.why, "")
    known = False
    for name, found in results_for(question, results):
        left = found.get("open", [])
        answers, left = (
            _of(question, said(question.result, found)),
            _of(question, [left] if type(left) is str else left),
        )
        if answers or left:
            known = True
            link = f"[numbers](../benchmarks/results/gpu/{name}/{question.result}.json)"
            yield from (f"**{place(name, found, results)}** ({link})", "")
            yield from (f"- {line}" for line in answers)
            yield from (f"- *Open:* {line}" for line in left)
            yield ""
    if not known:
        yield from (NOT_YET, "")
    yield from said_elsewhere(question.title)


def said_elsewhere(title: str) -> Iterator[str]:
    """What is known of a question without a GPU of our own."""
    if KNOWN.get(title):
        yield from ("Not measured on a GPU here:", "")
    for one in KNOWN.get(title, ()):
        links = ", ".join(f"[{name}]({address})" for name, address in one.links)
        yield f"- *{one.who[0].upper() + one.who[1:]}:* {one.says}" + (f" ({links})" if links else "")
    yield ""


def said(result: str, found: dict[str, Any]) -> list[str]:
    """Sentences of a result; those of the benchmarks that measure and do not speak are made here."""
    if "answers" in found:
        return list(found["answers"])
    return {"mix": _mix, "job": _job, "workloads": _workloads, "probes": _probes}[result](found)


def _mix(found: dict[str, Any]) -> list[str]:
    return [
        f"`{name}`: {row['megabytes_per_s']:,.0f} MB/s"
        + (f", {row['share_of_copy']:.1%} of a copy." if "share_of_copy" in row else ".")
        for name, row in found["engines"].items()
    ]


def _job(found: dict[str, Any]) -> list[str]:
    words = []
    for row in found["batches"]:
        faster = row["times_faster_than_one_cpu_core"]
        words.append(
            f"{row['batch']:,} jobs a step: {row['us_per_step']:,.0f} us, {row['samples_per_s']:,.0f} samples/s, "
            f"{row['times_copy_of_its_data']:.1f} times a copy of its data"
            + (f", {faster:.1f} times as fast as one CPU core." if faster else ".")
        )
    return words


def _workloads(found: dict[str, Any]) -> list[str]:
    failed, left = found["failed"], found["left_out_for_time"]
    shares = sorted(row["share_of_bound"] for row in found["results"].values() if "share_of_bound" in row)
    words = [f"{len(found['results']) - len(failed)} of {len(found['results'])} give what their oracles give."]
    words += [f"Not so: {name}: {found['results'][name]['error']}" for name in failed]
    words += [f"{len(left)} were left out for time."] if left else []
    if shares:
        words.append(f"Share of what bounds them: {shares[len(shares) // 2]:.0%} in the median of {len(shares)}.")
    return words


def _probes(found: dict[str, Any]) -> list[str]:
    on_gpu, words = found.get("on_gpu") or {}, []
    if "gpu_us" in on_gpu.get("cost", {}):
        cost = on_gpu["cost"]["gpu_us"]
        words.append(
            f"A round takes {cost['p50']:.0f} us of the GPU in the median, {cost['p99']:.0f} us at the 99th percentile."
        )
    if "slowdown_percent" in on_gpu.get("slowdown", {}):
        low, high = on_gpu["slowdown"]["interval_95_percent"]
        slower = on_gpu["slowdown"]["slowdown_percent"]
        words.append(
            f"One round a second makes a training {slower:.2f} % slower (95 % interval {low:.2f} to {high:.2f})."
        )
    return words


def page(results: Path = RESULTS) -> str:
    """All of it."""
    lines = HEAD.splitlines()
    for question in QUESTIONS:
        lines += section(question, results)
    text = "\n".join(lines).rstrip() + "\n"
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        same = PAGE.exists() and PAGE.read_text() == page()
        print("the page is what the results say" if same else "the page is another: run without --check")
        return 0 if same else 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
