"""``hashwarden report``: its flags."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Form", "report_command"]

FOLDER = Path("/var/lib/hashwarden")
TRUST = "How to verify"


class Form(StrEnum):
    """What a report can be written as."""

    HTML = "html"
    PDF = "pdf"
    JSON = "json"


What = Annotated[
    str,
    typer.Argument(
        metavar="CASE|BUNDLE|PERIOD", show_default=False,
        help="HW-7KQ2M9A; HW-7KQ2M9A.tar; 2026-11-01..2026-11-07, 2026-11, today, yesterday, this-week, last-week, "
        "this-month, last-month (UTC).",
    ),
]  # fmt: skip
Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="Its ending says what is written; - is the terminal, as HTML.",
                 show_default=False),
]  # fmt: skip
Folders = Annotated[
    list[Path] | None,
    typer.Option(help="An agent's folder, or a copy of its audit log; for several nodes several. "
                 "/var/lib/hashwarden if none; with a bundle none is needed."),
]  # fmt: skip
Redact = Annotated[
    bool, typer.Option("--redact-users", help="Pseudonyms for people, accounts, namespaces and jobs.")
]  # fmt: skip
Keys = Annotated[
    list[Path] | None, typer.Option(help="Trust this key. Example: --public-key audit.pub", rich_help_panel=TRUST)
]
Anchors = Annotated[
    list[Path] | None, typer.Option(help="Checkpoints that were kept elsewhere.", rich_help_panel=TRUST)
]  # fmt: skip
Archives = Annotated[
    list[Path] | None,
    typer.Option(help="Folder with older files of the log, read before it.", rich_help_panel=TRUST),
]
Pruned = Annotated[
    bool, typer.Option("--pruned", help="The oldest files were deleted by hand, on purpose.", rich_help_panel=TRUST)
]


def report_command(  # noqa: PLR0913, PLR0917
    what: What,
    output: Output = Path("-"),
    form: Annotated[Form | None, typer.Option("--format", help="Whatever the ending.")] = None,
    state_dir: Folders = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Evidence of the case, in place of what lies in the folder.")
    ] = None,
    redact_users: Redact = False,
    public_key: Keys = None,
    checkpoint: Anchors = None,
    archive: Archives = None,
    pruned: Pruned = False,
) -> None:
    """Write what an auditor, a manager or the user's supervisor is handed: what happened, why, how sure, by whom.

    Code 1 if what it rests on does not verify: the report says so at its top. Needs the extra 'report'.
    Example: hashwarden report HW-7KQ2M9A --output report.pdf
    """
    from hashwarden.cli.run_report import Order, run_report

    order = Order(
        what, output, form and str(form), tuple(state_dir or ()), bundle, redact_users, tuple(public_key or ()),
        tuple(checkpoint or ()), tuple(archive or ()), pruned, FOLDER,
    )  # fmt: skip
    raise typer.Exit(run_report(order))
