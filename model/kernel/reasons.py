"""Why the model says so, in words.

Each theme is a set of features. It is taken out (set to what plain code shows on average), the kernel is scored
again, and what the log-odds lose is what the theme was worth. Themes that were worth something are put into
words with the measured values.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass.constants import PRIMITIVES, constant_table
from hashwarden.model.kernel.features import FEATURE_NAMES

__all__ = ["THEMES", "reasons_of", "themes"]

F32 = npt.NDArray[np.float32]
_INTEGER: Final = ("logic", "shift", "permute", "add", "lea", "imad", "imad_wide")
_FLOATING: Final = ("float", "half", "double", "special", "fmma")

LEAST_WORTH: Final = 0.3
"""Log-odds that a theme must be worth to be named."""
MOST: Final = 4

THEMES: Final[dict[str, tuple[str, ...]]] = {
    "constants": ("const_code:", "const_module:"),
    "logic": (
        "op:logic",
        "op_weighted:logic",
        "op_immediate:logic",
        "op:permute",
        "op_weighted:permute",
        "lut:",
        "lut_weighted:",
    ),
    "rotates": ("rotate:", "rotate_weighted:", "op:shift", "op_weighted:shift", "op_immediate:shift"),
    "addresses": ("mem:", "mem_weighted:", "mem_width:"),
    "flow": ("flow:", "flow_inner:"),
    "no_floats": tuple(f"{b}:{g}" for b in ("op", "op_weighted", "op_immediate") for g in (*_FLOATING, "convert")),
    "int8": tuple(f"{b}:{g}" for b in ("op", "op_weighted") for g in ("imma", "dot")),
    "shape": ("shape:",),
}
"""Sets of features by the beginnings of their names."""

_NAMES: Final = {
    "sha256_k": "SHA-256 round constants",
    "sha256_iv": "SHA-256 or BLAKE initial values",
    "sha512_k": "SHA-512 round constants",
    "sha512_iv": "SHA-512 or BLAKE2b initial values",
    "md5_k": "MD5 round constants",
    "sha1_ripemd": "SHA-1 or RIPEMD constants",
    "keccak_rc": "Keccak round constants",
    "fnv": "FNV primes",
    "siphash": "SipHash constants",
    "chacha_salsa": "ChaCha or Salsa constants",
    "murmur3": "MurmurHash3 constants",
    "xxhash": "xxHash primes",
    "blake256_c": "BLAKE-256 constants",
    "skein": "Skein constants",
    "secp256k1": "secp256k1 constants",
    "aes_t0": "AES tables",
    "groestl_whirlpool": "Groestl or Whirlpool tables",
    "heavy_octopus": "Octopus modulus",
}


@cache
def themes() -> dict[str, npt.NDArray[np.int64]]:
    """The feature columns of each theme."""
    return {
        theme: np.array([i for i, name in enumerate(FEATURE_NAMES) if name.startswith(beginnings)])
        for theme, beginnings in THEMES.items()
    }


@cache
def _column(name: str) -> int:
    return FEATURE_NAMES.index(name)


def _share(row: F32, names: list[str]) -> float:
    """The share of instructions behind square-root features."""
    return float(sum(float(row[_column(name)]) ** 2 for name in names))


def _constants(row: F32) -> str:
    totals = np.bincount(np.repeat(np.arange(len(PRIMITIVES)), _sizes()), minlength=len(PRIMITIVES))
    found = []
    for index, primitive in enumerate(PRIMITIVES):
        n = max(np.expm1(row[_column(f"{place}:{primitive}")]) for place in ("const_code", "const_module"))
        if primitive in _NAMES and n >= 2:
            found.append((float(n) / totals[index], f"{_NAMES[primitive]} ({round(float(n))} of {totals[index]})"))
    return ", ".join(text for _, text in sorted(found, reverse=True)[:2])


@cache
def _sizes() -> tuple[int, ...]:
    _, members = constant_table()
    return tuple(int((members >> np.uint32(i) & np.uint32(1)).sum()) for i in range(len(PRIMITIVES)))


def _logic(row: F32) -> str:
    logic = _share(row, [f"op_weighted:{g}" for g in _INTEGER])
    exclusive = _share(row, ["lut:lut3c", "lut:lut69"])
    tail = f", {exclusive:.0%} exclusive-or" if exclusive >= 0.03 else ""
    return f"{logic:.0%} integer and logic instructions in the loops{tail}"


def _rotates(row: F32) -> str:
    share = _share(row, ["rotate:rotate", "rotate:funnel"])
    return f"{share:.1%} rotates and funnel shifts" if share >= 0.005 else ""


def _addresses(row: F32) -> str:
    hashed = _share(row, [f"mem_weighted:{m}.hashed" for m in ("global", "shared", "local", "texture")])
    stores = _share(row, [f"mem_weighted:{m}.hashed" for m in ("store", "store_shared", "store_local", "atomic")])
    if hashed >= 0.002:
        return "table reads whose address depends on hashed data"
    return "writes and atomics to addresses computed from hashed data" if stores >= 0.002 else ""


def _flow(row: F32) -> str:
    mixing = [
        f"flow:{a}>{b}" for a in ("logic", "shift", "permute", "add") for b in ("logic", "shift", "permute", "add")
    ]
    share = _share(row, mixing)
    return f"{share:.0%} of the data flow runs between logic, shifts and additions" if share >= 0.2 else ""


def _no_floats(row: F32) -> str:
    share = _share(row, [f"op:{g}" for g in _FLOATING])
    return "no floating-point work" if share < 0.01 else ""


def _int8(row: F32) -> str:
    share = _share(row, ["op:imma", "op:dot"])
    return f"{share:.1%} int8 matrix instructions beside integer mixing" if share >= 0.005 else ""


def _shape(row: F32) -> str:
    chain = float(np.expm1(row[_column("shape:log_chain")]))
    return f"a chain of {round(chain)} dependent instructions" if chain >= 100 else ""


_WORDS: Final[dict[str, Callable[[F32], str]]] = {
    "constants": _constants,
    "logic": _logic,
    "rotates": _rotates,
    "addresses": _addresses,
    "flow": _flow,
    "no_floats": _no_floats,
    "int8": _int8,
    "shape": _shape,
}


def reasons_of(features: F32, plain: F32, log_odds: Callable[[F32], npt.NDArray[np.float64]]) -> list[tuple[str, ...]]:
    """What decided the verdict on each of some kernels.

    Parameters
    ----------
    features : float32 array, shape (kernels, features)
    plain : float32 array, shape (features,)
        What plain code shows on average.
    log_odds : callable
        From features to the log-odds of hash work.

    Returns
    -------
    list of tuple of str
        At most four phrases a kernel, strongest first.
    """
    whole = log_odds(features)
    worth = np.zeros((len(features), len(THEMES)))
    for index, columns in enumerate(themes().values()):
        without = features.copy()
        without[:, columns] = plain[columns]
        worth[:, index] = whole - log_odds(without)
    return [_phrases(row, value) for row, value in zip(features, worth, strict=True)]


def _phrases(row: F32, worth: npt.NDArray[np.float64]) -> tuple[str, ...]:
    names, phrases = list(THEMES), []
    for index in np.argsort(-worth):
        if worth[index] < LEAST_WORTH:
            break
        phrase = _WORDS[names[index]](row)
        if phrase:
            phrases.append(phrase)
    return tuple(phrases[:MOST])
