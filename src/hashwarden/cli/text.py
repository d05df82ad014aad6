"""Words that several commands share."""

from __future__ import annotations

__all__ = ["EXIT_CODES"]

EXIT_CODES = (
    "[bold]Exit codes[/bold]: 0 nothing at the --fail-on level; 1 a finding; 2 a flag that cannot be meant; "
    "3 an extra is not installed; 4 the model file; 5 a table that breaks its schema; 6 no GPU; "
    "7 too little memory; 8 a result that differs from its oracle; 9 a privilege is missing; "
    "objects that could not be judged: 11 missing, 12 empty, 13 truncated, 14 no GPU code, 15 encrypted, "
    "16 no permission, 17 process gone, 18 limit reached, 19 malformed, 20 worker died, 21 not supported, "
    "10 several of these; 70 a fault of hashwarden itself; 130 interrupted; 141 the reader of the output went away; "
    "of guard: 90 a verdict ended the command, 91 it could not be seen, 126 it cannot be run, 127 it is not there. "
    "A finding wins over errors, and the rest of the scan always goes on."
)
"""The epilogue of ``--help``; docs/exit-codes.md says more."""
