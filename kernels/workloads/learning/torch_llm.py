"""A language model that answers, in torch: prefill, decoding over a preallocated cache, and serving.

The network is that of `hashwarden.kernels.workloads.learning.llm`. Serving is continuous batching (Yu et al., Orca,
OSDI 2022): requests arrive at random, wait for a free slot, are read at once and answered token by token with
all others; without requests the device is idle.
"""

from __future__ import annotations

import copy
import time
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hashwarden.kernels.workloads.learning.attention import head_size
from hashwarden.kernels.workloads.learning.torch_runs import InferenceRun, Task, compare, require_device
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["Cache", "Language", "ServingRun", "llm_decode", "llm_prefill", "llm_serving"]

_PAGE: Final = 16
_CHECKED: Final = 6
_IDLE: Final = 2e-3


class Cache:
    """Keys and values of all layers and slots, taken once: (layers, slots, heads, context, size)."""

    def __init__(self, settings: Settings, slots: int, context: int, like: Tensor) -> None:
        size = head_size(settings["width"])
        shape = (settings["layers"], slots, settings["width"] // size, context, size)
        self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)
        self.context = context


class _Layer(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.size = head_size(width)
        self.norm_1, self.norm_2 = nn.RMSNorm(width, 1e-5), nn.RMSNorm(width, 1e-5)
        self.qkv, self.o = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.gate, self.up = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def project(self, x: Tensor, turns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as (rows, heads, tokens, size), the first two turned."""
        rows, tokens, width = x.shape
        parts = self.qkv(self.norm_1(x)).reshape(rows, tokens, 3, width // self.size, self.size)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        return _turned(q, turns), _turned(k, turns), v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Residual, and the gated feed-forward part."""
        x = x + self.o(attended.transpose(1, 2).reshape(x.shape))
        y = self.norm_2(x)
        result: Tensor = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return result


def _turned(x: Tensor, turns: Tensor) -> Tensor:
    """Rotary positions; ``turns`` is cosine and sine of (rows or 1, 1, tokens, size / 2)."""
    cosine, sine = turns.to(x.dtype)
    first, second = x[..., 0::2], x[..., 1::2]
    return torch.stack([first * cosine - second * sine, first * sine + second * cosine], -1).flatten(-2)


class Language(nn.Module):
    """Embedding, blocks with rotary attention and gated feed-forward parts, logits."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width = settings["width"]
        self.embedding = nn.Embedding(settings["vocabulary"], width)
        self.layers = nn.ModuleList([_Layer(width, settings["inner"]) for _ in range(settings["layers"])])
        self.norm, self.head = nn.RMSNorm(width, 1e-5), nn.Linear(width, settings["vocabulary"], bias=False)
        self.size = head_size(width)

    def _turns(self, positions: Tensor) -> Tensor:
        """Cosine and sine for positions of shape (rows, tokens)."""
        powers = torch.arange(0, self.size, 2, device=positions.device, dtype=torch.float64) / self.size
        angles = positions[:, None, :, None].double() / 10000.0**powers
        return torch.stack([angles.cos(), angles.sin()])

    def forward(self, text: Tensor, cache: Cache | None = None, slot: int = 0) -> Tensor:
        """Logits of all tokens of prompts; with a cache, of one prompt, which is written to its slot."""
        tokens = text.shape[1]
        turns = self._turns(torch.arange(tokens, device=text.device)[None])
        x = self.embedding(text)
        for number, layer in enumerate(self.layers):
            q, k, v = layer.project(x, turns)  # type: ignore[operator]
            if cache is not None:
                cache.keys[number, slot, :, :tokens] = k[0]
                cache.values[number, slot, :, :tokens] = v[0]
            x = layer.finish(x, functional.scaled_dot_product_attention(q, k, v, is_causal=True))  # type: ignore[operator]
        logits: Tensor = self.head(self.norm(x))
        return logits

    def decode(self, newest: Tensor, lengths: Tensor, cache: Cache) -> Tensor:
        """Logits of one new token for every slot, which holds ``lengths`` tokens before it."""
        turns = self._turns(lengths[:, None])
        slots = torch.arange(len(newest), device=newest.device)
        seen = torch.arange(cache.context, device=newest.device) <= lengths[:, None]
        x = self.embedding(newest[:, None])
        for number, layer in enumerate(self.layers):
            q, k, v = layer.project(x, turns)  # type: ignore[operator]
            cache.keys[number, slots, :, lengths] = k[:, :, 0]
            cache.values[number, slots, :, lengths] = v[:, :, 0]
            held = cache.keys[number], cache.values[number]
            attended = functional.scaled_dot_product_attention(q, *held, attn_mask=seen[:, None, None])
            x = layer.finish(x, attended)  # type: ignore[operator]
        logits: Tensor = self.head(self.norm(x[:, 0]))
        return logits


@final
class ServingRun:
    """Requests that arrive, wait, are read and answered; a step is one token for every slot in use.

    Parameters
    ----------
    settings : mapping
        Sizes of the network; ``slots``, ``context``, ``prompt`` and ``answer`` tokens at most, and ``arrivals``
        in a thousand steps.
    """

    def __init__(self, settings: Settings, seed: int, device: str) -> None:
        require_device(device)
        self._settings, self._seed, self._device = settings, seed, device
        self.units: float = settings["slots"]
        self.model = self._new().to(device, torch.bfloat16).eval()
        slots = settings["slots"]
        self._cache = Cache(settings, slots, settings["context"], self.model.embedding.weight.detach())
        self._random = np.random.default_rng(seed)
        self._waiting = 1
        self._lengths, self._ends = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
        self._newest = torch.zeros(slots, dtype=torch.int64, device=device)

    def _new(self) -> Language:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            return Language(self._settings)

    @property
    def active(self) -> int:
        """Slots in use."""
        return int(np.count_nonzero(self._ends))

    def step(self) -> None:
        """Admit what has arrived, and answer one token to everybody."""
        self._waiting = min(self._waiting + int(self._random.poisson(self._settings["arrivals"] / 1000)), 1 << 16)
        with torch.inference_mode():
            for slot in np.flatnonzero(self._ends == 0):
                if self._waiting:
                    self._waiting -= 1
                    self._admit(int(slot))
            if not self.active:
                time.sleep(_IDLE)
                return
            lengths = torch.from_numpy(self._lengths.copy()).to(self._device)
            logits = self.model.decode(self._newest, lengths, self._cache)
            self._newest = logits.argmax(-1)
        used = self._ends > 0
        self._lengths[used] += 1
        done = used & (self._lengths >= self._ends)
        self._lengths[done], self._ends[done] = 0, 0

    def _admit(self, slot: int) -> None:
        """Read a new prompt into a slot."""
        settings = self._settings
        prompt = int(self._random.integers(1, settings["prompt"] + 1))
        answer = int(self._random.integers(1, settings["answer"] + 1))
        text = torch.from_numpy(self._random.integers(0, settings["vocabulary"], (1, prompt)))
        logits = self.model(text.to(self._device), self._cache, slot)
        self._newest[slot] = logits[0, -1].argmax()
        self._lengths[slot] = prompt
        self._ends[slot] = min(prompt + answer, settings["context"])

    def wait(self) -> None:
        """Wait until the device has done all steps."""
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()

    def check(self) -> None:
        """Compare prefill and decoding over a cache, in float32 here, with whole passes in float64 on the CPU."""
        reference = self._new().bfloat16().double().eval()
        model = copy.deepcopy(self.model).float()
        tokens = min(_CHECKED, self._settings["context"])
        random = np.random.default_rng(self._seed)
        text = torch.from_numpy(random.integers(0, self._settings["vocabulary"], (1, tokens)))
        here, half = text.to(self._device), max(tokens // 2, 1)
        cache = Cache(self._settings, 1, tokens, model.embedding.weight.detach())
        with torch.no_grad():
            expected = reference(text)[0]
            got = [*model(here[:, :half], cache)[0]]
            for place in range(half, tokens):
                lengths = torch.full((1,), place, device=self._device)
                got.append(model.decode(here[:, place], lengths, cache)[0])
        compare("logits", torch.stack(got), expected)


def llm_serving(settings: Settings, seed: int, device: str) -> ServingRun:
    """Serve requests that arrive at random."""
    return ServingRun(settings, seed, device)


def llm_decode(settings: Settings, seed: int, device: str) -> ServingRun:
    """Decode with all slots in use: a new request waits whenever one is done."""
    context = settings["pages"] * _PAGE
    full: dict[str, Any] = {"slots": settings["requests"], "context": context, "prompt": max(context // 2, 1)}
    return ServingRun({**settings, **full, "answer": context, "arrivals": 1_000_000}, seed, device)


def llm_prefill(settings: Settings, seed: int, device: str) -> InferenceRun:
    """Read prompts; only the last token's logits are kept."""

    def batch(random: np.random.Generator, samples: int) -> tuple[Tensor, ...]:
        return (torch.from_numpy(random.integers(0, settings["vocabulary"], (samples, settings["tokens"]))),)

    def apply(model: nn.Module, text: tuple[Tensor, ...]) -> Tensor:
        logits: Tensor = model(*text)
        return logits[:, -1]

    requests = settings["requests"]
    task = Task(lambda: Language(settings), batch, apply, requests, 1, requests * settings["tokens"])
    return InferenceRun(task, seed, device)
