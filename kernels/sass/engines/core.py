"""The scalar core of the compiled engines: one kernel in, one key per instruction and column out.

The same functions are compiled for the CPU (engines/cpu.py) and for CUDA (engines/numba_cuda.py), so
they take arrays only and call nothing. They say what flow.py and mix.py say, written without data
dependent branches where it costs time: what must not be written goes to a dummy register, what does
not count gets the key -1. `mix.cu` is the same in CUDA C. Whoever changes this file changes
`cpu.CORE_SHA256` too, without which Numba would go on with what it compiled before.

Arguments throughout: ``words`` uint32, four per instruction; ``first`` and ``n`` the kernel's
instructions; ``depth`` uint8, loop depth capped; ``properties`` as in `isa.opcode_properties`.
"""

# ruff: noqa: ANN401, PLR0913, PLR0917  compiled code takes arrays, and many of them

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["KEY_COLUMNS", "NOBODY", "REGISTERS", "code_length", "flow_keys", "instruction_keys", "mark_loops"]

REGISTERS = 257
"""Length of the register files: R0 to R254, RZ, and a dummy that takes what must not be written."""

NOBODY = 512
"""The writer of a register that nobody wrote."""

KEY_COLUMNS = 8
"""Keys per instruction: op, lut, shift (rotate depth, or 5 + funnel depth), constant, mem, three of flow."""


def code_length(words: Any, first: int, count: int, new_branch: int) -> int:
    """Instructions that are left without trailing NOPs and trailing branches to themselves."""
    n = count
    while n > 0:
        at = 4 * (first + n - 1)
        w0, w1, w2 = np.int64(words[at]), np.int64(words[at + 1]), np.int64(words[at + 2])
        high = w2 & 0x3FFFF
        high -= (high >> 17) << 18
        new = ((high << 30 | w1 >> 2) << 8 | w0 >> 16 & 255) << 2
        offset = new if new_branch else high << 32 | w1
        op12 = w0 & 0xFFF
        if op12 != 0x918 and not ((op12 == 0x947 or op12 == 0x547) and offset >> 4 == -1):  # noqa: PLR1714
            return n
        n -= 1
    return n


def mark_loops(words: Any, first: int, n: int, new_branch: int, ends: Any, steps: Any, depth: Any) -> Any:
    """Write the capped depth of each instruction; ``ends`` and ``steps`` are scratch, zero on entry.

    Returns number of loops, deepest nesting, instructions inside loops.
    """
    loops = 0
    for i in range(n):
        at = 4 * (first + i)
        w0 = np.int64(words[at])
        if w0 & 0xFFF == 0x947 or w0 & 0xFFF == 0x547:
            w1, w2 = np.int64(words[at + 1]), np.int64(words[at + 2])
            high = w2 & 0x3FFFF
            high -= (high >> 17) << 18
            new = ((high << 30 | w1 >> 2) << 8 | w0 >> 16 & 255) << 2
            target = i + 1 + ((new if new_branch else high << 32 | w1) >> 4)
            if 0 <= target < i:
                last = ends[first + target]
                if last:
                    steps[first + last] += 1
                else:
                    loops += 1
                    steps[first + target] += 1
                # The interval ends behind i, which a later branch to the same target takes back.
                ends[first + target] = i + 1
                if i + 1 < n:
                    steps[first + i + 1] -= 1
    nesting, deepest, inside = 0, 0, 0
    for i in range(first, first + n):
        nesting += steps[i]
        deepest = max(deepest, nesting)
        inside += nesting > 0
        depth[i] = min(nesting, 4)
    return loops, deepest, inside


def instruction_keys(
    words: Any, first: int, n: int, depth: Any, properties: Any, maybe: Any, values: Any, keys: Any
) -> int:
    """Write the keys op, lut, shift and constant; return the longest run without a memory operation.

    ``maybe`` says which upper halves known constants have, ``values`` are the constants, ascending.
    """
    run, longest = 0, 0
    for i in range(first, first + n):
        w0, w1, w2 = np.int64(words[4 * i]), np.int64(words[4 * i + 1]), np.int64(words[4 * i + 2])
        d, op, form, ra, rc = np.int64(depth[i]), w0 & 511, w0 >> 9 & 7, w0 >> 24, w2 & 255
        run = 0 if properties[op] & 15 else run + 1
        longest = max(longest, run)
        keys[0, i] = (w0 & 0xFFF) * 5 + d
        keys[1, i] = (w2 >> 8 & 255) * 5 + d if op == 0x012 else -1
        shift = np.int64(-1)
        if op == 0x019 and ra != 255:
            shift = d if form == 4 and ra == rc else (d + 5 if rc != 255 else np.int64(-1))
        keys[2, i] = shift
        found = -1
        if maybe[w1 >> 16] and form in (2, 4):
            low, high = 0, len(values)
            while low < high:
                middle = (low + high) >> 1
                if np.int64(values[middle]) < w1:
                    low = middle + 1
                else:
                    high = middle
            if low < len(values) and np.int64(values[low]) == w1:
                found = low
        keys[3, i] = found
    return longest


def flow_keys(
    words: Any, first: int, n: int, depth: Any, deepest: int, properties: Any, taint: Any, files: Any, keys: Any
) -> int:
    """Write the keys mem and flow, reading the code twice; return the longest chain.

    ``taint`` (uint8, all 0 on entry) and ``files`` (int64: chain length shifted by 10, plus writer;
    all `NOBODY` on entry) are register files: scratch.
    """
    longest = 0
    for reading in range(2):
        longest = 0
        for i in range(first, first + n):
            w0, w1, w2 = np.int64(words[4 * i]), np.int64(words[4 * i + 1]), np.int64(words[4 * i + 2])
            op, rd, ra, rc, width = w0 & 511, w0 >> 16 & 255, w0 >> 24, w2 & 255, w2 >> 9 & 7
            rb = w1 & 255 if w0 & 0xE00 == 0x200 else 255
            bits = np.int64(properties[op])
            ta, tb, tc = np.int64(taint[ra]), np.int64(taint[rb]), np.int64(taint[rc])
            fa, fb, fc = files[ra], files[rb], files[rc]
            if reading:
                pair = np.int64(taint[ra + 1]) if bits & 16 and ra != 255 else np.int64(0)
                d = np.int64(depth[i])
                use = op * 2 + (1 if d == deepest else 0)
                keys[4, i] = (((bits & 15) * 8 + width - 8) * 3 + max(ta, pair)) * 5 + d if bits & 15 else -1
                keys[5, i] = (fa & 1023) * 1024 + use
                keys[6, i] = (fb & 1023) * 1024 + use
                keys[7, i] = (fc & 1023) * 1024 + use
            # How many registers the width of a load makes it write.
            loaded = 4 if width == 6 else (2 if width == 5 else 1)
            value: Any = max(ta, tb, tc)
            value = 1 if bits & 32 else (2 if value > 0 and bits & 128 else value)
            count = 0 if bits & (64 | 2048) else (loaded if bits & 32 else (2 if bits & 256 else 1))
            taint[rd if count > 0 and rd < 255 else 256] = value
            taint[rd + 1 if count > 1 and rd < 254 else 256] = value
            for r in range(2, count):
                taint[rd + r if rd + r < 255 else 256] = value
            # In the first reading a written register has chain length 1, whatever it was made of.
            chain = 1 + (max(fa, fb, fc) >> 10) if reading else 1
            longest = max(longest, chain)
            entry = chain << 10 | op
            count = 0 if bits & 512 else (loaded if bits & 1024 else (2 if bits & 256 else 1))
            files[rd if count > 0 and rd < 255 else 256] = entry
            files[rd + 1 if count > 1 and rd < 254 else 256] = entry
            for r in range(2, count):
                files[rd + r if rd + r < 255 else 256] = entry
    return longest
