"""Make a picture of what a command prints, as docs/scan.png was made.

pip install resvg-py
python examples/terminal_picture.py docs/scan.png 100 hashwarden scan --explain a.whl
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def picture(command: list[str], columns: int) -> str:
    """Run a command in a terminal of some width; gives an SVG of what it said, errors too."""
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(columns), "TERM": "xterm-256color"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False
    )
    console = Console(width=columns, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text(f"$ {shlex.join(command)}", style="bold"))
    console.print()
    for line in done.stdout.splitlines():
        console.print(Text.from_ansi(line), soft_wrap=True)
    if done.returncode:
        console.print(Text(f"\n$ echo $?\n{done.returncode}"))
    console.print()  # the picture's edge cuts into the last line
    return console.export_svg(title=command[0])


def main() -> None:
    """Write the picture named first, as SVG or PNG by its name."""
    path, columns, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    svg = picture(command, columns)
    if path.suffix == ".svg":
        path.write_text(svg, encoding="utf-8")
        return
    import resvg_py

    font = "DejaVu Sans Mono"
    path.write_bytes(
        bytes(resvg_py.svg_to_bytes(svg_string=svg, width=12 * columns, font_family=font, monospace_family=font))
    )


if __name__ == "__main__":
    main()
