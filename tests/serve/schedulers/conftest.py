"""Clusters of Kubernetes for tests: a stand-in, and a real API server where HASHWARDEN_API_SERVER names one."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashwarden.serve.schedulers import kubernetes_pod
from hashwarden.serve.schedulers.kubernetes import Kubernetes

_SPEC = importlib.util.spec_from_file_location("kubernetes_cluster", Path(__file__).parent / "kubernetes_cluster.py")
kube = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(kube)

CLUSTERS = ["stand-in", pytest.param("real", marks=pytest.mark.slow)]


@pytest.fixture(scope="session")
def real_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if "HASHWARDEN_API_SERVER" not in os.environ:
        pytest.skip("HASHWARDEN_API_SERVER names no kube-apiserver")
    with kube.real.api_server(tmp_path_factory.mktemp("api-server")) as (folder, port):
        yield kube.real.write_kubeconfig(folder, port, kube.real.ADMIN)


@pytest.fixture(params=CLUSTERS)
def cluster(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[kube.Cluster]:
    if request.param == "real":
        made = kube.Cluster(request.getfixturevalue("real_config"))
        groups = made.get("/apis/policy")["versions"]
        monkeypatch.setattr(kubernetes_pod, "POLICY", groups[0]["groupVersion"])  # policy/v1beta1 before 1.21
        yield made
        made.api.close()
        return
    with kube.fake.stand_in(tmp_path) as (server, authority):
        made = kube.Cluster(
            kube.kubeconfig(tmp_path, f"https://127.0.0.1:{server.server_port}", authority, kube.fake.TOKEN), server
        )
        yield made
        made.api.close()


@pytest.fixture
def scheduler(cluster: kube.Cluster) -> Iterator[Kubernetes]:
    made = Kubernetes(cluster.api, cluster.node, grace_s=1, sleep=lambda _s: None)
    yield made
    made.close()
