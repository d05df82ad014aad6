"""A cluster with one node for tests of what is asked of Kubernetes: its API is a stand-in, or the real one."""

import importlib.util
import json
import time
from pathlib import Path
from types import ModuleType

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.schedulers import kubernetes_pod
from hashwarden.serve.schedulers.kubernetes_access import from_kubeconfig
from hashwarden.serve.schedulers.kubernetes_api import MERGE_PATCH, KubernetesApi
from hashwarden.serve.schedulers.scheduler import Action, ActionKind


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fake, real = _load("kubernetes_stand_in"), _load("kubernetes_server")


def kubeconfig(folder: Path, server: str, authority: Path, token: str) -> Path:
    file = folder / f"config-{token}"
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    file.write_text(json.dumps(document))
    return file


class Cluster:
    """A cluster with one node, whatever serves its API; `server` only if that is the stand-in."""

    def __init__(self, config: Path, server: object = None) -> None:
        self.config, self.server = config, server
        self.api = KubernetesApi(from_kubeconfig(config))
        self.namespace = f"t{time.monotonic_ns()}"
        self.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.node = f"n{time.monotonic_ns()}"
        self.create("/api/v1/nodes", {"metadata": {"name": self.node}})

    def create(self, path: str, body: dict) -> dict:
        answer = self.api.call("POST", path, body=body)
        assert answer.fine, answer.words
        return dict(answer.body)

    def pod(self, name: str = "train-0", *, grace_s: int = 0, account: str = "default", **metadata) -> Job:
        spec = {"nodeName": self.node, "terminationGracePeriodSeconds": grace_s, "serviceAccountName": account}
        spec["containers"] = [{"name": "c", "image": "x"}]
        body = {"metadata": {"name": name, **metadata}, "spec": spec}
        made = self.create(f"/api/v1/namespaces/{self.namespace}/pods", body)
        return self.job(made["metadata"]["uid"], name)

    def job(self, uid: str, name: str = "train-0") -> Job:
        where = {"namespace": self.namespace, "pod": name, "container": "c"}
        return Job(f"pod:{uid}/c", "kubernetes", f"{self.namespace}/{name}/c", **where)

    def path(self, name: str = "train-0") -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{name}"

    def get(self, path: str) -> dict | None:
        answer = self.api.call("GET", path)
        return dict(answer.body) if answer.fine else None

    def budget(self, app: str, name: str = "b") -> None:
        """Nothing of this app may be evicted."""
        path = f"/apis/{kubernetes_pod.POLICY}/namespaces/{self.namespace}/poddisruptionbudgets"
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}}
        self.create(path, {"metadata": {"name": name}, "spec": spec})
        if self.server is None:
            ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            status = f"{self.path()}/status"
            assert self.api.call("PATCH", status, body={"status": ready}, content_type=MERGE_PATCH).fine


def action(kind: ActionKind, job: Job, name: str = "a1", case: str = "case-1", reason: str = "mining") -> Action:
    return Action(name, kind, job, case, reason, time.time(), time.time() + 60)
