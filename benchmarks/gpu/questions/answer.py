"""What every script of this folder shares: a result that is whole at any moment, and parts that fail alone."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from machine import describe, gpu_count

__all__ = ["NO_GPU", "Answer", "options"]

NO_GPU = 6


def options(doc: str, limit: float, *more: tuple[str, dict[str, Any]]) -> argparse.Namespace:
    """Read the command line: ``--out``, ``--limit`` and further flags."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--limit", type=float, default=limit, help="seconds for all of it")
    for flag, words in more:
        parser.add_argument(flag, **words)
    return parser.parse_args()


class Answer:
    """The result of one script, written anew after each part.

    Parameters
    ----------
    name : str
        The file's name, without its ending.
    question : str
        What is asked, in a sentence.
    out : Path
        Folder.
    limit : float
        Seconds for all parts.
    """

    def __init__(self, name: str, question: str, out: Path, limit: float) -> None:
        self._path, self._until = out / f"{name}.json", time.monotonic() + limit
        self.ran, self.failed = 0, 0
        self.found: dict[str, Any] = {"question": question, "results": {}, "answers": [], "open": []}
        out.mkdir(parents=True, exist_ok=True)
        if gpu_count():
            self.found["machine"] = describe()

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self._until - time.monotonic()

    def part(self, name: str, measure: Callable[[], Any], least_s: float = 0.0) -> Any:
        """Measure one part, unless too little time is left; keep what it gives, or why it gave nothing.

        Returns
        -------
        object
            What `measure` gave; None if it was left out or failed.
        """
        if self.left_s < least_s:
            return self.leave(f"{name}: no time, {max(0.0, self.left_s):.0f} s left of the {least_s:.0f} s it needs")
        try:
            result = measure()
        except Exception as error:  # one part that fails must not hide the others
            self.failed += 1
            return self.leave(f"{name}: {type(error).__name__}: {error}"[:600])
        self.found["results"][name] = result
        self.ran += 1
        self.write()
        return result

    def leave(self, why: str) -> None:
        """Name something as open."""
        self.found["open"].append(why)
        self.write()

    def say(self, sentence: str) -> None:
        """Add a sentence that the numbers bear out."""
        self.found["answers"].append(sentence)
        self.write()

    def write(self) -> None:
        """Write all that is known by now."""
        part = self._path.with_name(self._path.name + ".part")
        part.write_text(json.dumps(self.found, indent=1) + "\n")
        part.replace(self._path)

    def end(self) -> int:
        """Say how it went; returns the exit code."""
        self.write()
        for why in self.found["open"]:
            print(f"open: {why}")
        print(f"{self.ran} ran, {self.failed} failed")
        if "machine" not in self.found:
            return NO_GPU
        return 1 if self.failed or not self.ran else 0
