"""``hashwarden record``: its parameters, handed on as they are."""

from __future__ import annotations

from hashwarden.cli import record_flags as flags

__all__ = ["record_command"]


def record_command(  # noqa: PLR0913, PLR0917
    output: flags.Output,
    gpu: flags.Gpu = None,
    seconds: flags.Seconds = 60.0,
    period: flags.Period = 0.1,
    source: flags.Source = None,
    dcgm_url: flags.DcgmUrl = "",
    prometheus_url: flags.PrometheusUrl = "",
    replay: flags.Replay = None,
    recover: flags.Recover = False,
    label: flags.Label = "",
    family: flags.Family = "",
    strategy: flags.Strategy = "plain",
    labelled_by: flags.LabelledBy = "",
    workload: flags.Workload = "",
    size: flags.Size = "gpu",
    engine: flags.Engine = "auto",
    change: flags.Change = None,
    evasion: flags.Evasion = "",
    evasion_change: flags.EvasionChange = None,
    company: flags.Company = None,
    seed: flags.Seed = 0,
    cut: flags.Cut = 2.0,
    start_limit: flags.StartLimit = 300.0,
    everything: flags.Everything = False,
    plan: flags.PlanFile = None,
    within: flags.Within = "1h",  # type: ignore[assignment]  # its parser reads it
) -> None:
    """Record counters of a GPU to a trace: of a job that runs, or of labelled workloads that this starts.

    Needs the extra 'node'. Example: hashwarden record --gpu 0 --label training --labelled-by operator:jane
    --seconds 600 --output t.parquet
    """
    from hashwarden.cli.run_record import Request, run_record

    run_record(
        Request(
            output=output, gpus=tuple(gpu or ()), seconds=seconds, period_s=period, sources=tuple(source or ()),
            replay=replay, recover=recover, label=label, family=family, strategy=strategy, labelled_by=labelled_by,
            workload=workload, size=size, engine=engine, settings=tuple(change or ()), evasion=evasion,
            evasion_settings=tuple(evasion_change or ()), company=tuple(company or ()), seed=seed, cut_s=cut,
            start_limit_s=start_limit, everything=everything, within_s=within, dcgm_url=dcgm_url,
            prometheus_url=prometheus_url, plan=plan,
        )
    )  # fmt: skip
