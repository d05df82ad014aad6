"""Make docs/report.png: two pages of a report on a case of the demonstration, as hashwarden report writes it.

Needs the extras node and report, and pdftoppm (Debian: apt install poppler-utils).
python examples/report_picture.py docs/report.png
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from hashwarden.serve.agent.agent import Agent
from hashwarden.serve.agent.build import build
from hashwarden.serve.agent.config import load_config
from hashwarden.serve.audit.keys import load_public
from hashwarden.serve.audit.verify import Wanted
from hashwarden.serve.reporting.make import Sources, case_facts, rendered

DEMO: Final = Path(__file__).parents[1] / "data" / "job" / "demo.parquet"
SECONDS: Final = 200
PAGES: Final = (1, 2)
DOTS: Final = 76
GREY: Final = (205, 205, 205)


def case_of(folder: Path) -> str:
    """Let an agent watch the demonstration for a while; gives a case that it opened."""
    config = load_config(None, {
        "state_dir": folder / "state", "run_dir": folder / "run", "http": {"listen": "", "socket": ""},
        "log": {"format": "text", "level": "error"}, "jitter": 0.0, "schedulers": {"names": ()},
        "sources": {"names": ("replay",), "trace": DEMO, "speed": 1000.0}, "jobs": {"providers": ("drill",)},
    })  # fmt: skip
    agent = Agent(build(config))
    agent.start()
    try:
        for _ in range(SECONDS):
            agent.tick()
    finally:
        agent.close()
    return next(case.id for case in agent.parts.engine.cases if "matmul" in case.job_key)


def side_by_side(paths: list[Path]) -> Image.Image:
    """Pages beside one another, with an edge; few colours, for it is to be small."""
    pages = [Image.open(path).convert("RGB") for path in paths]
    edge, gap = 1, 14
    width, height = pages[0].size
    whole = Image.new("RGB", (len(pages) * (width + 2 * edge + gap) - gap, height + 2 * edge), "white")
    for place, page in enumerate(pages):
        left = place * (width + 2 * edge + gap)
        whole.paste(GREY, (left, 0, left + width + 2 * edge, height + 2 * edge))
        whole.paste(page, (left + edge, edge))
    return whole.quantize(224, dither=Image.Dither.NONE)


def main() -> None:
    """Write the picture that is named."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = case_of(folder)
        key = load_public(folder / "state" / "audit.pub")
        report = case_facts(case, Sources((folder / "state",), None, Wanted((key,))))
        (folder / "report.pdf").write_bytes(rendered(report, "pdf"))
        command = ["pdftoppm", "-r", str(DOTS), "-png", folder / "report.pdf", folder / "page"]
        subprocess.run(command, check=True)
        paths = [next(folder.glob(f"page-*{page}.png")) for page in PAGES]
        side_by_side(paths).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
