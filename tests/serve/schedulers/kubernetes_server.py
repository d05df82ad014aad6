"""A real API server with its store, on loopback: kube-apiserver and etcd, no kubelet and no controllers.

No package of Debian or PyPI brings kube-apiserver, so tests with it run only where ``HASHWARDEN_API_SERVER`` names one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ports import free_port

from hashwarden.errors import UsageError
from hashwarden.serve.schedulers.kubernetes_access import from_kubeconfig
from hashwarden.serve.schedulers.kubernetes_api import ApiAway, KubernetesApi

ADMIN = "admin-token"


def write_kubeconfig(folder: Path, port: int, token: str) -> Path:
    file = folder / f"kubeconfig-{token[-8:]}"
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [
            {
                "name": "here",
                "cluster": {
                    "server": f"https://127.0.0.1:{port}",
                    "certificate-authority": str(folder / "certs" / "apiserver.crt"),
                },
            }
        ],
        "users": [{"name": "me", "user": {"token": token}}],
    }
    file.write_text(json.dumps(config))
    return file


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


@contextmanager
def api_server(folder: Path) -> Iterator[tuple[Path, int]]:
    """Folder and port of a server that answers; its administrator's kubeconfig is ``kubeconfig-in-token``."""
    store, peers, port = free_port(), free_port(), free_port()
    subprocess.run(["openssl", "genrsa", "-out", str(folder / "sa.key"), "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f'{ADMIN},admin,admin,"system:masters"\n')
    etcd = [shutil.which("etcd") or "etcd", "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"]
    for flag, number in (("listen-client-urls", store), ("advertise-client-urls", store), ("listen-peer-urls", peers)):
        etcd += [f"--{flag}", f"http://127.0.0.1:{number}"]
    key = str(folder / "sa.key")
    server = [os.environ["HASHWARDEN_API_SERVER"], "--etcd-servers", f"http://127.0.0.1:{store}"]
    server += ["--cert-dir", str(folder / "certs"), "--bind-address", "127.0.0.1", "--secure-port", str(port)]
    server += ["--service-account-issuer", "https://here", "--api-audiences", "https://here"]
    server += ["--service-account-signing-key-file", key, "--service-account-key-file", key]
    server += ["--authorization-mode", "RBAC", "--token-auth-file", str(folder / "tokens.csv")]
    server += ["--service-cluster-ip-range", "10.0.0.0/24", "--disable-admission-plugins", "ServiceAccount"]
    with _running(etcd, folder / "etcd.log"), _running(server, folder / "server.log"):
        _wait(folder, port)
        yield folder, port


def _wait(folder: Path, port: int) -> None:
    config = write_kubeconfig(folder, port, ADMIN)
    for _ in range(120):
        with suppress(ApiAway, UsageError):
            api = KubernetesApi(from_kubeconfig(config))
            if api.call("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/view").fine:
                return
        time.sleep(0.5)
    raise RuntimeError((folder / "server.log").read_text()[-2000:])
