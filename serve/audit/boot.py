"""Which boot of this machine it is; monotonic times of two boots cannot be compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["boot_id"]

_FORM: Final = re.compile(r"[0-9a-f-]{1,36}")


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """The kernel's id of this boot; empty where there is none."""
    try:
        found = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return found if _FORM.fullmatch(found) else ""
