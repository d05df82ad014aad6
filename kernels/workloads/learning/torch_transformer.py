"""Transformers in torch: causal language model in training, encoder in inference."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hashwarden.kernels.workloads.learning.attention import head_size
from hashwarden.kernels.workloads.learning.torch_runs import Apply, Batch, InferenceRun, Task, TrainingRun, loss, shares
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["encoder_inference", "transformer_training"]

_CHECKED_TOKENS: Final = 256


class _Block(nn.Module):
    """Attention and feed-forward part, each behind a norm and beside a residual."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = width // head_size(width), causal
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.o = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) to the same."""
        batch, tokens, width = x.shape
        parts = self.qkv(self.norm_1(x)).reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.o(y.transpose(1, 2).reshape(x.shape))
        wide = functional.gelu(self.up(self.norm_2(x)), approximate="tanh")
        result: Tensor = x + self.down(wide)
        return result


class _Transformer(nn.Module):
    """Embedding, blocks, logits of every token."""

    def __init__(self, settings: Settings, causal: bool) -> None:
        super().__init__()
        width, words = settings["width"], settings["vocabulary"]
        self.embedding, self.positions = nn.Embedding(words, width), nn.Embedding(settings["tokens"], width)
        self.blocks = nn.Sequential(*[_Block(width, causal) for _ in range(settings["layers"])])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words)

    def forward(self, text: Tensor) -> Tensor:
        """Token numbers to logits."""
        places = torch.arange(text.shape[1], device=text.device)
        logits: Tensor = self.head(self.norm(self.blocks(self.embedding(text) + self.positions(places))))
        return logits


def _task(settings: Settings, apply: Apply, causal: bool) -> Task:
    words, tokens = settings["vocabulary"], settings["tokens"]
    chances = 1 / np.arange(1, words + 1)
    chances /= chances.sum()

    def batch(random: np.random.Generator, samples: int) -> Batch:
        text = torch.from_numpy(random.choice(words, (samples, tokens + 1), p=chances))
        return text[:, :-1].contiguous(), text[:, 1:].contiguous()

    samples = settings["batch"]
    checked = min(samples, max(1, _CHECKED_TOKENS // tokens))
    return Task(lambda: _Transformer(settings, causal), batch, apply, samples, checked, samples * tokens)


def transformer_training(settings: Settings, seed: int, device: str) -> TrainingRun:
    """Train a causal language model."""
    return TrainingRun(_task(settings, loss, causal=True), settings, seed, device)


def encoder_inference(settings: Settings, seed: int, device: str) -> InferenceRun:
    """Run an encoder over batches of sequences."""
    return InferenceRun(_task(settings, shares, causal=False), seed, device)
