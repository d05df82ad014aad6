"""How the jobs of Kubernetes are named here: by the UID of the pod, for names come again."""

from __future__ import annotations

import re
from typing import Final

from hashwarden.serve.jobs.job import Job

__all__ = ["is_name", "job_key", "pod_uid"]

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KEY: Final = re.compile(r"pod:([0-9a-f-]{32,36})/[a-z0-9.-]{0,253}")


def is_name(text: str) -> bool:
    """Whether it may name a namespace, a pod or a container: a DNS name (RFC 1123), as the API server checks."""
    return _NAME.fullmatch(text) is not None


def job_key(uid: str, container: str) -> str:
    """`Job.key` of a container of a pod; of an unknown container its id, cut to 12 digits, stands for the name."""
    return f"pod:{uid}/{container}"


def pod_uid(job: Job) -> str:
    """UID of the pod of a job; empty if it is none of Kubernetes."""
    found = _KEY.fullmatch(job.key) if job.kind == "kubernetes" else None
    return found[1] if found else ""
