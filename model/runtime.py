"""onnxruntime, loaded so that it reports nothing to anybody.

Its Linux wheels open a telemetry session with their vendor when they are imported, and leave a file ``.ses`` in the
temporary folder; `disable_telemetry_events` comes too late for that. A scanner that runs as root must do neither.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__all__ = ["onnxruntime"]


def onnxruntime() -> Any:  # noqa: ANN401  onnxruntime ships no types
    """Import onnxruntime with its telemetry off, for this process and those that it starts."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return import_module("onnxruntime")
