"""Faults of GPU counters that were reported, and who deals with each: the validity of samples, or somebody else.

Where the values cannot tell, this says so: a fault that nobody can see must be known by whoever reads a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

__all__ = ["FAULTS", "Fault"]


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """One reported fault.

    Attributes
    ----------
    report : str
        Where it was reported.
    effect : str
        What it does.
    answer : str
        What hashwarden makes of it, and where.
    test : str
        The test in tests/model/test_validity.py that shows it; empty where values cannot show it.
    """

    report: str
    effect: str
    answer: str
    test: str = ""


FAULTS: Final = (
    Fault("NVML, `nvml.h`", "no utilisation for a MIG instance, and power of the whole board",
          "missing, and no loss; power is no witness then", "test_an_idle_mig_instance_on_a_busy_board_is_no_fault"),
    Fault("nvtop issue 110", "garbage utilisation", "out of range; a little above 1 is rounding",
          "test_garbage_utilisation_of_nvtop_issue_110_is_seen_and_rounding_is_forgiven"),
    Fault("guilbaults/slurm-job-exporter issue 30, DCGM `dcgm_structs.h`", "signs for nothing passed on as numbers",
          "sentinel, also after a division and after rounding; 0xFFFFFFFF bytes, 4096 MiB, only the source can tell",
          "test_sentinels_of_dcgm_and_slurm_job_exporter_issue_30_are_seen"),
    Fault("dcgm-exporter issue 662", "GR_ENGINE_ACTIVE is 0 for good after weeks", "dead",
          "test_graphics_active_at_0_for_good_of_dcgm_exporter_issue_662"),
    Fault("dcgm-exporter issue 662, on an idle GPU", "the same, seen only while the GPU works",
          "dead until it shows a value again",
          "test_a_dead_counter_stays_dead_while_the_gpu_rests_and_short_bursts_do_not_hide_it"),
    Fault("dcgm-exporter issues 661 and PR 701", "error -14 of a fractional vGPU as a value", "out of range",
          "test_vgpu_error_codes_passed_on_as_values_are_seen"),
    Fault("dcgm-exporter issue 68", "wrong values after hours on MIG",
          "frozen, dead or impossible ones are noticed; believable wrong ones cannot be seen"),
    Fault("DCGM issue 170", "values come about 300 ms late",
          "below a period of about 1 s a value of DCGM belongs to a moment before that of NVML, and is shown several "
          "times: contradictions count only after 10 s, equal values after 30 s. Verdicts are later by as much"),
    Fault("DCGM issue 56, dcgm-exporter issue 7", "before Hopper one tool at a time may profile: values end",
          "missing, and the group is blind",
          "test_profiling_that_another_tool_takes_away_blinds_the_group_until_it_is_back"),
    Fault("DCGM documentation", "before Hopper groups of fields take turns",
          "not to be seen: a value is the mean of a part of the interval; the synthesised sensors do the same"),
    Fault("DCGM issue 144", "field 1005 hangs an A40 (Xid 119)",
          "not to be seen in values: a source of DCGM fields must not ask an A40 for it; the NVML source never does"),
    Fault("open-gpu-kernel-modules issue 1122", "ratios are of clock cycles, no means over time",
          "marked where the clock moves, kept; means weigh by the clock (`hashwarden.model.weights`), the network "
          "reads the clock beside them", "test_ratios_of_cycles_are_marked_where_the_clock_moves_and_kept"),
    Fault("exporters", "the last scrape is served for ever", "stale where its time is served too, else frozen",
          "test_an_exporter_that_serves_its_last_scrape_for_ever"),
    Fault("exporters", "the same sample is shown twice", "stale, skipped",
          "test_stale_samples_are_skipped_as_if_they_had_not_come"),
    Fault("NVML energy counter", "reset at driver load, 32-bit wrap", "out of range",
          "test_energy_counter_reset_or_wrapped"),
    Fault("NVML PCIe throughput", "garbage, from a look of 20 ms",
          "out of range; a believable wrong one cannot be seen", "test_pcie_garbage"),
    Fault("GPM, `nvml.h`", "all metrics 0 though the GPU works", "dead, and the group is blind",
          "test_all_of_gpm_at_0_while_power_and_utilisation_say_busy"),
    Fault("GPM, `nvml.h`", "the size of its struct depends on the header's version: values of other metrics",
          "the source has room for any driver's and checks the status of each metric; here only impossible values "
          "are noticed"),
    Fault("pynvml PR 48", "structs changed with driver 535", "the source needs nvidia-ml-py 12.535 or newer"),
    Fault("GPM, DCGM issue 196, dcgm-exporter PR 427 and issue 165",
          "nothing before Hopper, on Windows, on a fractional vGPU, without privilege, or with confidential computing",
          "missing; the group was never there, which counts as blind",
          "test_blind_before_any_sample_and_where_a_group_never_came"),
    Fault("dcgm-exporter issue 311, pytorch/ci-infra issue 631", "the exporter eats processor and memory, and dies",
          "not to be seen in values: samples come late or not at all; the age of the last one is for the reader of the "
          "stream to watch"),
    Fault("dcgm-exporter issues 342, 188 and 349, DCGM issue 58", "labels of pods missing, no process on MIG",
          "not to be seen in values: a matter of mapping jobs to GPUs"),
    Fault("nvidia-docker issue 1483, HAMi-core issue 112", "process lists in other PID namespaces",
          "`process_count` is believed as it is: a busy GPU without a process is a sign, not a fault"),
    Fault("CUDA graphs, static libraries", "launches that no tracer sees",
          "a rate of 0 is believed; `code_known_ratio` says how much of the code was judged"),
    Fault("CUPTI", "PM sampling refused, or without GPU_TIME_INTERVAL on Turing and GA100",
          "missing; the source says why"),
    Fault("arXiv 2312.02741", "the power sensor of A100 and H100 sees a quarter of the time",
          "not to be seen in values: `energy_power_ratio` comes from a counter that skips nothing"),
    Fault("`nvml.h`", "utilisation is 1 for any kernel that never ends", "true, and says little: one channel of many"),
    Fault("architectures",
          "Hopper has 64 integer lanes an SM, Blackwell 128 that FP32 shares: other ratios for the same work",
          "not to be seen in values: the network learns from several GPUs and is measured on ones left out"),
    Fault("undocumented", "whether LOP3, SHF and dp4a count as integer, wgmma int8 as IMMA, fp8 as HMMA",
          "kinds of tensor work that are all 0 are no fault",
          "test_fp8_that_counts_as_no_kind_of_tensor_work_is_no_fault"),
)  # fmt: skip
