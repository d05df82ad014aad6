"""docs/schedules.md, made from the tables: kinds of jobs, ways to hide, and what is drawn for each.

Written anew by ``python -m hashwarden.training.synthesise.schedule_page docs/schedules.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES, STRATEGIES
from hashwarden.training.synthesise.evasions import HIDE, STRATEGY_PARAMETERS
from hashwarden.training.synthesise.hiding_tools import Hide
from hashwarden.training.synthesise.kinds import KINDS
from hashwarden.training.synthesise.miners import MINERS, Miner
from hashwarden.training.synthesise.plans import PERIODS, PLANS
from hashwarden.training.synthesise.run import SITE
from hashwarden.training.synthesise.scene import Parameter

__all__ = ["page"]

_HEAD: Final = """# What jobs do over time

Where no recording exists, a run begins with a schedule: which kernels run in each tenth of a second, and what the host
does meanwhile. [synthesis.md](synthesis.md) says what a GPU and its sensors make of it. This page is made from the
tables of `hashwarden.training.synthesise`, and a test compares them. **Nothing here was recorded on a GPU.** Ranges
are wide on purpose: some training is as even as a miner, some serving is saturated, some miners are as ragged as a
notebook.

```
hashwarden synthesise train --output train.parquet --workers 2
```

```python
from hashwarden.training.synthesise.corpus import make_run

changes = {"low": 0.4, "high": 0.8, "work.fb_mib": 5000}
run = make_run("mining", "ethash", "duty-cycle", gpu="H200", seconds=900, period_s=2, seed=3, changes=changes)
print(run.info.share, run.info.parameters["strategy.slice_s"])
```

![Six jobs over time](schedules.png)

The plan `demo`: one GPU each, 18 minutes, a sample a second. Shaded: the job mines. Synthesised.

What is drawn stands in the run's provenance as `ROLE.NAME`: `work` is the job (or the miner), `cover` the honest job
that hides it, `strategy` the way to hide, `site` the rest. `changes` gives values instead; the other draws stay as
they were.
"""

_TRUTH: Final = """## Labels, and how much is mined

What mines is mining, whatever covers it. `share` is the hash work that was done over that of the same miner
undisguised in the same time: time on the GPU, weighted by how fast the kernel runs on fewer SMs and at lower clocks
(what bounds it decides: a miner that waits for memory loses little on half the SMs). Loss to a power limit is not
counted. A run that mines for a part of the time only (`burst`, `slow-start`) carries `mining_spans_s`, pairs of
seconds, and `cover`, the class of what it does in between; all others mine throughout.

## What must not tell the classes apart

How a run is watched (GPU, period, groups of channels, length) and its site are drawn by streams that know nothing of
the job; tests compare the distributions. A forest of 200 trees on such numbers alone, 1,250 runs of the plan `train`,
five folds by run, synthesised (chance without `idle`: balanced accuracy 0.20, AUROC 0.50):

| numbers | balanced accuracy | AUROC of mining |
| --- | --- | --- |
| length, period, lateness of samples | 0.21 | 0.53 |
| share of missing values, each channel | 0.23 | 0.49 |
| counts of processes | 0.21 | 0.56 |
| clock: mean | 0.22 | 0.51 |
| clock: mean and deviation; memory clock | 0.24 | 0.61 |
| temperatures | 0.25 | 0.51 |
| memory held: mean and deviation | 0.32 | 0.61 |
| all of them | 0.33 | 0.60 |

What is left is work: a second process beside a cover, clocks that fall while nothing runs, the size of a model.

## What it does not hold

Kernels of two processes never run at the same moment (as without MPS); `few-sms` beside a cover takes turns instead.
A schedule does not react to being watched. Epochs of days, and changes of a pool's difficulty, are left out. Shares of
kernels within a step are assumed, not measured.
"""


def page() -> str:
    """The page as text."""
    return "\n".join((_HEAD, _kinds(), _miners(), _strategies(), _TRUTH, _plans()))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _parameters(parameters: Iterable[Parameter]) -> str:
    rows = (
        (f"`{p.name}`", f"{p.low:g} to {p.high:g} {p.unit}".rstrip(), "log" if p.log else "even", p.meaning)
        for p in parameters
    )
    return _table(("name", "range", "drawn", "meaning"), rows)


def _kinds() -> str:
    text = "## Kinds of jobs\n"
    for label in CLASSES:
        kinds = [kind for kind in KINDS if kind.label == label]
        rows = ((f"`{kind.family}`", kind.summary, f"{kind.start_s[0]:g} to {kind.start_s[1]:g} s") for kind in kinds)
        text += f"\n### {label}\n\n{_table(('family', 'what it is', 'start'), rows)}"
        for parameters in dict.fromkeys(kind.parameters for kind in kinds if kind.parameters):
            names = [kind.family for kind in kinds if kind.parameters == parameters]
            text += f"\nDrawn for {', '.join(names)}:\n\n{_parameters(parameters)}"
    return text


def _span(limits: tuple[float, float], unit: str) -> str:
    return f"{limits[0]:g} to {limits[1]:g} {unit}" if limits[1] else "never"


def _miner(miner: Miner) -> tuple[str, ...]:
    cycles = "; ".join(f"{variant.name} {_span(variant.cycle_s, 's')}" for variant in miner.variants)
    return (
        f"`{miner.family}`", cycles, _span(miner.memory_mib, "MiB"), _span(miner.rebuild_every_s, "s"),
        _span(miner.compile_every_s, "s"),
    )  # fmt: skip


def _miners() -> str:
    assert tuple(miner.family for miner in MINERS) == MINING_FAMILIES
    head = ("family", "variants and their cycle", "memory", "table rebuilt every", "compiled every")
    return f"""## Families of mining

Sizes and periods from ethereum-mining/ethminer, RavenCommunity/kawpowminer (`libprogpow/ProgPow.h`),
ergoplatform/Autolykos-GPU-miner, Conflux-Chain/conflux-rust, iron-fish/fish-hash, tromp/equihash, BeamMW/cuda-miner,
tromp/cuckoo, xelis-project/xelis-hash, xmrig/xmrig-cuda, pearl-research-labs/pearl, Muskwak/Open-Pearl-Miner; times for
which a source gives no number are wide ranges. A third of the miners of `matmul-pow` hold memory as a server does.

{_table(head, map(_miner, MINERS))}"""


def _meaning(hide: Hide) -> str:
    return (hide.__doc__ or "").splitlines()[0]


def _strategies() -> str:
    text = """## Ways to hide

Bands of 40 to 80, 70 to 95 and 85 to 100 per cent in stages of 8 to 45 s, false names and logs were seen in
open-pearl-miner; lower power, clocks and intensity in ccminer, xmrig and OneZeroMiner; pausing and freeing memory while
watched in SilentCryptoMiner; mining inside reinforcement learning in arXiv 2512.24873.
"""
    for strategy in STRATEGIES:
        text += f"\n### {strategy}\n\n{_meaning(HIDE[strategy])}\n"
        if STRATEGY_PARAMETERS[strategy]:
            text += f"\n{_parameters(STRATEGY_PARAMETERS[strategy])}"
    return text + f"\n### The site of any run\n\n{_parameters(SITE)}"


def _plans() -> str:
    rows = (
        (f"`{plan.name}`", plan.summary, f"{plan.runs:,}", f"{plan.samples[0]} to {plan.samples[1]}",
         f"{plan.most_s / 3600:g} h")
        for plan in PLANS if not plan.items_given
    )  # fmt: skip
    return f"""## Plans

Periods of {", ".join(f"{period:g}" for period in PERIODS)} s. Beside these, `demo`: the six jobs of the picture.

{_table(("plan", "what it is for", "runs", "samples of a run", "longest"), rows)}"""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
