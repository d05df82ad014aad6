"""Jobs that others tell us of: what a client says of one, made fit for a key, a page and a log.

Everything in it may have been chosen by the owner of the job. So words are made printable and cut to a length, and the
key is made here, from cluster, scheduler and id together: two clusters that count their jobs from 1 never meet.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, final
from urllib.parse import quote

from hashwarden.serve.jobs.job import Job, JobKind
from hashwarden.serve.scan.text import printable

__all__ = ["MOST_ID", "MOST_WORD", "Facts", "gpu_name", "key_of"]

MOST_WORD: Final = 128
"""Characters of a name as it is kept."""

MOST_ID: Final = 256
"""Characters of a job's id."""

_MOST_KEY: Final = 120
_SCHEDULER: Final = "scheduler"
_CLUSTER: Final = "cluster"
_WORDS: Final = ("user", "account", "partition", "qos", "namespace", "pod", "container", "name")


def key_of(cluster: str, scheduler: str, id_: str) -> str:
    """What a pushed job is called here: ``pushed:CLUSTER:SCHEDULER:ID``, each part quoted as in a URL.

    An id that is long when it is quoted is cut, and the first half of its SHA-256 says which it was.
    """
    parts = [quote(part, safe="") for part in (cluster, scheduler, id_)]
    if len(parts[2]) > _MOST_KEY:
        parts[2] = parts[2][: _MOST_KEY - 33] + "~" + hashlib.sha256(id_.encode()).hexdigest()[:32]
    return ":".join(("pushed", *parts))


def gpu_name(cluster: str, gpu: str) -> str:
    """What a GPU is called here: a cluster with a name may call its GPUs as it likes, they are not another's."""
    return f"{cluster}/{gpu}" if cluster else gpu


@final
@dataclass(frozen=True, slots=True)
class Facts:
    """What a client says of a job.

    Attributes
    ----------
    cluster, scheduler, id : str
        Together they say which job it is.
    uid : int
        -1 if not known.
    user, account, partition, qos, namespace, pod, container, name : str
        Empty if not known.
    started_unix_s : float or None
    interactive : bool
    gpus : tuple of str
        As the client calls them.
    """

    id: str
    cluster: str = ""
    scheduler: str = "other"
    uid: int = -1
    user: str = ""
    account: str = ""
    partition: str = ""
    qos: str = ""
    namespace: str = ""
    pod: str = ""
    container: str = ""
    name: str = ""
    started_unix_s: float | None = None
    interactive: bool = False
    gpus: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """See `key_of`."""
        return key_of(self.cluster, self.scheduler, self.id)

    def after(self, before: Facts) -> Facts:
        """These, and from those before what these do not say."""
        if self == before:
            return before
        said = {name: value for name, value in self._said().items() if name != "gpus"}
        return replace(before, **said, gpus=tuple(dict.fromkeys((*before.gpus, *self.gpus))))

    def _said(self) -> dict[str, Any]:
        """What it says; `dataclasses.asdict` would copy it deeply, for a tenth of what a tick costs."""
        return {name: value for name, unsaid in _UNSAID.items() if (value := getattr(self, name)) != unsaid}

    def job(self, gpus: tuple[str, ...], home: str | None) -> Job:
        """The job as the agent knows it.

        Parameters
        ----------
        gpus : tuple of str
            As they are called here.
        home : str or None
            The cluster whose scheduler answers on this host: its jobs can be acted on. None: nobody's can.
        """
        kind: JobKind = "slurm" if self.scheduler == "slurm" and home is not None and self.cluster == home else "pushed"
        words = {name: printable(getattr(self, name))[:MOST_WORD] for name in _WORDS}
        started = math.nan if self.started_unix_s is None else self.started_unix_s
        return Job(
            self.key, kind, printable(self.id)[:MOST_ID], gpus, uid=self.uid, started_unix_s=started,
            interactive=self.interactive, allotted=True, labels={_CLUSTER: self.cluster, _SCHEDULER: self.scheduler},
            **words,
        )  # fmt: skip

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return self._said()

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Facts:
        """From JSON that `record` gave."""
        return cls(**{**record, "gpus": tuple(record.get("gpus", ()))})


_UNSAID: Final = {field.name: field.default for field in fields(Facts)}
