"""The example for Ray Serve on a real Ray on this machine: the real client, tokens, the numbers of the scorer."""

import gc
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from ports import free_port
from tritonclient.utils import InferenceServerException

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.job_scorer import JobScorer

pytest.importorskip("ray.serve", reason="needs ray[serve]")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves its own processes' pipes open
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Ray's own modules
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:ray"),
]

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "ray_serve.py"
PROGRAM = "from hashwarden.cli import main; main()"
WAIT_S = 120


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """A token; the file of tokens is named in the environment, which the replicas inherit."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.json"
    command = [sys.executable, "-c", PROGRAM, "serve", "token", "new", "t", "--role", "read", "--tokens", str(tokens)]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHWARDEN_SERVE__ACCESS__TOKENS", str(tokens))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_gcs_server_port_wait_time_s", str(WAIT_S))
        yield made


def begin(environment):
    """Start Ray; on a busy machine its first question to itself can get no answer within the 30 s that it allows.

    What a start that failed leaves behind is collected here, where Ray's open pipes are forgiven, and not in whatever
    test comes later.
    """
    import ray

    for last in (False, True):
        gc.collect()
        try:
            ray.init(num_cpus=1, object_store_memory=100 << 20, include_dashboard=False, log_to_driver=False,
                     runtime_env=environment)  # fmt: skip
        except Exception as error:  # Ray raises no class of its own for this
            ray.shutdown()
            if last or "timed out" not in str(error).lower():
                raise
        else:
            return


@pytest.fixture(scope="module")
def address(token):
    import ray
    from ray import serve

    spec = importlib.util.spec_from_file_location("ray_serve_example", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    port = free_port()
    environment = {"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}}
    begin(environment)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    small = example.Scoring.options(ray_actor_options={"num_cpus": 0.1})
    serve.run(small.bind(), name="hashwarden")
    yield f"127.0.0.1:{port}"
    ray.shutdown()  # Serve's own shutdown waits for what this ends


def test_replicas_answer_as_the_service_does(address, token):
    values = np.random.default_rng(0).random((50, len(CHANNELS)), np.float32)
    values[:, ::3] = np.nan
    sample = triton.InferInput("sample", list(values.shape), "FP32").set_data_from_numpy(values)
    dt = triton.InferInput("dt", [50], "FP32").set_data_from_numpy(np.zeros(50, np.float32))
    scorer = JobScorer()
    wanted = scorer.step(values, ~np.isnan(values), np.zeros(50, np.float32), scorer.initial(50))
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_ready()
        for _ in range(8):  # whichever replica answers
            found = client.infer("job", [sample, dt], headers={"Authorization": f"Bearer {token}"})
            np.testing.assert_allclose(found.as_numpy("probabilities"), wanted.probabilities, rtol=1e-5)
        for headers in (None, {"Authorization": "Bearer other"}):
            with pytest.raises(InferenceServerException, match="401"):
                client.infer("job", [sample, dt], headers=headers)
        with pytest.raises(InferenceServerException, match="no input dt"):
            client.infer("job", [sample], headers={"Authorization": f"Bearer {token}"})
