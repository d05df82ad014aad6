"""Verdicts and cases as OCSF Detection Findings, which security event systems take as they are.

Source: https://schema.ocsf.io/1.5.0/classes/detection_finding. Times are milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.owners import Owners
from hashwarden.serve.audit.record import Record
from hashwarden.version import __version__

__all__ = ["OCSF_VERSION", "Exporter"]

OCSF_VERSION: Final = "1.5.0"

_CLASS: Final = 2004
_CREATE, _UPDATE, _CLOSE = 1, 2, 3
_ACTIVITY: Final = {_CREATE: "Create", _UPDATE: "Update", _CLOSE: "Close"}
_SEVERITY: Final = {
    "confirmed": (4, "High"), "quota": (3, "Medium"), "suspect": (3, "Medium"), "watching": (2, "Low"),
    "other": (2, "Low"), "clear": (1, "Informational"), "none": (1, "Informational"), "abstain": (1, "Informational"),
}  # fmt: skip
_CONFIDENCE: Final = {"confirmed": (3, "High"), "suspect": (2, "Medium"), "watching": (1, "Low")}
_VERDICT: Final = {"confirmed": 4, "suspect": 4, "watching": 4, "clear": 5, "abstain": 7}
"""Suspicious, benign, insufficient data. A true positive is for a person to say."""
_LEARNING: Final = 4
_OTHER: Final = 99
_LINUX: Final = 9
_ATTACK: Final = {
    "tactic": {"name": "Impact", "uid": "TA0040"},
    "technique": {"name": "Resource Hijacking", "uid": "T1496"},
    "sub_technique": {"name": "Compute Hijacking", "uid": "T1496.001"},
    "version": "16.1",
}
"""https://attack.mitre.org/techniques/T1496/001/"""

Json = dict[str, Any]


@final
class Exporter:
    """Makes findings of the records of one log, read in order."""

    def __init__(self) -> None:
        self._owners = Owners()
        self._log = ""
        self._version = __version__
        self._states: dict[str, str] = {}
        self._model: Json = {}

    def finding(self, record: Record) -> Json | None:
        """The finding of a record; None if it is no verdict and no case."""
        body = record.body()
        if record.kind == EventKind.LOG:
            self._log = str(body.get("log", self._log))
        elif record.kind == EventKind.CHECKPOINT:
            self._log = str(_mapping(body.get("statement")).get("log", self._log))
        elif record.kind == EventKind.START:
            self._version = str(body.get("version") or __version__)
            self._model = _mapping(body.get("model"))
        elif record.kind == EventKind.VERDICT:
            return self._of_verdict(record, body, _mapping(body.get("verdict")))
        elif record.kind == EventKind.CASE and body.get("case"):
            return self._of_case(record, body)
        return None

    def _of_verdict(self, record: Record, body: Json, verdict: Json) -> Json:
        job = self._owners.job_of(body)
        key, gpu, state = str(job.get("key", "")), str(body.get("gpu", "")), str(verdict.get("state", ""))
        uid = f"{key}@{gpu}" if gpu else key
        activity = _CREATE if uid not in self._states else _CLOSE if state == "clear" else _UPDATE
        self._keep(uid, state)
        title = f"{_what(verdict)} on the GPUs of job {key}: {state}"
        info = self._info(record, uid, title, verdict.get("reasons"), _mapping(verdict.get("model")))
        status = (4, "Resolved") if state == "clear" else (1, "New") if activity == _CREATE else (2, "In Progress")
        found = self._event(record, body, activity, status, state)
        evidence = {"name": "verdict", "data": verdict, "verdict_id": _VERDICT.get(state, 0)}
        strength = _mapping(verdict.get("evidence")).get("strength")
        return found | {"finding_info": info, "evidences": [evidence]} | _score(strength)

    def _of_case(self, record: Record, body: Json) -> Json:
        change, standing = str(body.get("change") or body.get("event") or ""), str(body.get("standing", ""))
        activity = {"opened": _CREATE, "closed": _CLOSE}.get(change, _UPDATE)
        case, job = str(body["case"]), self._owners.job_of(body)
        title = f"case {case} on job {job.get('key', '')}: {body.get('words') or change}"
        evidence = _mapping(body.get("evidence"))
        info = self._info(record, case, title, body.get("reasons"), _mapping(evidence.get("model")))
        status = {_CREATE: (1, "New"), _UPDATE: (2, "In Progress"), _CLOSE: (4, "Resolved")}[activity]
        found = self._event(record, body, activity, status, standing)
        kept = {name: body[name] for name in ("change", "rule", "policy", "action", "file", "sha256") if body.get(name)}
        data = kept | ({"evidence": evidence} if evidence else {})
        verdict_id = _VERDICT.get(standing, 0)
        return found | {"finding_info": info, "evidences": [{"name": "case", "data": data, "verdict_id": verdict_id}]}

    def _event(self, record: Record, body: Json, activity: int, status: tuple[int, str], state: str) -> Json:
        severity, confidence = _SEVERITY.get(state, (0, "Unknown")), _CONFIDENCE.get(state, (0, "Unknown"))
        return {
            "activity_id": activity, "activity_name": _ACTIVITY[activity], "category_uid": 2,
            "category_name": "Findings", "class_uid": _CLASS, "class_name": "Detection Finding",
            "type_uid": _CLASS * 100 + activity, "type_name": f"Detection Finding: {_ACTIVITY[activity]}",
            "time": _ms(record), "severity_id": severity[0], "severity": severity[1], "status_id": status[0],
            "status": status[1], "confidence_id": confidence[0], "confidence": confidence[1],
            "metadata": self._metadata(record, body), "resources": self._resources(body),
        }  # fmt: skip

    def _metadata(self, record: Record, body: Json) -> Json:
        tenant = self._owners.tenant_of(body)
        return {
            "version": OCSF_VERSION, "uid": f"{self._log}:{record.seq}", "sequence": record.seq, "log_name": "audit",
            "product": {"name": "hashwarden", "vendor_name": "hashwarden", "version": self._version},
            **({"tenant_uid": tenant} if tenant else {}),
        }  # fmt: skip

    def _resources(self, body: Json) -> list[Json]:
        job = self._owners.job_of(body)
        named: Json = {"type": "job", "uid": str(job.get("key", ""))}
        named |= {name: str(job[name]) for name in ("name", "namespace") if job.get(name)}
        if user := str(job.get("user") or body.get("user") or ""):
            account = {"name": user, "uid": user, "type_id": _LINUX, "type": "Linux Account"}
            named["owner"] = {"name": user, "uid": user, "type_id": _OTHER, "type": "Other", "account": account}
        gpus = [str(body["gpu"])] if body.get("gpu") else [str(one) for one in job.get("gpus") or ()]
        return [named, *({"type": "gpu", "uid": gpu} for gpu in gpus)]

    def _info(self, record: Record, uid: str, title: str, reasons: object, model: Json) -> Json:
        words = [str(one) for one in reasons] if isinstance(reasons, list) else []
        model = model or self._model
        analytic = {
            "name": str(model.get("name") or "job model"), "type_id": _LEARNING, "type": "Learning (ML/DL)",
            "uid": str(model.get("sha256") or "unknown"), "version": str(model.get("version") or ""),
        }  # fmt: skip
        return {
            "uid": uid, "title": title, "desc": "; ".join(words), "types": ["Resource Hijacking"],
            "analytic": analytic, "attacks": [_ATTACK], "modified_time": _ms(record),
        }  # fmt: skip

    def _keep(self, uid: str, state: str) -> None:
        self._states.pop(uid, None)
        if state != "clear":
            self._states[uid] = state
        if len(self._states) > 100_000:
            del self._states[next(iter(self._states))]


def _mapping(value: object) -> Json:
    return dict(value) if isinstance(value, Mapping) else {}


def _ms(record: Record) -> int:
    return round(record.stamp.unix_s * 1000)


def _what(verdict: Json) -> str:
    return f"mining ({verdict['family']})" if verdict.get("family") else "mining"


def _score(strength: object) -> Json:
    return {"confidence_score": round(100 * strength)} if isinstance(strength, int | float) else {}
