"""The InferenceService of the page on serving: its pod by Kubernetes' own schema, its command line by the program."""

import os
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

from hashwarden.serve.api.config import load_serve_config

ROOT = Path(__file__).resolve().parents[2]
SERVICE = yaml.safe_load((ROOT / "examples" / "kserve.yaml").read_text())
PREDICTOR = SERVICE["spec"]["predictor"]
(CONTAINER,) = PREDICTOR["containers"]
PROGRAM = [sys.executable, "-c", "from hashwarden.cli import main; main()"]

SCALING = {"minReplicas", "maxReplicas"}
"""Keys of a predictor that are KServe's; all others are those of a pod."""


def test_it_is_an_inference_service_with_one_container_of_kserve_s_name():
    assert (SERVICE["apiVersion"], SERVICE["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert CONTAINER["name"] == "kserve-container"
    assert PREDICTOR["minReplicas"] <= PREDICTOR["maxReplicas"]


def test_its_pod_is_one():
    spec = {key: value for key, value in PREDICTOR.items() if key not in SCALING}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    kubernetes_validate.validate(pod, "1.37", strict=True)
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == {volume["name"] for volume in PREDICTOR["volumes"]}


def test_probes_ask_where_it_answers():
    (port,) = CONTAINER["ports"]
    assert f"0.0.0.0:{port['containerPort']}" in CONTAINER["args"]
    probes = [CONTAINER[name]["httpGet"] for name in ("readinessProbe", "livenessProbe")]
    assert [(probe["path"], probe["port"]) for probe in probes] == [
        ("/v2/health/ready", 8080), ("/v2/health/live", 8080),
    ]  # fmt: skip


def test_its_command_line_and_environment_are_the_program_s(tmp_path):
    file = tmp_path / "tokens.json"
    command = [*PROGRAM, "serve", "token", "new", "a", "--role", "read", "--tokens", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    given = {each["name"]: each["value"] for each in CONTAINER["env"]}
    mounts = [mount["mountPath"] for mount in CONTAINER["volumeMounts"]]
    assert str(Path(given["HASHWARDEN_SERVE__ACCESS__TOKENS"]).parent) in mounts
    environment = os.environ | given | {"HASHWARDEN_SERVE__ACCESS__TOKENS": str(file)}
    done = subprocess.run([*PROGRAM, *CONTAINER["args"], "--check"], env=environment, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_environment_names_settings(monkeypatch):
    for each in CONTAINER["env"]:
        monkeypatch.setenv(each["name"], each["value"])
    config = load_serve_config(None, {})
    assert config.http.plaintext
    assert str(config.access.tokens) == "/run/secrets/hashwarden/tokens.json"
