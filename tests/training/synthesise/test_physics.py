"""Rooflines: every part on every GPU, what bounds it, and that limits hold."""

import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.training.synthesise.gpus import ASSUMED, GPUS, Gpu, gpu_named
from hashwarden.training.synthesise.parts import PARTS, part_named
from hashwarden.training.synthesise.physics import QUANTITIES, activity, cycles_of
from hashwarden.training.synthesise.pipes import PIPES

H100, A100, B200 = GPUS["H100 SXM"], GPUS["A100 SXM 80GB"], GPUS["B200"]
NAMES = [
    "gemm-bf16", "gemm-tf32", "gemm-fp8", "gemm-int8", "gemm-fp32", "gemm-fp64", "convolution", "attention-prefill",
    "attention-decode", "gemv-bf16", "gemv-int8", "elementwise", "norm-softmax", "optimizer", "embedding", "top-k",
    "all-reduce", "image-decode", "sha256d", "keccak", "blake3", "heavyhash", "ethash", "progpow", "autolykos2",
    "autolykos2-table", "octopus", "fishhash", "dag-build", "equihash", "cuckoo", "scratchpad", "cryptonight",
    "matmul-pow", "matmul-pow-hash", "matmul-pow-noise", "poseidon2", "proof-ntt", "password-md5", "password-sha",
    "zk-ntt", "zk-msm", "zk-poseidon", "aes", "checksum", "hash-table", "hash-join", "dedup", "fhe-ntt", "stencil",
    "fft", "nbody", "monte-carlo", "graph", "sort", "smith-waterman", "spmv", "quantum", "burn-fp32", "burn-tensor",
    "ode",
]  # fmt: skip


def draw(name: str, gpu: Gpu, seeds: int = 12) -> np.ndarray:
    return np.array([activity([name], gpu, np.random.default_rng(seed)).rates[0] for seed in range(seeds)])


def column(rates: np.ndarray, quantity: str) -> np.ndarray:
    return rates[:, list(QUANTITIES).index(quantity)]


def test_parts_are_those_that_schedules_name():
    assert set(PARTS) == set(NAMES)


@pytest.mark.parametrize("gpu", GPUS.values(), ids=lambda gpu: gpu.name)
def test_every_part_has_code_and_activities_within_bounds(gpu):
    made = activity(NAMES, gpu, np.random.default_rng(0))
    assert made.rates.shape == (len(NAMES), len(QUANTITIES))
    assert np.isfinite(made.rates).all()
    assert (made.rates >= 0).all()
    assert (made.rates <= 1).all()
    np.testing.assert_allclose(np.maximum(made.sm_time, made.dram_time), 1, rtol=1e-9)
    assert (made.launch_s > 0).all()
    assert (made.code[:, :2] >= 0).all()
    assert (made.code[:, :2] <= 1).all()
    assert all(code.instructions >= 40 or name for code, name in zip(made.codes, made.names, strict=True))


@pytest.mark.parametrize("name", ["sha256d", "keccak", "blake3", "poseidon2", "password-sha"])
def test_hashes_of_a_header_are_bound_by_integers(name):
    rates = draw(name, H100)
    assert np.median(column(rates, "alu")) > 0.6
    assert column(rates, "dram").max() < 0.1
    assert not column(rates, "tensor_half").any()


@pytest.mark.parametrize("name", ["ethash", "fishhash", "octopus", "gemv-bf16", "elementwise", "optimizer"])
@pytest.mark.parametrize("gpu", [A100, H100], ids=lambda gpu: gpu.name)
def test_what_reads_more_than_it_computes_is_bound_by_memory(name, gpu):
    rates = draw(name, gpu)
    assert np.median(column(rates, "dram")) > 0.7
    assert column(rates, "tensor_half").max() < 0.05


@pytest.mark.parametrize(
    ("name", "pipe"), [("gemm-bf16", "half"), ("gemm-fp8", "fp8"), ("gemm-int8", "int8"), ("matmul-pow", "int8")]
)
def test_products_are_bound_by_their_tensor_pipe(name, pipe):
    rates = draw(name, H100)
    assert np.median(column(rates, f"tensor_{pipe}")) > 0.5
    for other in {"half", "fp8", "int8"} - {pipe}:
        assert not column(rates, f"tensor_{other}").any()


def test_fp64_is_slow_where_lanes_are_few():
    def pace(gpu: Gpu) -> float:
        return float(np.median(column(draw("gemm-fp64", gpu), "issue")))

    assert pace(GPUS["L40S"]) < 0.2 * pace(H100)


def test_unified_lanes_show_half_of_the_integer_work():
    cycles = {gpu.name: dict(zip(PIPES, cycles_of(gpu), strict=True)) for gpu in (H100, B200)}
    assert cycles["H100 SXM"]["alu"] == 2
    assert cycles["B200"]["alu"] == 1


def test_the_same_seed_draws_the_same_code_and_others_draw_others():
    def drawn(seed: int) -> tuple[str, ...]:
        return tuple(
            code.kernel for code in activity(["ethash", "elementwise"], H100, np.random.default_rng(seed)).codes
        )

    assert drawn(4) == drawn(4)
    assert len({drawn(seed) for seed in range(12)}) > 4


def test_no_parts_are_an_idle_job():
    assert activity([], H100, np.random.default_rng(0)).rates.shape == (0, len(QUANTITIES))


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match="H100 SXM"):
        gpu_named("H100")
    with pytest.raises(UsageError, match="sha256d"):
        part_named("sha256")


def test_what_is_said_to_be_assumed_exists():
    assert set(ASSUMED) <= set(Gpu.__dataclass_fields__)
