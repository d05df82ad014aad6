"""Commands that print what Slurm 22.05 printed, or fail as it fails."""

from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.slurm import Slurm
from hashwarden.serve.sources.source import Device

A, B = (f"GPU-{c * 8}-0000-0000-0000-000000000000" for c in "ab")
DEVICES = (Device(A, 0), Device(B, 1))
CGROUP = "0::/system.slice/slurmstepd.scope/job_{}/step_0/user/task_0\n"


SQUEUE = """
for word in "$@"; do case $word in --json) exec cat {folder}/json;; --jobs=*) job=${{word#--jobs=}};; esac; done
echo ${{job:+one}} ${{job:-all}} | cut -d' ' -f1 >> {folder}/asked
[ -z "$job" ] && exec cat {folder}/rows
grep "^$job|" {folder}/rows || {{ echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; }}
"""
"""All jobs or one, as squeue answers."""


class Cluster:
    """Commands in a folder that print files."""

    def __init__(self, folder, tree, monkeypatch):
        self.folder, self.tree, self.now = folder, tree, 1000.0
        (folder / "bin").mkdir()
        (folder / "cgroups").mkdir()
        (folder / "gpustat").mkdir(mode=0o755)
        self.script("squeue", SQUEUE.format(folder=folder))
        self.script("scontrol", f'case "$*" in listpids) cat {folder}/pids;; *) cat {folder}/job_$4;; esac')
        monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
        self.rows()
        (folder / "pids").write_text("PID JOBID STEPID LOCALID GLOBALID\n")
        options = JobOptions(
            node="vm",
            proc=tree.folder,
            cgroups=folder / "cgroups",
            driver=folder / "none",
            gpustat=folder / "gpustat",
            timeout_s=1.0,
        )
        self.slurm = Slurm(options, lambda: self.now)

    def script(self, name, text):
        (self.folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.folder / "bin" / name).chmod(0o755)

    def rows(self, *jobs):
        """Each (number, uid, restarts, state, start)."""
        lines = [f"{n}|{n}|N/A|N/A|N/A|{u}|u{u}|lab|gpu|normal|{r}|{at}|{s}|1|" for n, u, r, s, at in jobs]
        (self.folder / "rows").write_text("".join(f"{line}\n" for line in lines))

    def detail(self, job, gres, name="train"):
        text = f"JobId={job} JobName={name}\n   UserId=x(1)\n     Nodes=vm CPU_IDs=0 Mem=0 GRES={gres}\n   Comment=hi\n"
        (self.folder / f"job_{job}").write_text(text)

    def cgroup(self, job):
        (self.folder / f"cgroups/system.slice/slurmstepd.scope/job_{job}").mkdir(parents=True)

    def refresh(self, after_s=60.0):
        self.now += after_s
        self.slurm.refresh(DEVICES)

    def job_of(self, pid, started=100, **facts):
        self.tree.put(pid, started, **facts)
        return self.slurm.job_of(self.tree.proc.facts(pid))

    def asked(self, what):
        """How often for "all" jobs, or for "one"."""
        file = self.folder / "asked"
        return file.read_text().split().count(what) if file.exists() else 0


def keys(cluster):
    return {gpu: [job.key for job in jobs] for gpu, jobs in cluster.slurm.allotted().items()}
