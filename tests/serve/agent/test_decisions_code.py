"""What is packed of a job's kernels: names are chosen by the job, and must hide nothing of it."""

from __future__ import annotations

import json
from types import SimpleNamespace

from hashwarden.serve.agent.decisions import Decisions
from hashwarden.serve.agent.metrics import Snapshot
from hashwarden.serve.audit.clean import LEFT_OUT, clean
from hashwarden.serve.reporting.code import kernels
from hashwarden.serve.reporting.names import Names
from hashwarden.serve.sources.code_join import LaunchedKernel


def test_kernels_of_one_name_and_of_the_names_of_secrets_are_all_kept(rig):
    one = rig()
    found = [LaunchedKernel(name, f"{n:016x}", 90, 0.9, 0.9, 0.2, {"logic": 0.5}) for n, name in
             enumerate(("twice", "twice", "token", "password", "kernels"))]  # fmt: skip
    one.agent.parts.runner.evidence = lambda _: (*found, "of another kind")
    packed = Decisions(one.agent.parts, Snapshot())._code_of("j")
    kept = json.loads(clean(packed))
    assert LEFT_OUT not in json.dumps(kept)
    names = [kernel["name"] for kernel in kept["kernels"]]
    assert names == ["twice", "twice", "token", "password", "kernels"]
    told = kernels(SimpleNamespace(code=kept), Names())
    assert sorted(kernel.name for kernel in told) == sorted(names)
    assert {kernel.mix["logic"] for kernel in told} == {0.5}
    older = {"twice": {"p_mining": 0.5}, "kernels": {"p_mining": 0.25}}
    assert [kernel.name for kernel in kernels(SimpleNamespace(code=older), Names())] == ["kernels", "twice"]
