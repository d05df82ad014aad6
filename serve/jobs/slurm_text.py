r"""What Slurm's commands print, read with mistrust: users choose the names of jobs, line ends and all.

A job may be called ``x\n9999|9999|…``, and squeue prints that as it is. So the list of jobs is asked for without any
field that users choose, and what is shown of one job is believed in nothing but what can stand there once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, final

from hashwarden.serve.scan.text import printable

__all__ = [
    "FIELDS", "Detail", "Row", "in_hostlist", "parse_detail", "parse_json", "parse_pids", "parse_rows", "places_of",
]  # fmt: skip

FIELDS: Final = (
    "JobID", "ArrayJobID", "ArrayTaskID", "HetJobID", "HetJobOffset", "UserID", "UserName", "Account", "Partition",
    "QOS", "RestartCnt", "StartTime", "StateCompact", "BatchFlag",
)  # fmt: skip
"""What squeue is asked for: names of users, accounts, partitions and QOS are those of administrators."""

_MOST_ROWS: Final = 4096
_LONGEST: Final = 256
_NODES: Final = re.compile(r"^[ \t]+Nodes=(\S+) CPU_IDs=\S* Mem=\S* GRES(?:_IDX)?=(\S*)", re.MULTILINE)
_GRES: Final = re.compile(r"(gpu|mps|shard)(?::[^():,]+)*\((IDX:)?([\d,/-]*)\)")
_BRACKETS: Final = re.compile(r"\[([\d,-]+)\]")


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One job of this node.

    Attributes
    ----------
    job : int
        Its own number, also of a task of an array and of a part of a heterogeneous job.
    id : str
        What its user knows it by: ``1234``, ``1234_7``; a part of a heterogeneous job has its own number.
    uid, user, account, partition, qos
    restarts : int
        Times that it was requeued.
    started_unix_s : float
        NaN if unknown.
    state : str
        Short: R, CG, CD, …
    batch : bool
        False for salloc and srun.
    het : str
        Leader of the heterogeneous job and the offset in it, ``1230+1``; empty if it is none.
    """

    job: int
    id: str
    uid: int
    user: str
    account: str
    partition: str
    qos: str
    restarts: int
    started_unix_s: float
    state: str
    batch: bool
    het: str = ""

    @property
    def leader(self) -> int:
        """Number of the heterogeneous job's leader; -1 if it is none."""
        return int(self.het.partition("+")[0] or -1)


@final
@dataclass(frozen=True, slots=True)
class Detail:
    """What is shown of one job.

    Attributes
    ----------
    places : tuple of int, optional
        Its GPUs on this node by their place in gres.conf; None if that is not told, or told twice.
    shared : bool
        Whether it has a part of a GPU only (MPS, shards).
    name, comment : str
        As its user chose, one line, cut short.
    forged : bool
        Whether a text that its user chose looks like Slurm's own.
    """

    places: tuple[int, ...] | None
    shared: bool = False
    name: str = ""
    comment: str = ""
    forged: bool = False


def parse_rows(text: str) -> tuple[list[Row], int]:
    """The jobs, and how many lines made no sense."""
    rows, bad = [], 0
    for line in text.splitlines()[:_MOST_ROWS]:
        row = _row(line.rstrip().rstrip("|").split("|"))
        if row is not None:
            rows.append(row)
        elif line.strip():
            bad += 1
    return rows, bad


def _row(values: list[str]) -> Row | None:
    if len(values) != len(FIELDS):
        return None
    said = dict(zip(FIELDS, (_known(value) for value in values), strict=True))
    try:
        job, uid, restarts = int(said["JobID"]), int(said["UserID"]), int(said["RestartCnt"] or 0)
    except ValueError:
        return None
    task, het = said["ArrayTaskID"], said["HetJobID"]
    return Row(
        job=job, uid=uid, restarts=restarts,
        id=f"{said['ArrayJobID']}_{task}" if task.isdigit() and said["ArrayJobID"].isdigit() else str(job),
        user=said["UserName"], account=said["Account"], partition=said["Partition"], qos=said["QOS"],
        started_unix_s=float(said["StartTime"]) if said["StartTime"].isdigit() else float("nan"),
        state=said["StateCompact"], batch=said["BatchFlag"] == "1",
        het=f"{het}+{said['HetJobOffset']}" if het.isdigit() and het != "0" else "",
    )  # fmt: skip


def _known(value: str) -> str:
    value = value.strip()
    return "" if value in {"(null)", "N/A", "Unknown", "None"} else printable(value[:_LONGEST])


def parse_pids(text: str) -> dict[int, int]:
    """Jobs by process, of ``scontrol listpids``."""
    found = {}
    for line in text.splitlines()[1 : 1 << 16]:
        words = line.split()
        if len(words) >= 3 and words[0].isdigit() and words[1].isdigit():
            found[int(words[0])] = int(words[1])
    return found


def parse_detail(text: str, node: str) -> Detail:
    """Of ``scontrol show job --details N``, asked for one job, so that nobody can speak of another's."""
    here = [gres for nodes, gres in _NODES.findall(text) if in_hostlist(node, nodes)]
    name, comment = _line_after(text, "JobName="), _line_after(text, "\n   Comment=")
    if len(here) != 1:  # Slurm names a node once: a name or a comment speaks here too
        return Detail(None, name=name, comment=comment, forged=len(here) > 1)
    places, shared = places_of(here[0])
    return Detail(places, shared, name, comment)


def parse_json(text: str, job: int) -> str | None:
    """The GPUs of a job on one node as ``squeue --json`` writes them, which no name can imitate; None if not told."""
    try:
        found = [gres for one in json.loads(text)["jobs"] if one["job_id"] == job for gres in one["gres_detail"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


def places_of(gres: str) -> tuple[tuple[int, ...], bool]:
    """Of ``gpu:a100:2(IDX:0,3)``: places in gres.conf, and whether only parts of GPUs were given (MPS, shards)."""
    places: set[int] = set()
    kinds = set()
    for kind, idx, listed in _GRES.findall(gres):
        places |= _numbers(listed) if idx else _counted(listed)
        kinds.add(kind)
    return tuple(sorted(places)), bool(kinds - {"gpu"})


def _counted(text: str) -> set[int]:
    """Of ``4/8,0/8``: the places of which some part is given."""
    return {place for place, part in enumerate(text.split(",")) if part[:1] not in {"", "0"}}


def _line_after(text: str, mark: str) -> str:
    _, found, rest = text.partition(mark)
    line = rest.split("\n", 1)[0].strip()[:_LONGEST] if found else ""
    return "" if line == "(null)" else printable(line)


def _numbers(text: str) -> set[int]:
    """Of ``0-2,5``; at most some thousand."""
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        if low.isdigit() and (high.isdigit() or not high):
            found |= set(range(int(low), min(int(high or low), int(low) + 1024) + 1))
    return found


def in_hostlist(node: str, hosts: str) -> bool:
    """Whether a list as Slurm writes it (``a,rack[1-2]node[01-10]``) names the node."""
    return any(_is_host(node, one) for one in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", hosts[:65536]))


def _is_host(node: str, pattern: str) -> bool:
    listed = _BRACKETS.findall(pattern)
    parts = [re.escape(part) for part in _BRACKETS.sub("\0", pattern).split("\0")]
    match = re.fullmatch(r"(\d+)".join(parts), node)
    return match is not None and all(_is_listed(n, among) for n, among in zip(match.groups(), listed, strict=True))


def _is_listed(number: str, among: str) -> bool:
    for part in among.split(","):
        low, _, high = part.partition("-")
        same_width = len(number) == len(low) or (len(number) > len(low) and number[0] != "0")
        if low.isdigit() and same_width and int(low) <= int(number) <= int(high or low):
            return True
    return False
