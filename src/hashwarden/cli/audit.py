"""``hashwarden audit``: check a log, read it, meter, export, attest; check evidence."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hashwarden.cli.text import EXIT_CODES
from hashwarden.errors import UsageError

__all__ = ["FOLDER", "Schema", "Table", "audit_app"]

FOLDER = Path("/var/lib/hashwarden/audit")
"""Where the agent writes if nothing else is said."""

audit_app = typer.Typer(help="The audit log: verify, show, meter, export, attest.", no_args_is_help=True)
bundle_app = typer.Typer(help="Evidence bundles.", no_args_is_help=True)
audit_app.add_typer(bundle_app, name="bundle")

Folder = Annotated[Path, typer.Argument(help="Folder of the log.")]
Keys = Annotated[
    list[Path] | None,
    typer.Option("--public-key", help="Trust this key. May be given again. Example: --public-key audit.pub"),
]
Anchors = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", help="Checkpoints that were kept elsewhere. Example: --checkpoint anchor.jsonl"),
]
Pruned = Annotated[bool, typer.Option("--pruned", help="The oldest files were deleted by hand, on purpose.")]
Archives = Annotated[
    list[Path] | None,
    typer.Option("--archive", help="Folder with older files of the log, read before it. Example: --archive /mnt/old"),
]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
From = Annotated[str, typer.Option("--from", help="Beginning, UTC if it names no zone. Example: --from 2026-11-01")]
To = Annotated[str, typer.Option("--to", help="End; it is not part of the period. Example: --to 2026-12-01")]


class Table(StrEnum):
    """Forms of a table."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Form(StrEnum):
    """Forms of an export."""

    OCSF = "ocsf"


class Schema(StrEnum):
    """Schemas that can be printed."""

    RECORD = "record"
    ATTESTATION = "attestation"


@audit_app.callback()
def _group() -> None:
    """The audit log: verify, show, meter, export, attest."""


@audit_app.command("verify", epilog=EXIT_CODES)
def verify_command(  # noqa: PLR0913, PLR0917
    folder: Folder = FOLDER,
    public_key: Keys = None,
    checkpoint: Anchors = None,
    pruned: Pruned = False,
    archive: Archives = None,
    strict: Annotated[bool, typer.Option("--strict", help="Hold every body against its schema, too.")] = False,
    as_json: Json = False,
) -> None:
    """Find every altered, removed, reordered or truncated record; code 1 if there is one.

    Example: hashwarden audit verify /var/lib/hashwarden/audit --public-key audit.pub --checkpoint anchor.jsonl
    """
    from hashwarden.cli.run_audit import run_verify, wanted

    order = wanted(public_key, checkpoint, pruned=pruned, strict=strict, archives=archive)
    raise typer.Exit(run_verify(folder, order, as_json=as_json))


@audit_app.command("show", epilog=EXIT_CODES)
def show_command(  # noqa: PLR0913, PLR0917
    folder: Folder = FOLDER,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind. Example: --kind verdict")] = None,
    case: Annotated[str, typer.Option(help="Only this case. Example: --case HW-7KQ2M9A")] = "",
    job: Annotated[str, typer.Option(help="Only this job. Example: --job slurm:1234")] = "",
    last: Annotated[int, typer.Option(min=0, help="Only so many at the end; 0 for all.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show records, one a line. Nothing is checked: that is what verify is for.

    Example: hashwarden audit show --kind case --kind action --follow
    """
    from hashwarden.cli.run_audit import Chosen, run_show

    run_show(folder, Chosen(tuple(kind or ()), case, job, last), follow=follow, as_json=as_json)


@audit_app.command("meter", epilog=EXIT_CODES)
def meter_command(  # noqa: PLR0913, PLR0917
    folder: Folder = FOLDER,
    by: Annotated[
        str, typer.Option(help="tenant, user, class, hour, day, month, with commas. Example: --by tenant,month")
    ] = "tenant,class",
    start: From = "",
    end: To = "",
    form: Annotated[Table, typer.Option("--format", help="Example: --format csv")] = Table.TABLE,
    public_key: Keys = None,
    checkpoint: Anchors = None,
    pruned: Pruned = False,
    archive: Archives = None,
) -> None:
    """GPU-hours watched and not watched; the log is verified on the way, code 1 if it is not as it was written.

    Example: hashwarden audit meter --by tenant,class --from 2026-11-01 --to 2026-12-01
    """
    from hashwarden.cli.run_audit import wanted
    from hashwarden.cli.run_audit_reports import run_meter

    names = [name.strip() for name in by.split(",") if name.strip()]
    order = wanted(public_key, checkpoint, pruned=pruned, archives=archive)
    raise typer.Exit(run_meter(folder, names, (start, end), str(form), order))


@audit_app.command("export", epilog=EXIT_CODES)
def export_command(  # noqa: PLR0913, PLR0917
    folder: Folder = FOLDER,
    form: Annotated[Form, typer.Option("--format", help="Of the findings.")] = Form.OCSF,
    start: From = "",
    end: To = "",
    after: Annotated[int, typer.Option(help="Only records after this number. Example: --after 41022")] = -1,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
) -> None:
    """Verdicts and cases as OCSF Detection Findings (class 2004), one JSON object a line.

    Example: hashwarden audit export --format ocsf --from 2026-11-01 > findings.jsonl
    """
    from hashwarden.cli.run_audit_reports import run_export

    del form
    run_export(folder, (start, end), after, follow=follow)


@audit_app.command("attest", epilog=EXIT_CODES)
def attest_command(  # noqa: PLR0913, PLR0917
    folder: Folder = FOLDER,
    tenant: Annotated[str, typer.Option(help="Namespace, account or user. Example: --tenant physics")] = "",
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="About the whole node.")] = False,
    start: From = "",
    end: To = "",
    output: Annotated[Path, typer.Option(help="Example: --output physics-2026-11.json", show_default=False)] = Path(
        "-"
    ),
    key: Annotated[
        Path | None, typer.Option(help="Private key; audit.pem beside the folder if none. Example: --key audit.pem")
    ] = None,
    public_key: Keys = None,
    checkpoint: Anchors = None,
    pruned: Pruned = False,
    archive: Archives = None,
) -> None:
    """A signed statement on a tenant's GPU use (in-toto in DSSE), which others verify offline.

    Example: hashwarden audit attest --tenant physics --from 2026-11-01 --to 2026-12-01 --output physics.json
    """
    if bool(tenant) == all_tenants:
        raise UsageError("both or none of --tenant and --all-tenants", "one of them", "Name a tenant.")
    from hashwarden.cli.run_audit import wanted
    from hashwarden.cli.run_audit_reports import run_attest

    order = wanted(public_key, checkpoint, pruned=pruned, archives=archive)
    key = key or folder.absolute().parent / "audit.pem"
    run_attest(folder, key, tenant or None, (start, end), output, order)


@audit_app.command("attest-verify", epilog=EXIT_CODES)
def attest_verify_command(
    attestation: Annotated[Path, typer.Argument(help="What attest wrote.", show_default=False)],
    public_key: Annotated[
        Path, typer.Option(help="Of who attested. Example: --public-key audit.pub", show_default=False)
    ],
    log: Annotated[Path | None, typer.Option(help="Count again from a copy of the log. Example: --log audit/")] = None,
    as_json: Json = False,
) -> None:
    """Check an attestation with nothing but the public key; code 8 if it is not by that key.

    Example: hashwarden audit attest-verify physics.json --public-key audit.pub
    """
    from hashwarden.cli.run_audit_reports import run_attest_verify

    raise typer.Exit(run_attest_verify(attestation, public_key, log, as_json=as_json))


@audit_app.command("rotate-key", epilog=EXIT_CODES)
def rotate_key_command(
    folder: Folder = FOLDER,
    key: Annotated[Path | None, typer.Option(help="Private key; audit.pem beside the folder if none.")] = None,
) -> None:
    """Go on with a new key; the old one signs the change, and is then deleted. The agent must not run.

    Example: hashwarden audit rotate-key /var/lib/hashwarden/audit
    """
    from hashwarden.cli.run_audit import run_rotate_key

    run_rotate_key(folder, key or folder.absolute().parent / "audit.pem")


@audit_app.command("schema")
def schema_command(
    which: Annotated[Schema, typer.Argument(help="record or attestation.")] = Schema.RECORD,
) -> None:
    """Print the JSON schema of a line of the log, or of an attestation.

    Example: hashwarden audit schema record > audit-record.schema.json
    """
    from hashwarden.cli.run_audit import run_schema

    run_schema(str(which))


@bundle_app.callback()
def _bundles() -> None:
    """Evidence bundles."""


@bundle_app.command("verify", epilog=EXIT_CODES)
def bundle_verify_command(
    bundle: Annotated[Path, typer.Argument(help="The bundle.", show_default=False)],
    log: Annotated[
        Path | None, typer.Option(help="Hold its hash against this audit log, too. Example: --log audit/")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that every part of a bundle is what was packed; code 1 if not.

    Example: hashwarden audit bundle verify HW-7KQ2M9A.tar --log /var/lib/hashwarden/audit
    """
    from hashwarden.cli.run_audit_reports import run_bundle_verify

    raise typer.Exit(run_bundle_verify(bundle, log, as_json=as_json))
