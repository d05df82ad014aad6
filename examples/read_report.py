"""Read a JSON report: the kernels that look most like mining, with their reasons.

hashwarden scan --format json --output report.json a.whl
python examples/read_report.py report.json 5
"""

from __future__ import annotations

import heapq
import json
import sys
from pathlib import Path
from typing import Any


def most_suspicious(document: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Pick the kernels of highest P(mining); of equal code, one."""
    if document["schema"] != "hashwarden.scan/1":
        raise ValueError(f"a report of format {document['schema']}, expected hashwarden.scan/1")
    distinct = {kernel["code_sha1"] or kernel["index"]: kernel for kernel in reversed(document["kernels"])}
    return heapq.nlargest(number, distinct.values(), key=lambda kernel: kernel["p_mining"])


def main() -> None:
    """Print the kernels of a report."""
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for kernel in most_suspicious(document, int(sys.argv[2]) if len(sys.argv) > 2 else 10):
        print(f"{kernel['p_mining']:.3f}  sm_{kernel['arch']}  {kernel['verdict']}  {ascii(kernel['kernel'])[1:-1]}")
        for reason in kernel["reasons"]:
            print(f"       {reason}")


if __name__ == "__main__":
    main()
