"""A real Slurm on loopback: slurmctld, slurmd and munged of the distribution, all their state in one folder.

Nothing of /etc/slurm, /run/munge or the default ports is touched, so that it runs beside another one. The node has two
GPUs, which are character devices, and two partitions, ``gpu`` and ``debug``. Needs root. The daemons are killed with
the process that started them; `SlurmCluster.stop` also ends what jobs left behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ports import free_port

__all__ = ["DEPLOY", "USERS", "SlurmCluster", "running"]

USERS: Final = ("daemon", "nobody")
"""Users of every Debian who may own jobs."""

DEPLOY: Final = Path(__file__).resolve().parent.parent / "deploy" / "slurm"
"""The scripts that sites install, which this Slurm uses as they are but for their folders."""

NULL: Final = os.makedev(1, 3)
WAIT_S: Final = 30.0

CONF: Final = """
ClusterName=loopback
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
PlugStackConfig=/dev/null
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
MpiDefault=none
GresTypes=gpu
ReturnToService=2
KillWait=1
FirstJobId=1000
MessageTimeout=5
SlurmdParameters=config_overrides
{nodes}
PartitionName=gpu Nodes=ALL Default=YES OverSubscribe=YES State=UP
PartitionName=debug Nodes=ALL State=UP
"""
NODE: Final = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8 RealMemory=8000 Gres=gpu:2"


class SlurmCluster:
    """One controller and one node, or more for jobs that Slurm spreads over several, all of them on this machine.

    Attributes
    ----------
    folder : Path
        Everything is here; other users can read it. ``gpustat`` and ``open-cases`` are those of the deployed scripts.
    nodes : tuple of str
        Their names.
    node : str
        Name of the first.
    env : mapping of str to str
        What lets Slurm's commands find this cluster; tests of code that reads the environment set it there.
    gpus : tuple of Path
        The devices.
    """

    def __init__(self, folder: Path, nodes: int = 1) -> None:
        self.folder, self.node = folder, socket.gethostname().split(".")[0]
        self.nodes = (self.node, *(f"{self.node}-{number}" for number in range(2, nodes + 1)))
        self.env: Mapping[str, str] = {"SLURM_CONF": str(folder / "slurm.conf")}
        self.gpus = tuple(folder / f"nvidia{number}" for number in range(2))
        self.cases, self.gpustat = folder / "open-cases", folder / "gpustat"
        self._path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Write the configuration and start the daemons; returns when the node takes jobs."""
        self._write()
        key, seed, log, pid = (self.folder / "munge" / name for name in ("key", "seed", "log", "pid"))
        munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--seed-file={seed}", f"--log-file={log}"]
        self._start("munged", *munged, f"--pid-file={pid}", f"--socket={self.folder}/munge.socket")
        until((self.folder / "munge.socket").exists, "munged", self.logs)
        self.start_controller()
        for node in self.nodes:
            self._start(f"slurmd {node}", "slurmd", "-D", "-N", node)
        until(self.is_idle, "a node that takes jobs", self.logs)

    def start_controller(self) -> None:
        """Start slurmctld, for the first time or again; returns when it answers."""
        self._start("slurmctld", "slurmctld", "-D")
        until(self._answers, "slurmctld", self.logs)
        daemons = [daemon for name, daemon in self._daemons.items() if name.startswith("slurmd ")]
        for daemon in daemons:  # until the node has registered anew, prologs are not told of GPUs
            daemon.send_signal(signal.SIGHUP)
        time.sleep(1 if daemons else 0)

    def stop_controller(self) -> None:
        """As an administrator would: it saves its state, so that it knows all jobs when it is started again."""
        daemon = self._daemons.pop("slurmctld")
        daemon.terminate()
        daemon.wait(WAIT_S)

    def kill_controller(self) -> None:
        """As if its machine lost power, just after all jobs were written down, which takes up to 5 s."""
        saved, now = self.folder / "state" / "job_state", time.time()
        for job in self.run("squeue", "--noheader", "--format=%A").stdout.split()[:1]:
            self.run("scontrol", "update", f"JobId={job}", f"Comment={now}")
            until(lambda: saved.exists() and saved.stat().st_mtime >= now, "saved jobs", self.logs)
        daemon = self._daemons.pop("slurmctld")
        daemon.kill()
        daemon.wait(WAIT_S)
        self._end_strays(lambda command: b"slurmctld" in command or b"slurmscriptd" in command)

    @contextmanager
    def controller_frozen(self) -> Iterator[None]:
        """It takes connections and says nothing."""
        self._daemons["slurmctld"].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._daemons["slurmctld"].send_signal(signal.SIGCONT)

    def run(self, *command: str, user: str = "", timeout_s: float = WAIT_S) -> subprocess.CompletedProcess[str]:
        """Run a command of Slurm, as root or as another user; does not raise if it fails."""
        env = {"PATH": self._path, "LC_ALL": "C", "SLURM_TIME_FORMAT": "%s", **self.env}
        who: dict[str, object] = {"user": user, "group": "nogroup", "extra_groups": []} if user else {}
        return subprocess.run(command, env=env, cwd="/", check=False, capture_output=True, text=True, timeout=timeout_s, **who)  # type: ignore[call-overload,no-any-return]  # fmt: skip  # noqa: E501

    def submit(self, script: str = "sleep 300", *options: str, user: str = USERS[0], gpus: int = 1) -> str:
        """Give a shell script to sbatch and return the job's id, that of the array or of the leader."""
        path = self.folder / "jobs" / f"{time.monotonic_ns()}.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        wants = (f"--gres=gpu:{gpus}",) if gpus else ()
        done = self.run("sbatch", "--parsable", "--output=/dev/null", *wants, *options, str(path), user=user)
        assert done.returncode == 0, done.stderr + self.logs()
        return done.stdout.strip().partition(";")[0]

    def show(self, job: str) -> dict[str, str]:
        """What scontrol says of a job; empty if it knows none. Fields of names with blanks are cut short."""
        done = self.run("scontrol", "--oneliner", "show", "job", job)
        pairs = (word.partition("=") for word in done.stdout.split())
        return {key: value for key, mark, value in pairs if mark} if done.returncode == 0 else {}

    def state(self, job: str) -> str:
        """JobState of a job, empty if it is not known."""
        return self.show(job).get("JobState", "")

    def wait(self, job: str, *states: str) -> dict[str, str]:
        """Wait until a job is in one of these states, its prolog over, and return what scontrol says of it then."""
        until(lambda: self._is_in(job, states), f"job {job} in {states}", lambda: str(self.show(job)) + self.logs())
        return self.show(job)

    def start_job(self, script: str = "sleep 300", *options: str, user: str = USERS[0], gpus: int = 1) -> str:
        """Submit a job and wait until it runs."""
        job = self.submit(script, *options, user=user, gpus=gpus)
        self.wait(job, "RUNNING")
        return job

    def is_idle(self) -> bool:
        """Whether the node runs nothing and takes jobs."""
        return self.run("sinfo", "--noheader", "--format=%T", "--partition=gpu").stdout.strip() == "idle"

    def clear(self) -> None:
        """Cancel every job, bring the node back, and wait until it is idle: each test begins and ends so."""
        if "slurmctld" not in self._daemons:
            self.start_controller()
        self.cases.unlink(missing_ok=True)
        for user in ("root", *USERS):
            self.run("scancel", f"--user={user}")
        if not self.is_idle():
            self.run("scontrol", "update", f"NodeName={self.node}", "State=RESUME")
            until(lambda: self.is_idle() and not self.run("squeue", "-h").stdout, "an idle node", self.logs)

    def logs(self) -> str:
        """The ends of the daemons' logs."""
        names = ("munge/log", "slurmctld.log", *(f"slurmd.{node}.log" for node in self.nodes))
        files = [self.folder / name for name in names]
        return "".join(f"\n--- {file.name}\n{file.read_text()[-2000:]}" for file in files if file.exists())

    def stop(self) -> None:
        """End everything that was started here, and what jobs left; the folder goes too."""
        for name in (*(f"slurmd {node}" for node in self.nodes), "slurmctld", "munged"):
            if daemon := self._daemons.pop(name, None):
                daemon.terminate()
                with suppress(subprocess.TimeoutExpired):
                    daemon.wait(5)
                daemon.kill()
                daemon.wait(WAIT_S)
        self._end_strays(lambda _: True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_in(self, job: str, states: Sequence[str]) -> bool:
        shown = self.show(job)
        return shown.get("JobState") in states and shown["Reason"] != "Prolog"

    def _answers(self) -> bool:
        assert self._daemons["slurmctld"].poll() is None, self.logs()
        return self.run("scontrol", "ping").returncode == 0

    def _start(self, name: str, *command: str) -> None:
        """As a child that the kernel kills when this process ends, however it ends."""
        env = {"PATH": self._path, **self.env}
        with (self.folder / f"{name}.out").open("ab") as out:
            child = ["setpriv", "--pdeathsig", "KILL", *command]
            self._daemons[name] = subprocess.Popen(child, env=env, cwd=self.folder, stdout=out, stderr=out)

    def _write(self) -> None:
        self.folder.chmod(0o755)
        spools = (f"spool.{node}" for node in self.nodes)
        for name in ("munge", "state", *spools, "jobs", "gpustat"):
            (self.folder / name).mkdir(mode=0o700 if name in {"munge", "state"} else 0o755)
        key = self.folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        for gpu in self.gpus:
            os.mknod(gpu, stat.S_IFCHR | 0o666, NULL)
        port, *ports = (free_port() for _ in range(1 + len(self.nodes)))
        nodes = (NODE.format(name=name, host=self.node, port=one) for name, one in zip(self.nodes, ports, strict=True))
        text = CONF.format(node=self.node, folder=self.folder, port=port, nodes="\n".join(nodes))
        (self.folder / "slurm.conf").write_text(text + self._deployed())
        gpus = "".join(f"NodeName={node} Name=gpu File={self.folder}/nvidia[0-1]\n" for node in self.nodes)
        (self.folder / "gres.conf").write_text(gpus)

    def _deployed(self) -> str:
        """Install the scripts of deploy/slurm; returns their lines for slurm.conf."""
        lines = []
        for option, name in (("Prolog", "prolog.sh"), ("Epilog", "epilog.sh"), ("JobSubmitPlugins", "job_submit.lua")):
            if (source := DEPLOY / name).exists():
                text = source.read_text().replace("/run/gpustat", str(self.gpustat))
                target = self.folder / name
                target.write_text(text.replace("/var/lib/hashwarden/slurm/open-cases", str(self.cases)))
                target.chmod(0o755)
                lines.append(f"{option}={'lua' if name.endswith('.lua') else target}\n")
        return "".join([*lines, "PrologFlags=Alloc\n"])

    def _end_strays(self, wanted: Callable[[bytes], bool]) -> None:
        """Kill what carries this cluster in its environment: steps and jobs are no children of ours."""
        mark = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                with suppress(OSError):
                    if mark in (process / "environ").read_bytes() and wanted((process / "cmdline").read_bytes()):
                        os.kill(int(process.name), signal.SIGKILL)


def until(holds: Callable[[], bool], what: str, tell: Callable[[], str], wait_s: float = WAIT_S) -> None:
    """Wait until something holds, or fail the test with what can be told."""
    end = time.monotonic() + wait_s
    while not holds():
        assert time.monotonic() < end, f"waited {wait_s} s for {what}: {tell()}"
        time.sleep(0.02)


@contextmanager
def running(nodes: int = 1) -> Iterator[SlurmCluster]:
    """A cluster that is stopped afterwards, whatever happens."""
    cluster = SlurmCluster(Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")), nodes)  # short: sockets allow 107 bytes
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
