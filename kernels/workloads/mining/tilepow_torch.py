"""The matrix product as proof of work in torch: int8 tensor cores for the product, tensor arithmetic for BLAKE3.

`tilepow` says what is computed; this gives the same digests. The products are ``torch._int_mm``, which is
cuBLASLt's int8 product on a GPU; noise, transcript and hash are elementwise kernels over all tiles at once,
where a miner has one fused kernel. Words are int32, whose sums wrap; a shift to the right is masked.
"""

# ruff: noqa: PLR0913, PLR0917  the four columns of a BLAKE3 state and two message words

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np

from hashwarden.errors import MissingExtraError, NoDeviceError
from hashwarden.kernels.workloads.mining import oracles_tilepow
from hashwarden.kernels.workloads.plan import require_equal
from hashwarden.kernels.workloads.workload import Settings, TorchRun

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TileRun", "blake3_words", "build_run"]

_INITIAL: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_ORDER: Final = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_STREAM: Final = 1 | 2 | 8  # first and last block of its chunk, root
_JUDGE: Final = _STREAM | 16  # keyed
_LIMIT: Final = 0x0FFFFFFF
_CHECKED_TILES: Final = 64


def _signed(word: int) -> int:
    """A word as int32 holds it."""
    return word - (1 << 32) if word >> 31 else word


def _rotated(words: Tensor, right: int) -> Tensor:
    """Rotate int32 words to the right."""
    return words << (32 - right) | words >> right & ((1 << (32 - right)) - 1)


def _mix(a: Tensor, b: Tensor, c: Tensor, d: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mix four columns at once: every tensor has four rows."""
    a = a + b + x
    d = _rotated(d ^ a, 16)
    c = c + d
    b = _rotated(b ^ c, 12)
    a = a + b + y
    d = _rotated(d ^ a, 8)
    c = c + d
    return a, _rotated(b ^ c, 7), c, d


def blake3_words(chain: Tensor, block: Tensor, counter: Tensor, length: int, flags: int) -> Tensor:
    """Compress one block for each column.

    Parameters
    ----------
    chain : int32 tensor, shape (8, N) or (8, 1)
        Chaining values.
    block : int32 tensor, shape (16, N) or (16, 1)
        Message words.
    counter : int32 tensor, shape (N,)
        Low words of the counters; their high words are 0.
    length, flags : int
        Bytes in the block, and flags of the BLAKE3 paper.

    Returns
    -------
    int32 tensor, shape (16, N)
        Words of extended output; the first 8 are the chaining value.
    """
    import torch

    count, device = len(counter), counter.device
    initial = torch.tensor([_signed(word) for word in _INITIAL[:4]], dtype=torch.int32, device=device)
    tail = torch.tensor([0, 0, length, flags], dtype=torch.int32, device=device)[:, None].repeat(1, count)
    tail[0] = counter
    chain = chain.expand(8, count)
    a, b, c, d = chain[:4], chain[4:], initial[:, None].expand(4, count), tail
    for turn in range(7):
        if turn:
            block = block[list(_ORDER)]
        a, b, c, d = _mix(a, b, c, d, block[0:8:2], block[1:8:2])
        b, c, d = b.roll(-1, 0), c.roll(-2, 0), d.roll(-3, 0)
        a, b, c, d = _mix(a, b, c, d, block[8:16:2], block[9:16:2])
        b, c, d = b.roll(1, 0), c.roll(2, 0), d.roll(3, 0)
    return torch.cat([a ^ c, b ^ d, c ^ chain[:4], d ^ chain[4:]])


@final
class TileRun:
    """A prepared run; see `hashwarden.kernels.workloads.workload.TorchRun`.

    Parameters
    ----------
    settings : mapping
        Values of the parameters of ``tilepow-tensor``.
    seed : int
        Of operands, noise and key.
    device : str
        A torch device.
    """

    def __init__(self, settings: Settings, seed: int, device: str) -> None:
        import torch

        self._shape = oracles_tilepow.Shape.of(settings)
        self._problem = oracles_tilepow.Problem.of(seed)
        self._device, self._steps = torch.device(device), 0
        self.units = float(self._shape.tiles)
        seed_words, key_words = (np.frombuffer(words, "<i4").copy() for words in self._problem)
        self._seed = torch.from_numpy(seed_words).to(self._device)
        self._key = torch.from_numpy(key_words).to(self._device)[:, None]
        generator = torch.Generator(device=self._device).manual_seed(seed)
        self._a, self._b = (
            torch.randint(-63, 64, (count, self._shape.inner), dtype=torch.int8, device=device, generator=generator)
            for count in (self._shape.rows, self._shape.columns)
        )
        self._b_parts = self._parts(self._noised(self._b, nonce=0, which=2))
        self._digests = torch.zeros((8, self._shape.tiles), dtype=torch.int32, device=self._device)
        self._hits = torch.zeros((), dtype=torch.int64, device=self._device)

    def step(self) -> None:
        """Enqueue one product with new noise, and judge its tiles."""
        import torch

        parts = self._parts(self._noised(self._a, nonce=self._steps, which=0))
        transcripts = self._multiply(parts)
        counter = torch.zeros(self._shape.tiles, dtype=torch.int32, device=self._device)
        self._digests = blake3_words(self._key, transcripts, counter, 64, _JUDGE)[:8]
        self._hits += ((self._digests[0] >= 0) & (self._digests[0] <= _LIMIT)).sum()
        self._steps += 1

    def wait(self) -> None:
        """Wait until the device has done all steps."""
        import torch

        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def check(self) -> None:
        """Compare some tiles of the last step, or of a first one, with NumPy; raises CheckError."""
        if not self._steps:
            self.step()
        shape, problem = self._shape, self._problem
        a = oracles_tilepow.noised(problem, shape, self._a.cpu().numpy(), self._steps - 1, 0)
        b = oracles_tilepow.noised(problem, shape, self._b.cpu().numpy(), 0, 2)
        chosen = np.unique(np.random.default_rng(self._steps).integers(0, shape.tiles, _CHECKED_TILES))
        expected = oracles_tilepow.judged(problem, shape, a, b, chosen)
        digests = np.ascontiguousarray(self._digests.cpu().numpy().T).view(np.uint32)
        require_equal("digests", digests[chosen], expected.digests)

    def _factor(self, rows: int, nonce: int, which: int) -> Tensor:
        """Factor of the noise: 64 entries from each block of BLAKE3's output."""
        import torch

        block = torch.zeros(16, dtype=torch.int32, device=self._device)
        block[:8] = self._seed
        block[6] ^= which
        block[7] ^= nonce
        chain = torch.tensor([_signed(word) for word in _INITIAL], dtype=torch.int32, device=self._device)
        counter = torch.arange(rows * self._shape.rank // 64, dtype=torch.int32, device=self._device)
        stream = blake3_words(chain[:, None], block[:, None], counter, 32, _STREAM)
        entries = (stream.T.contiguous().view(torch.int8) & 3) - 1
        return entries.reshape(rows, self._shape.rank)

    def _noised(self, operand: Tensor, nonce: int, which: int) -> Tensor:
        """Operand with its noise, saturated to 7 bits."""
        import torch

        left = self._factor(len(operand), nonce, which)
        right = self._factor(self._shape.inner, nonce, which + 1)
        return (self._product(left, right) + operand).clamp_(-63, 63).to(torch.int8)

    def _parts(self, operand: Tensor) -> list[Tensor]:
        """Columns between two entries of the transcript, each part contiguous."""
        import torch

        return [part.contiguous() for part in torch.split(operand, self._shape.step, dim=1)]

    def _product(self, left: Tensor, right: Tensor) -> Tensor:
        """int32 product of int8 rows with int8 rows."""
        import torch

        if self._device.type == "cuda":
            return torch._int_mm(left, right.T)
        return left.to(torch.int32) @ right.T.to(torch.int32)

    def _multiply(self, parts: list[Tensor]) -> Tensor:
        """Words of the transcripts: int32, shape (16, tiles)."""
        import torch

        down, across = self._shape.rows // 16, self._shape.columns // 16
        total = torch.zeros((self._shape.rows, self._shape.columns), dtype=torch.int32, device=self._device)
        record = torch.zeros((down, 4, across, 4), dtype=torch.int32, device=self._device)
        for left, right in zip(parts, self._b_parts, strict=True):
            total += self._product(left, right)
            squares = total.view(down, 4, 4, across, 4, 4)
            folded = torch.zeros_like(record)
            for i in range(16):
                folded = _rotated(folded, 29) ^ squares[:, :, i // 4, :, :, i % 4]
            record = _rotated(record, 21) ^ folded
        return record.permute(1, 3, 0, 2).reshape(16, -1)


def build_run(settings: Settings, seed: int, device: str) -> TorchRun:
    """Prepare a run.

    Raises
    ------
    MissingExtraError
        If torch is not installed.
    NoDeviceError
        If torch has no such device.
    UsageError
        If the settings do not fit together.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError.of("torch", "train") from error
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise NoDeviceError("torch sees no CUDA GPU", "a GPU for the device cuda", "Use the device cpu.")
    return TileRun(settings, seed, device)
