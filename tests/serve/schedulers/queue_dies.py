"""A process that forks others, which put actions into a queue and have them done until they are killed.

Reads ``NUMBER die`` or ``NUMBER end`` lines; prints the child's pid, the ids of actions whose `put` returned, ``over``.
"""

import os
import sys
import time
from pathlib import Path

from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.schedulers.queue import ActionQueue, Limits
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Outcome, Result

FOLDER = Path(sys.argv[1])


def append(name, text):
    handle = os.open(FOLDER / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, text.encode())  # one call: a kill leaves all of it or nothing
    os.close(handle)


class Effects:
    """What it does is a file; doing it twice is seen, and is ALREADY."""

    kinds = frozenset(ActionKind)

    def apply(self, action):
        append("asked", f"{action.id}\n")
        try:
            (FOLDER / "effects" / action.id).touch(exist_ok=False)
        except FileExistsError:
            return Outcome(action.id, Result.ALREADY)
        return Outcome(action.id, Result.DONE)

    def close(self):
        pass


def work(turn, ends):
    audit = AuditLog(FOLDER / "audit", None)
    queue = ActionQueue(FOLDER / "queue", {"slurm": Effects()}, audit, limits=Limits(patience_s=0.01))
    for number in range(0 if ends else 1000):
        now = time.time()
        job = Job(f"slurm:{turn}.{number}", "slurm", str(number), uid=1)
        name = f"{turn}.{number}"
        queue.put(Action(name, ActionKind.CANCEL, job, "case", "reason", now, now + 600))
        os.write(1, f"{name}\n".encode())
        queue.step(now)
    while queue.pending:
        queue.step(time.time())
    queue.close()
    audit.close()


def main():
    (FOLDER / "effects").mkdir()
    for line in sys.stdin:
        turn, what = line.split()
        ready, go = os.pipe()
        child = os.fork()
        if not child:
            os.read(ready, 1)
            work(int(turn), what == "end")
            os._exit(0)
        os.write(1, f"{child}\n".encode())
        os.write(go, b"g")
        os.waitpid(child, 0)
        os.close(ready)
        os.close(go)
        os.write(1, b"over\n")


main()
