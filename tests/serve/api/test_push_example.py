"""The example that pushes a trace: what comes of it is what a replay says."""

import argparse
import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from desk_rig import DEMO, ROOT, a_service, demo

from hashwarden.serve.api.roles import Role
from hashwarden.serve.api.tokens import new_token
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.replay import replay


def example():
    spec = importlib.util.spec_from_file_location("push_samples", ROOT / "examples" / "push_samples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_demo_comes_to_the_same_states_as_a_replay(tmp_path, capsys):
    token = tmp_path / "token"
    token.write_text(new_token(tmp_path / "tokens.json", "pusher", [Role.PUSH]) + "\n")
    with a_service(tmp_path, access={"tokens": tmp_path / "tokens.json"}) as (rig, desk):
        order = argparse.Namespace(trace=str(DEMO), socket=str(tmp_path / "serve.sock"), token_file=str(token),
                                   cluster="demo", scheduler="other", every_s=120.0, live=False)  # fmt: skip
        states = example().push(order)
        assert states == {f"pushed:demo:other:{one.run.name}": one.verdict.state
                          for one in replay(demo(), JobScorer(None))}  # fmt: skip
        assert sorted(states.values()) == ["clear"] * 3 + ["confirmed"] * 3
        assert len(rig.ask("/v1/ended")[1]["jobs"]) == 6
        cases = {case["job"]["id"] for case in rig.ask("/v1/cases")[1]["cases"]}
        assert {key.rpartition(":")[2] for key, state in states.items() if state == "confirmed"} == cases
        assert desk.inbox.counts["duplicates"] == desk.inbox.counts["late"] == 0
    assert capsys.readouterr().out.count("confirmed") == 3


def test_a_wrong_token_ends_it(tmp_path):
    token = tmp_path / "token"
    token.write_text("hw1_00000000_" + 43 * "x")
    with a_service(tmp_path) as _:
        order = argparse.Namespace(socket=str(tmp_path / "serve.sock"), token_file=str(token))
        desk = example().Desk(order)
        with pytest.raises(SystemExit, match="401"):
            desk.post("/v1/samples", {"jobs": []})
        desk.close()
