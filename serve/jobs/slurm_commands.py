"""Slurm's own commands, asked for facts: each with a limit of time and of output, without a shell."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from typing import IO, Final, final

from hashwarden.serve.jobs.provider import ProviderAway
from hashwarden.serve.jobs.slurm_text import (
    FIELDS,
    Detail,
    Row,
    parse_detail,
    parse_json,
    parse_pids,
    parse_rows,
    places_of,
)
from hashwarden.serve.scan.text import printable

__all__ = ["SlurmCommands"]

_MOST_OUTPUT: Final = 4 << 20
_MOST_COMPLAINT: Final = 200
_UNKNOWN: Final = "Invalid job id"
_PASSED_ON: Final = ("PATH", "SLURM_CONF", "LD_LIBRARY_PATH")
"""Of our environment; variables like SQUEUE_FORMAT or SLURM_CLUSTERS would change what the commands say."""


@final
class SlurmCommands:
    """See the module.

    Parameters
    ----------
    node : str
        Name of this node in Slurm.
    timeout_s : float
        Longest wait for one command.
    """

    def __init__(self, node: str, timeout_s: float = 10.0) -> None:
        self.node, self._timeout_s = node, timeout_s
        self.calls = self.strange = 0

    def rows(self) -> list[Row]:
        """All jobs of this node that the controller remembers, ended ones too.

        The controller sends the jobs of the whole cluster for that, and squeue chooses: to be asked seldom.

        Raises
        ------
        ProviderAway
            If the controller does not answer.
        """
        return self._rows(f"--nodelist={self.node}")

    def row(self, job: int) -> list[Row]:
        """One job, which costs the controller little; nothing if it knows none. Errors as `rows`.

        Of a heterogeneous job, the number of its leader names the part that is here: processes know no other.
        """
        try:
            found = self._rows(f"--nodelist={self.node}", f"--jobs={job}")
        except ProviderAway as error:
            if _UNKNOWN in str(error):
                return []
            raise
        # The number of an array stands for all its tasks.
        return [row for row in found if job in {row.job, row.leader}]

    def _rows(self, *which: str) -> list[Row]:
        fields = ",".join(f"{name}:|" for name in FIELDS)
        rows, bad = parse_rows(self._run("squeue", "--noheader", "--states=all", *which, "-O", fields))
        self.strange += bad
        return rows

    def detail(self, job: int, het: str = "") -> Detail:
        """The GPUs and the name of a job, with `Row.het` of one that is a part; errors as `rows`."""
        detail = parse_detail(self._run("scontrol", "--details", "show", "job", het or str(job)), self.node)
        if not detail.forged:
            return detail
        gres = parse_json(self._run("squeue", "--json", f"--jobs={job}"), job)
        places, shared = (None, False) if gres is None else places_of(gres)
        return replace(detail, places=places, shared=shared)

    def pids(self) -> dict[int, int]:
        """Jobs by process, as the step daemons of this node know them, without the controller; errors as `rows`."""
        return parse_pids(self._run("scontrol", "listpids"))

    def _run(self, *command: str) -> str:
        self.calls += 1
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env = {"PATH": os.defpath, **kept, "LC_ALL": "C", "SLURM_TIME_FORMAT": "%s"}
        try:
            with _memory() as out, _memory() as err:
                code = self._wait(subprocess.Popen(
                    command, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
                ))  # fmt: skip
                text, complaint = _text(out, _MOST_OUTPUT), _text(err, _MOST_COMPLAINT)
        except subprocess.TimeoutExpired as error:
            raise ProviderAway(f"{command[0]}: no answer in {self._timeout_s} s") from error
        except OSError as error:
            raise ProviderAway(f"{command[0]}: {printable(str(error))[:_MOST_COMPLAINT]}") from error
        if code:
            raise ProviderAway(f"{command[0]}: {printable(complaint.strip()) or f'exit code {code}'}")
        return text

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """One that takes too long is killed with all that it started: sites wrap these commands in scripts."""
        try:
            return process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _memory() -> IO[bytes]:
    """A file in memory: reading a pipe to its end has no limit, and one that nobody reads stops the command."""
    return os.fdopen(os.memfd_create("slurm", os.MFD_CLOEXEC), "w+b")


def _text(file: IO[bytes], most: int) -> str:
    file.seek(0)
    return file.read(most).decode("utf-8", "surrogateescape")
