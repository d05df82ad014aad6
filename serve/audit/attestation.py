"""Attestations: what was seen of a tenant's GPU time, signed, for somebody who has nothing but the public key.

An in-toto statement in a DSSE envelope. The log is verified on the way: of one that was tampered with, nothing is
attested.
"""

from __future__ import annotations

import json
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from hashwarden.errors import CheckError, DataError, MissingExtraError, UsageError
from hashwarden.serve.audit.attestation_model import (
    PAYLOAD_TYPE,
    Agent,
    Cases,
    CoverageShare,
    GpuUse,
    LogRange,
    ModelId,
    Period,
    Statement,
    Subject,
)
from hashwarden.serve.audit.clean import canonical
from hashwarden.serve.audit.findings import Report
from hashwarden.serve.audit.keys import PublicKey, Signer
from hashwarden.serve.audit.metering import Span
from hashwarden.serve.audit.tally import Tally
from hashwarden.serve.audit.verify import Wanted, verify_log
from hashwarden.version import __version__

__all__ = ["attest", "compare", "sealed", "statement_of", "verified"]

_MOST: Final = 16 << 20


def attest(folder: Path, signer: Signer, tenant: str | None, span: Span, wanted: Wanted) -> bytes:
    """An envelope about a tenant.

    Parameters
    ----------
    folder : Path
        Of the log.
    signer : Signer
    tenant : str or None
        None for all of the node.
    span : Span
        With a beginning and an end.
    wanted : Wanted
        How to verify the log.

    Returns
    -------
    bytes
        JSON.

    Raises
    ------
    CheckError
        If the log does not verify.
    DataError
        If it cannot be read, or holds no record of the period.
    """
    return sealed(canonical(_plain(statement_of(folder, tenant, span, wanted))), signer)


def statement_of(folder: Path, tenant: str | None, span: Span, wanted: Wanted) -> Statement:
    """What would be signed; parameters and errors as `attest`."""
    if not span.to_unix_s - span.from_unix_s < float("inf"):
        raise UsageError("a period without beginning or end", "both", "Give --from and --to.")
    tally = Tally(tenant, span)
    report = verify_log(folder, wanted, tally.take)
    if not report.ok:
        got = f"{report.problem_count} problems in the log, the first: {report.problems[0]}"
        raise CheckError(got, "a log that verifies", "See hashwarden audit verify.", where=str(folder))
    if tally.first is None or tally.last is None:
        raise DataError("no record of this period", "some", "Choose another period.", where=str(folder))
    use = _use(tally, report)
    name = f"hashwarden-audit-log/{report.log}/{use.audit_log.first_seq}-{use.audit_log.last_seq}"
    return Statement(subject=(Subject(name=name, digest={"sha256": use.audit_log.hash_last}),), predicate=use)


def _use(tally: Tally, report: Report) -> GpuUse:
    rounded = {name: round(hours, 6) for name, hours in sorted(tally.watched.items())}
    actions = {kind: dict(sorted(found.items())) for kind, found in sorted(tally.actions.items())}
    return GpuUse(
        tenant=tally.tenant, period=_period(tally.span), coverage=_coverage(tally), gpu_hours_by_class=rounded,
        verdicts_by_state=dict(sorted(tally.verdicts.items())), actions=actions,
        cases=Cases(
            opened=tally.changes["opened"], closed=tally.changes["closed"], changes=dict(sorted(tally.changes.items())),
            approvals=dict(sorted(tally.approvals.items())),
        ),
        records_without_tenant=tally.unowned,
        models=tuple(ModelId(name=n, version=v, sha256=s, data_sha256=d) for n, v, s, d in tally.models),
        policies=tuple(tally.policies), audit_log=_range(tally, report), made_by=f"hashwarden {__version__}",
        agent=Agent(
            nodes=tuple(tally.nodes), versions=tuple(tally.versions), starts=tally.starts, unclean_ends=tally.unclean
        ),
        made_unix_s=round(time.time(), 3),
    )  # fmt: skip


def _coverage(tally: Tally) -> CoverageShare:
    watched, blind = sum(tally.watched.values()), sum(tally.blind.values())
    return CoverageShare(
        gpu_hours_visible=round(watched + blind, 6), gpu_hours_watched=round(watched, 6),
        gpu_hours_blind={name: round(hours, 6) for name, hours in sorted(tally.blind.items())},
        share_watched=round(watched / (watched + blind), 6) if watched + blind else 0.0, intervals=tally.intervals,
        seconds_without_records=round(tally.seconds_without_records(), 3),
    )  # fmt: skip


def _range(tally: Tally, report: Report) -> LogRange:
    assert tally.first is not None and tally.last is not None  # noqa: PT018  for the type checker
    return LogRange(
        log=report.log, first_seq=tally.first[0], last_seq=tally.last[0], hash_before=tally.first[1].hex(),
        hash_last=tally.last[1].hex(), checkpoint=tally.checkpoint,
    )  # fmt: skip


def _period(span: Span) -> Period:
    words = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (span.from_unix_s, span.to_unix_s)]
    return Period(from_unix_s=span.from_unix_s, to_unix_s=span.to_unix_s, from_utc=words[0], to_utc=words[1])


def _plain(statement: Statement) -> dict[str, Any]:
    found: dict[str, Any] = statement.model_dump(mode="json", by_alias=True)
    return found


def sealed(payload: bytes, signer: Signer) -> bytes:
    """Put a statement into an envelope, by the libraries of in-toto and DSSE.

    Raises
    ------
    MissingExtraError
        If they are not installed.
    """
    dsse, signers = _libraries()
    _check_statement(payload)
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private = load_pem_private_key(signer.private_pem(), None)
    public = signers.SSlibKey.from_crypto(private.public_key(), signer.public.id, "ed25519")
    envelope = dsse.Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(signers.CryptoSigner(private, public))
    return json.dumps(envelope.to_dict(), indent=1).encode() + b"\n"


def verified(path: Path, key: PublicKey) -> Statement:
    """The statement of an envelope that this key signed.

    Raises
    ------
    CheckError
        If the key did not sign it, or something else was signed.
    DataError
        If it is no envelope.
    MissingExtraError
        If the libraries are not installed.
    """
    dsse, signers = _libraries()
    try:
        with path.open("rb") as file:
            envelope = dsse.Envelope.from_dict(json.loads(file.read(_MOST)))
    except OSError as error:
        raise DataError(
            f"it cannot be read ({error.strerror})", "a file", "Check its name.", where=str(path)
        ) from error
    except Exception as error:
        got = f"no DSSE envelope ({type(error).__name__})"
        raise DataError(got, "what hashwarden audit attest writes", "Fetch it again.", where=str(path)) from error
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    public = signers.SSlibKey.from_crypto(load_pem_public_key(key.pem.encode()), key.id, "ed25519")
    try:
        envelope.verify([public], 1)
    except Exception as error:
        got = "a signature that is not of this key, or of another content"
        raise CheckError(got, f"one by {key.id}", "Do not believe it.", where=str(path)) from error
    if envelope.payload_type != PAYLOAD_TYPE:
        got = f"a signed {envelope.payload_type!r}"
        raise CheckError(got, PAYLOAD_TYPE, "It is no attestation.", where=str(path))
    return _read_statement(envelope.payload, path)


def _read_statement(payload: bytes, path: Path) -> Statement:
    try:
        return Statement.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        got = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        raise CheckError(got, "an attestation of GPU use", "Use the version that made it.", where=str(path)) from error


def compare(statement: Statement, folder: Path, wanted: Wanted) -> list[str]:
    """What an attestation says otherwise than a log at hand; empty if they agree.

    Raises
    ------
    CheckError
        If the log does not verify.
    """
    said = statement.predicate
    span = Span(said.period.from_unix_s, said.period.to_unix_s)
    found = statement_of(folder, said.tenant, span, wanted).predicate.model_dump(mode="json")
    other = said.model_dump(mode="json")
    return [name for name in other if name not in ("made_by", "made_unix_s") and other[name] != found[name]]


def _libraries() -> tuple[Any, Any]:
    try:
        return import_module("securesystemslib.dsse"), import_module("securesystemslib.signer")
    except ImportError:
        raise MissingExtraError.of("securesystemslib", "attest") from None


def _check_statement(payload: bytes) -> None:
    """Hold it against in-toto's own definition."""
    try:
        json_format = import_module("google.protobuf.json_format")
        definition = import_module("in_toto_attestation.v1.statement_pb2")
        in_toto = import_module("in_toto_attestation.v1.statement")
    except ImportError:
        raise MissingExtraError.of("in-toto-attestation", "attest") from None
    found = definition.Statement()
    json_format.Parse(payload, found)
    in_toto.Statement.copy_from_pb(found).validate()
