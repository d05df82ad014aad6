import builtins

import numpy as np
import pytest

from hashwarden.errors import MissingExtraError, UsageError
from hashwarden.kernels.sass import mix
from hashwarden.kernels.sass.cubin import Cubin, read_cubin
from hashwarden.kernels.sass.table import MEM_KINDS, NESTED, SCALARS

LOP3 = np.array([0x212 | 4 << 16 | 4 << 24, 5, 6 | 0x96 << 8, 0], np.uint32)
STRANGE = np.array([0xFFF, 0, 0, 0], np.uint32)


def cubin_of(*codes, arch=90, names=None):
    """A cubin record around bare code."""
    sizes = np.array([len(code) for code in codes], np.int64)
    ends = np.cumsum(sizes)
    none = np.zeros(len(codes), np.int64)
    names = names or [f"k{i}" for i in range(len(codes))]
    constants = np.array([0x428A2F98, 0, 0x71374491, 0x428A2F98], np.uint32)
    data = memoryview(b"".join(codes))
    return Cubin("bare", arch, data, names, ends - sizes, sizes, none, none, ["0" * 16] * len(codes), constants, 0)


def times(instruction, n):
    return np.tile(instruction, n).tobytes()


def test_no_cubins_and_no_kernels():
    for cubins in ([], [cubin_of()]):
        table = mix.analyse(cubins)
        assert len(table) == 0
        assert set(table.scalars) == set(SCALARS)
        assert set(table.nested) == set(NESTED)


def test_kernels_under_eight_instructions_are_not_listed():
    table = mix.analyse([cubin_of(times(LOP3, 7), times(LOP3, 8), times(LOP3, 7) + bytes(9))])
    assert table.text["kernel"].tolist() == ["k1"]
    assert table.scalars["n_instr"].tolist() == [8]


def test_fields_of_a_row():
    table = mix.analyse([cubin_of(times(LOP3, 8))])
    assert table.text["file"].tolist() == ["bare"]
    assert {name: r.columns["n"].tolist() for name, r in table.nested.items() if name in ("op", "lut", "mem")} == {
        "op": [8], "lut": [8], "mem": [],
    }  # fmt: skip
    assert table.nested["lut"].columns["lut"].tolist() == [0x96]
    assert table.nested["const_module"].columns["n"].tolist() == [2, 2]
    assert table.scalars["longest_alu_run"].tolist() == [8]


def test_older_architectures_are_counted_not_read():
    old = cubin_of(times(LOP3, 8), times(LOP3, 8), arch=61)
    assert len(mix.analyse([old])) == 0
    assert mix.unsupported([old, cubin_of(times(LOP3, 8))]) == {61: 2}


def test_unknown_opcodes_are_counted():
    table = mix.analyse([cubin_of(times(LOP3, 8) + times(STRANGE, 3) + times(LOP3, 1), arch=80)])
    assert mix.unknown_opcodes(table) == {80: {0xFFF: 3}}
    assert mix.unknown_opcodes(mix.analyse([cubin_of(times(LOP3, 8))])) == {}


def test_many_batches_are_one_table(monkeypatch, cubin_sm90):
    from hashwarden.kernels.sass.engines import cpu

    cubins = [read_cubin(cubin_sm90, "a"), cubin_of(*[times(LOP3, n) for n in range(1, 40)])]
    whole = mix.analyse(cubins)
    monkeypatch.setattr(cpu, "BATCH_BYTES", 256)
    parts = mix.analyse(cubins)
    assert parts.text["kernel"].tolist() == whole.text["kernel"].tolist()
    for name in NESTED:
        assert np.array_equal(parts.nested[name].columns["n"], whole.nested[name].columns["n"])


def test_a_compiled_kernel_shows_what_was_written(cubin_sm90):
    """The loop of the source: rotates, table reads with hashed addresses, shared memory."""
    table = mix.analyse([read_cubin(cubin_sm90, "k")])
    assert table.scalars["n_loops"][0] >= 1
    assert table.rotate[0, 1:].sum() >= 1
    mem = table.nested["mem"].columns
    hashed = {MEM_KINDS[k] for k, t, d in zip(mem["kind"], mem["taint"], mem["depth"], strict=True) if t == 2 and d}
    assert "ldg" in hashed
    assert table.nested["const_code"].columns["n"].sum() >= 1
    assert mix.unknown_opcodes(table) == {}


def test_unknown_engine():
    with pytest.raises(UsageError, match="numba_cuda"):
        mix.analyse([], engine="fortran")


@pytest.mark.parametrize(("engine", "package"), [("cupy", "cupy"), ("numba_cuda", "numba")])
def test_an_absent_package_names_the_extra(monkeypatch, engine, package):
    import sys

    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest)

    for module in [m for m in sys.modules if m == mix.ENGINES[engine]]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="cuda1"):
        mix.analyse([], engine=engine)


@pytest.mark.parametrize("engine", ["numba", "reference"])
def test_warm_up(engine):
    mix.warm_up(engine)
