"""What stands in the records of each kind: what their readers (metering, attestation, export) count on.

Whoever writes a record may add fields; none is refused, for a record that is lost is worse than one that is odd.
``hashwarden audit verify --strict`` says which fields nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.record import FORMAT

__all__ = [
    "BODIES", "Action", "Approval", "Blind", "BlindRow", "Body", "Case", "Coverage", "Intent", "JobFields", "Log",
    "Model", "Policy", "Start", "Stop", "Verdict", "WatchedRow", "faults", "record_schema",
]  # fmt: skip

Names = Mapping[str, str | None]


class Body(BaseModel):
    """Any body: fields that are not named here are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True, allow_inf_nan=False)

    cut: Mapping[str, Any] | None = Field(
        default=None, description="The body was too long: its length and hash; only short fields are left."
    )


@final
class Start(Body):
    """The agent began."""

    version: str = ""
    node: str = ""
    config: Any = Field(default=None, description="Hash of the configuration.")
    model: Names = Field(default_factory=dict, description="Name, version and sha256, as verdicts have it.")
    policy: Any = Field(default=None, description="Name and sha256, or the hash alone.")
    self_test: Any = Field(default=None, description="What came of the known answers.")


@final
class Stop(Body):
    """The agent ended on purpose; a start without it came after a crash."""

    reason: str = ""


@final
class JobFields(Body):
    """A job (`hashwarden.serve.jobs.job.Job`), as it was then."""

    key: str
    kind: str = ""
    id: str = ""
    gpus: tuple[str, ...] = ()
    user: str = ""
    account: str = ""
    partition: str = ""
    namespace: str = ""
    pod: str = ""
    name: str = ""

    @property
    def tenant(self) -> str:
        """As `Job.tenant`."""
        return self.namespace or self.account or self.user


@final
class Verdict(Body):
    """A verdict that changed state."""

    job: JobFields | str = Field(description="The job; its key alone if nothing more was known.")
    gpu: str = Field(default="", description="UUID.")
    verdict: Mapping[str, Any] = Field(description="As docs/job-verdict.schema.json says.")


@final
class Case(Body):
    """A case was opened, changed or closed, or its evidence was packed."""

    case: str
    change: str = Field(default="", description="opened, standing, asked, told, closed, or another word of the policy.")
    event: str = Field(default="", description="bundle: its evidence was packed; bundle removed: by the agent's rule.")
    job: JobFields | str | None = None
    standing: str = ""
    rule: str = ""
    words: str = Field(default="", description="What happened, for people.")
    reasons: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = Field(default_factory=dict, description="The verdict that it rests on, shortened.")
    file: str = Field(default="", description="Of a bundle.")
    sha256: str = Field(default="", description="Of a bundle.")


@final
class Approval(Body):
    """Somebody approved or rejected."""

    case: str
    by: str = Field(description="As the system knows them.")
    what: str = Field(default="", description="approved or rejected.")
    reason: str = ""
    job: JobFields | str | None = None


@final
class Intent(Body):
    """An action is about to be asked for."""

    action: str = Field(description="Id of the action.")
    kind: str = ""
    case: str = ""
    job: JobFields | str | None = None
    reason: str = ""


@final
class Action(Body):
    """What came of an action."""

    action: str
    result: str
    kind: str = ""
    case: str = ""
    job: JobFields | str | None = None
    detail: str = ""


@final
class Policy(Body):
    """Another policy."""

    before: str = Field(default="", description="SHA-256.")
    after: str = Field(default="", description="SHA-256.")
    mode: str = ""


@final
class Model(Body):
    """Another model."""

    name: str = ""
    version: str = ""
    sha256: str = ""
    data_sha256: str = Field(default="", description="Of the data that it learned from.")


@final
class Blind(Body):
    """Something cannot be seen, or can be again."""

    kind: str = ""
    subject: str = ""
    detail: str = ""
    began: bool | None = None


@final
class WatchedRow(Body):
    """GPU-seconds that were watched."""

    tenant: str = ""
    user: str = ""
    work: str = Field(alias="class", description="Likeliest class; unknown where there was no score.")
    gpu_seconds: float = Field(ge=0)


@final
class BlindRow(Body):
    """GPU-seconds that were there and could not be judged."""

    tenant: str = ""
    user: str = ""
    reason: str
    gpu_seconds: float = Field(ge=0)


@final
class Coverage(Body):
    """GPU time by tenant in one interval."""

    from_unix_s: float
    to_unix_s: float
    watched: tuple[WatchedRow, ...] = ()
    blind: tuple[BlindRow, ...] = ()


@final
class Log(Body):
    """Of the log itself."""

    event: Literal["opened", "recovered", "damaged", "rotated", "key", "pruned"]


BODIES: Final[Mapping[str, type[Body]]] = {
    EventKind.START: Start, EventKind.STOP: Stop, EventKind.VERDICT: Verdict, EventKind.CASE: Case,
    EventKind.APPROVAL: Approval, EventKind.INTENT: Intent, EventKind.ACTION: Action, EventKind.POLICY: Policy,
    EventKind.MODEL: Model, EventKind.BLIND: Blind, EventKind.COVERAGE: Coverage, EventKind.LOG: Log,
}  # fmt: skip
"""By kind; checkpoints are `hashwarden.serve.audit.checkpoint.Checkpoint`."""

_MOST_FAULTS: Final = 5
_FREE: Final = frozenset(
    {EventKind.ACTION, EventKind.APPROVAL, EventKind.CASE, EventKind.INTENT, EventKind.LOG, EventKind.START}
)
"""Kinds whose further fields are no surprise: they are for people."""
_ANYWHERE: Final = frozenset({"unix_s"})


def faults(kind: str, body: Mapping[str, Any]) -> list[str]:
    """What is odd about a body, in words; empty if nothing is."""
    model = BODIES.get(kind)
    if model is None:
        return [] if kind == EventKind.CHECKPOINT else ["a kind that this version does not know"]
    try:
        found = model.model_validate(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[:_MOST_FAULTS]
        return [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in wrong]
    more = sorted(set(found.model_extra or {}) - _ANYWHERE) if kind not in _FREE else []
    return [f"field {name} is not known" for name in more[:_MOST_FAULTS]]


def record_schema() -> dict[str, Any]:
    """The JSON schema of a line (docs/audit-record.schema.json)."""
    definitions: dict[str, Any] = {}
    choices = []
    for kind, model in sorted(BODIES.items()):
        found = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
        definitions |= found.pop("$defs", {})
        definitions[model.__name__] = found
        choices.append(_choice(kind, {"$ref": f"#/$defs/{model.__name__}"}))
    choices.append(_choice(EventKind.CHECKPOINT, {"type": "object", "required": ["statement", "key", "signature"]}))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": FORMAT, "type": "object",
        "required": ["hash", "record"], "additionalProperties": False, "$defs": dict(sorted(definitions.items())),
        "properties": {
            "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "record": {
                "type": "object", "required": ["seq", "kind", "unix_s", "mono_s", "boot", "body"],
                "additionalProperties": False, "properties": _head(), "oneOf": choices,
            },
        },
    }  # fmt: skip


def _head() -> dict[str, Any]:
    return {
        "seq": {"type": "integer", "minimum": 0}, "kind": {"enum": sorted(kind.value for kind in EventKind)},
        "unix_s": {"type": "number"}, "mono_s": {"type": "number"}, "boot": {"type": "string"},
        "body": {"type": "object"},
    }  # fmt: skip


def _choice(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {"kind": {"const": str(kind)}, "body": body}}
