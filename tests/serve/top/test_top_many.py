"""Thousands of jobs of a desk, on GPUs that nobody numbered: what matters is on the screen, and only that is drawn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot

from hashwarden.serve.agent_client import Peer, url_peer
from hashwarden.serve.top import tables
from hashwarden.serve.top.app import TopApp
from hashwarden.serve.top.columns import Column, Drawn, arranged, grown, line
from hashwarden.serve.top.feed import Feed, Node
from hashwarden.serve.top.plain import plain_lines
from hashwarden.serve.top.rows import gpu_rows, job_row
from hashwarden.serve.top.tables import gpu_lines, job_lines
from hashwarden.serve.top.view import view_of
from hashwarden.serve.top.words import Look, tail

FULL, PLAIN = Look(True), Look(False)
JOBS, MINER = 3000, 2718


def gpu_of(place: int) -> str:
    return f"east/node{place // 8:03d}/GPU-{place % 8}"


def pages(states: dict[int, str]) -> dict[str, Any]:
    """Of a desk, as it gives them."""
    gpus = [{"gpu": gpu_of(n), "index": None, "name": "", "mig": None, "jobs": [f"pushed:east:slurm:{n}"],
             "now": {"gpu_util_ratio": 0.5}} for n in range(JOBS)]  # fmt: skip
    jobs = [{"job": f"pushed:east:slurm:{n}", "user": f"u{n % 50}", "gpus": [gpu_of(n)], "verdicts": {gpu_of(n): {
        "state": states.get(n, "clear"), "likeliest": "training", "strength": 0.0, "watched_s": 60.0, "trend": [0.0],
        "reasons": ["a reason"], "probabilities": {"training": 0.9}}}} for n in range(JOBS)]  # fmt: skip
    status = {"node": "desk", "ready": {"ready": True}, "gpus": JOBS, "jobs": JOBS, "cases": 0,
              "sources": [{"name": "pushed", "ok": True}], "model": {"name": "job"}, "unix_s": 1.0}  # fmt: skip
    return {"status": status, "gpus": {"gpus": gpus}, "jobs": {"jobs": jobs}, "cases": {"cases": []}}


def test_of_thousands_only_what_is_on_the_screen_is_drawn_and_the_worst_is(liar, monkeypatch):
    drawn: list[int] = []
    monkeypatch.setattr(tables, "line", lambda *given: drawn.append(1) or line(*given))
    served = {f"/v1/{name}": page for name, page in pages({MINER: "suspect"}).items()} | {"/healthz": {"alive": True}}
    feed = Feed([url_peer(liar(served))])
    feed.read()

    async def run() -> None:
        app = TopApp(feed, FULL, 60.0)
        async with app.run_test(size=(120, 30)) as pilot:
            await script(app, pilot)

    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.pause()
        strips = app.screen._compositor.render_strips()
        shown = ["".join(segment.text for segment in strip) for strip in strips]
        assert any(gpu_of(MINER) in text and "50%" in text for text in shown), "its GPU is among the few that are shown"
        assert any("◕ suspect" in text and f":{MINER}" in text for text in shown)
        assert any("and 2992 more GPUs" in text for text in shown)
        assert "NAME" not in shown[2], "nobody told any"
        drawn.clear()
        await pilot.press("end")
        assert f"{JOBS}/{JOBS} jobs" in app.screen.query_one("#why")._texts[-1].plain
        assert 0 < len(drawn) < 200, "a key redraws what is seen"

    asyncio.run(run())


def test_plain_output_has_all_of_them():
    node = Node(Peer(url="http://h"), pages({MINER: "confirmed"}), read_s=0.0)
    texts = [text.plain for text in plain_lines([node], 1.0, 140, FULL)]
    assert sum("GPU-" in text and "pushed:east" in text for text in texts) >= 2 * JOBS
    assert sum("● confirmed" in text for text in texts) == 1


@pytest.mark.parametrize(("gpu", "label"), [
    ({"index": 3}, "3"), ({"index": 0, "mig": 7}, "0:7"),
    ({"index": None, "gpu": "east/node001/GPU-6"}, "east/node001/GPU-6"), ({"gpu": "gpu-a"}, "gpu-a"),
    ({"gpu": "GPU-5f0b1c2d-1234-5678-9abc-def012345678"}, "GPU-5f0b1c2d"),
    ({"gpu": "west/MIG-5f0b1c2d-1234-5678-9abc-def012345678"}, "west/MIG-5f0b1c2d"),
    ({"name": "H100"}, "?"), ({"gpu": "\x1b[31m"}, "\\x1b[31m"),
])  # fmt: skip
def test_gpus_go_by_their_number_or_else_by_their_name(gpu, label):
    (row,) = gpu_rows("n", [gpu], FULL)
    assert row.label == label


def test_of_long_names_the_end_is_shown_and_of_many_gpus_how_many():
    view = view_of([], 0.0, FULL)

    def shown(gpus: list[str], width: int) -> str:
        return job_lines([job_row("n", {"job": "slurm:1", "gpus": gpus}, {}, FULL)], view, width, FULL)[1][0].plain

    assert "east/node001/GPU-6" in shown(["east/node001/GPU-6"], 200)
    assert "…GPU-6 " in shown(["east/node001/GPU-6"], 80)
    assert " 8 GPUs " in shown([str(n) for n in range(8)], 120)
    assert " 0,1,2 " in shown(["0", "1", "2"], 120)
    numbered = gpu_lines(gpu_rows("n", [{"index": 3, "name": "H100"}], FULL), {}, 80, FULL)
    assert (numbered[0].plain[:4], numbered[1][0].plain[:7]) == ("GPU ", "3     H")


@pytest.mark.parametrize("width", range(12))
@pytest.mark.parametrize("text", ["", "abc", "中文字中文", "abcdefghij"])
def test_a_tail_fits(text, width):
    for look in (FULL, PLAIN):
        found = tail(text, width, look)
        assert width == 0 or cell_len(found) <= width
        assert found == text or found == look.dots + text[len(text) - len(found) + 1 :]


def test_lines_are_drawn_when_they_are_asked_for():
    asked: list[int] = []
    lines = Drawn([1, 2, 3], lambda row: asked.append(row) or tables.Text(str(row)))
    assert (len(lines), asked) == (3, [])
    assert [text.plain for text in lines[1:]] == ["2", "3"]
    assert (lines[0].plain, asked) == ("1", [2, 3, 1])
    assert [text.plain for text in lines] == ["1", "2", "3"]
    with pytest.raises(IndexError):
        lines[3]


def test_a_column_grows_with_its_texts_up_to_a_bound():
    column = Column("label", "GPU", 3, 5, 20)
    assert grown(column, [], 24) == column
    assert grown(column, ["0", "1:7"], 24) == column
    ((_, size),) = arranged([grown(column, ["x" * 50], 24)], 200)
    assert size == 24
