"""A node whose names mean harm, and one job whose kernels are known: real answers of an agent, changed."""

from __future__ import annotations

import copy
import json
from http import HTTPStatus

from hashwarden.serve.agent.web import Answer, Request, json_answer

__all__ = ["EVIL", "HostileNode"]

EVIL = '"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202egnp.exe\x00 \' `${alert(1)}` '
LONG = "n" * 3000
RTL = "\u05d0\u05d1\u05d2 \u202e\u2066 abc"


class HostileNode:
    """Answers as an agent.

    Parameters
    ----------
    pages : dict
        JSON pages of a real agent by path: status, jobs, job, channels, gpus, cases.
    """

    def __init__(self, pages: dict) -> None:
        self.pages = copy.deepcopy(pages)
        self.pages["/v1/status"] |= {"node": EVIL, "blind": [
            {"kind": EVIL, "subject": LONG, "detail": RTL, "began_unix_s": 1.7e9},
            {"kind": "stale", "subject": EVIL, "detail": "", "began_unix_s": None}]}  # fmt: skip
        for job in self.pages["/v1/jobs"]["jobs"]:
            job |= {"user": EVIL, "name": RTL, "account": LONG}
        first = self.pages["/v1/jobs"]["jobs"][0]
        first |= {"job": EVIL, "started_unix_s": None, "blind": ["stale", EVIL]}
        second = self.pages["/v1/jobs"]["jobs"][1]
        second |= {"job": LONG, "verdicts": {}}
        self.pages["/v1/job"] |= {"job": EVIL, "user": RTL, "name": LONG, "container": EVIL}
        for full in self.pages["/v1/job"]["verdicts_full"].values():
            full["reasons"] = [EVIL]
        for verdict in self.pages["/v1/job"]["verdicts"].values():
            verdict |= {"reasons": [EVIL, LONG], "family": EVIL}
        for case in self.pages["/v1/cases"]["cases"]:
            case["job"] |= {"key": EVIL, "user": LONG}
            case |= {
                "waiting": EVIL,
                "history": [f"1700000000 {EVIL}", RTL],
                "coming": [{"name": EVIL, "kind": RTL, "after_s": EVIL, "left_s": None}],
            }
        mix = {
            "logic": 0.48,
            "integer": 0.22,
            "float": 0.01,
            "hmma": 0.0,
            "imma": 0.02,
            "memory": 0.1,
            "dependent_load": 0.3,
        }
        self.pages["/v1/job/kernels"] = {"job": EVIL, "known_ratio": 0.93, "note": "", "kernels": [
            {"name": EVIL, "code_sha1": "00ff00ff00ff00ff", "arch": 90, "p_mining": 0.97, "p_hash": 0.99,
             "thread_ratio": 0.8, "mix": mix},
            {"name": "void " + LONG, "code_sha1": "0badc0de0badc0de", "arch": 90, "p_mining": 0.01, "p_hash": 0.2,
             "thread_ratio": 0.2,
             "mix": {"hmma": 0.6, "memory": 0.3}}]}  # fmt: skip
        self.pages["/v1/ended"] = {"jobs": [{**second, "job": "slurm:ended", "ended_unix_s": 1.7e9}]}
        self.alive = True

    def __call__(self, request: Request) -> Answer:
        if request.path == "/healthz":
            status = HTTPStatus.OK if self.alive else HTTPStatus.SERVICE_UNAVAILABLE
            return json_answer(status, {"alive": self.alive})
        if request.method == "POST":
            return json_answer(HTTPStatus.FORBIDDEN, {"error": "mallory may not", "expected": "root, @gpu-admins"})
        if request.path.startswith("/v1/cases/"):
            found = next((c for c in self.pages["/v1/cases"]["cases"] if request.path.endswith(c["id"])), None)
            return json_answer(
                HTTPStatus.OK if found else HTTPStatus.NOT_FOUND, found or {"error": "no case is called so"}
            )
        if request.path.startswith("/v1/job") and request.query.get("key", EVIL) != EVIL:
            return json_answer(HTTPStatus.NOT_FOUND, {"error": f"no job is called {request.query['key'][:50]}"})
        page = self.pages.get(request.path)
        return Answer(
            HTTPStatus.OK if page else HTTPStatus.NOT_FOUND, json.dumps(page or {"error": "no such page"}).encode()
        )
