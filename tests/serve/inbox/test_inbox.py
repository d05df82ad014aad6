"""The inbox: whole batches or nothing, in order, bounded; whose a job is, and when it is over."""

import time

import numpy as np
import pytest

from hashwarden.errors import LimitError, UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.inbox.batch import Batch, InboxClosedError, InboxFullError, Limits, Part
from hashwarden.serve.inbox.inbox import Inbox
from hashwarden.serve.inbox.jobs import MOST_WORD, Facts, key_of
from hashwarden.serve.sources.registry import find_source
from hashwarden.serve.sources.source import NoData, Options


class Box:
    """An inbox with clocks that stand still, and an agent that judges all it is offered."""

    def __init__(self, **limits):
        self.now = 1000.0
        self.inbox = Inbox(Limits(**limits), None, lambda: self.now, lambda: 1.8e9 + self.now)

    def put(self, *jobs):
        facts, parts = [], []
        for place, (said, samples) in enumerate(jobs):
            facts.append(said)
            for gpu, times in samples.items():
                values = np.full((len(times), len(CHANNELS)), 0.5, np.float32)
                values[:, 0] = times
                parts.append(Part(place, gpu, 1.8e9 + np.array(times, np.float64), values))
        return self.inbox.put(Batch(tuple(facts), tuple(parts)))

    def step(self, judged=lambda *_: True):
        self.inbox.take()
        found = self.inbox.readings()
        return found, self.inbox.settle(judged)


def test_two_clusters_with_the_same_job_never_meet():
    box = Box()
    box.put((Facts("7", "a", "slurm"), {"GPU-0": [999]}))
    box.put((Facts("7", "b", "slurm"), {"GPU-0": [999]}))
    readings, _ = box.step()
    assert {(one.job, one.gpu) for one in readings} == {
        ("pushed:a:slurm:7", "a/GPU-0"),
        ("pushed:b:slurm:7", "b/GPU-0"),
    }
    assert [len(jobs) for jobs in box.inbox.ledger.on.values()] == [1, 1], "neither shares its GPU with the other"


@pytest.mark.parametrize(("one", "other"), [
    (("a", "b", "c:d"), ("a", "b:c", "d")), (("", "slurm", "1"), ("slurm", "", "1")),
    (("a", "s", "%3A"), ("a", "s", ":")),
    (("a", "s", "x" * 300), ("a", "s", "x" * 301)), (("a", "s", "\u00e9" * 200), ("a", "s", "\u00e9" * 199 + "e")),
])  # fmt: skip
def test_keys_are_unambiguous_and_fit_for_a_log(one, other):
    assert key_of(*one) != key_of(*other)
    for key in (key_of(*one), key_of(*other)):
        assert key.isascii()
        assert key.isprintable()
        assert "@" not in key
        assert "/" not in key
        assert len(key) < 250


def test_hostile_words_are_made_printable_and_short():
    job = Facts("1\x1b[2J\n", user="\u202eroot", name="x" * 1000, account="a\x00b").job((), None)
    assert job.kind == "pushed"
    for text in (job.key, job.id, job.user, job.name, job.account):
        assert text.isprintable()
        assert len(text) <= 2 * MOST_WORD


def test_only_jobs_of_the_scheduler_at_home_can_be_acted_on():
    assert Facts("1", "east", "slurm").job((), "east").kind == "slurm"
    assert Facts("1", "west", "slurm").job((), "east").kind == "pushed", "its number means another job here"
    assert Facts("1", "", "slurm").job((), None).kind == "pushed"
    assert Facts("1", "", "slurm").job((), "").kind == "slurm"
    assert Facts("1", "", "kubernetes").job((), "").kind == "pushed"


def test_a_backlog_comes_out_one_by_one_in_order_and_none_is_lost():
    box = Box()
    ticket = box.put((Facts("1"), {"GPU-0": range(900, 960), "GPU-1": [901, 903]}))
    seen, finished = {"GPU-0": [], "GPU-1": []}, []
    while box.inbox.waiting:
        readings, done = box.step()
        assert len({one.gpu for one in readings}) == len(readings), "one of each"
        for one in readings:
            seen[one.gpu].append(one.values[CHANNELS[0].name])
        finished += done
    assert seen == {"GPU-0": list(range(900, 960)), "GPU-1": [901, 903]}
    assert finished == [ticket]
    assert box.inbox.counts["samples"] == 62


def test_what_was_not_judged_is_offered_again():
    box = Box()
    box.put((Facts("1"), {"GPU-0": [1, 2]}))
    first, finished = box.step(lambda *_: False)
    again, _ = box.step(lambda *_: False)
    assert [one.time_s for one in first] == [one.time_s for one in again]
    assert not finished
    assert box.inbox.waiting == 2
    box.step()
    third, finished = box.step()
    assert third[0].time_s == first[0].time_s + 1
    assert len(finished) == 1


def test_a_request_that_does_not_fit_changes_nothing():
    box = Box(samples=10, jobs=2, gpus=3)
    box.put((Facts("1"), {"GPU-0": range(8)}))
    before = (box.inbox.waiting, set(box.inbox.ledger.jobs), box.inbox.ledger.gpus)
    for jobs in (
        [(Facts("2"), {"GPU-1": range(3)})], [(Facts("2"), {}), (Facts("3"), {})],
        [(Facts("2", gpus=("a", "b", "c")), {})], [(Facts("1"), {"GPU-0": [8, 9], "GPU-2": [1]})],
    ):  # fmt: skip
        with pytest.raises(InboxFullError) as caught:
            box.put(*jobs)
        assert caught.value.retry_s >= 1
        assert (box.inbox.waiting, set(box.inbox.ledger.jobs), box.inbox.ledger.gpus) == before
    with pytest.raises(LimitError, match="in one request"):
        box.put((Facts("2"), {"GPU-1": range(11)}))
    box.step()
    assert box.put((Facts("1"), {"GPU-0": [8, 9]})).taken == 2, "refused samples were not remembered as seen"


@pytest.mark.parametrize("at", [1000 + 61, 1000 * 1.8e9, float("inf"), float("nan"), -1.8e9, 1000 - 31 * 86_400])
def test_times_that_cannot_be_are_refused(at):
    box = Box()
    with pytest.raises(UsageError, match="seconds since 1970"):
        box.put((Facts("1"), {"GPU-0": [at]}))
    assert not box.inbox.ledger.jobs


def test_a_job_ends_after_its_last_sample_and_late_words_do_not_wake_it():
    box = Box()
    box.put((Facts("1"), {"GPU-0": [1, 2]}))
    assert box.inbox.end("pushed::other:none") is None
    ender = box.inbox.end("pushed::other:1")
    box.step()
    assert box.inbox.ledger.jobs, "a sample waits"
    _, finished = box.step()
    assert box.inbox.ledger.jobs or ender in finished
    _, more = box.step()
    assert ender in (*finished, *more)
    assert not box.inbox.ledger.jobs
    assert not box.inbox.ledger.on
    again = box.put((Facts("1"), {"GPU-0": [1, 2]}))
    assert (again.taken, again.duplicates) == (0, 2)
    assert not box.inbox.ledger.jobs
    assert box.put((Facts("1"), {"GPU-0": [3]})).taken == 1, "requeued: a new life"
    assert box.inbox.ledger.jobs


def test_a_silent_job_is_over_after_a_while_and_loses_its_gpu_sooner():
    box = Box(silent_s=900, left_s=60)
    box.put((Facts("old"), {"GPU-0": [1000], "GPU-1": [1000]}))
    box.step()
    box.now += 50
    box.put((Facts("new"), {"GPU-0": [1050]}))
    box.step()
    assert len(box.inbox.ledger.on["GPU-0"]) == 2, "it may have paused"
    box.now += 20
    box.put((Facts("new"), {"GPU-0": [1070]}))
    box.step()
    assert [job.id for job in box.inbox.ledger.on["GPU-0"]] == ["new"]
    assert [job.id for job in box.inbox.ledger.on["GPU-1"]] == ["old"]
    box.put((Facts("old"), {"GPU-0": [1070]}))
    box.step()
    assert len(box.inbox.ledger.on["GPU-0"]) == 2, "it speaks again"
    box.now += 901
    box.step()
    assert not box.inbox.ledger.jobs
    assert box.inbox.counts["silent"] == 2


def test_what_is_left_out_stays_as_it_was_said_before():
    box = Box()
    box.put((Facts("1", user="eve", uid=0, account="ml", gpus=("GPU-1",)), {"GPU-0": [1]}))
    box.step()
    box.put((Facts("1", account="hpc", gpus=("GPU-2",)), {}))
    box.step()
    (job,) = {job.key: job for jobs in box.inbox.ledger.on.values() for job in jobs}.values()
    assert (job.user, job.uid, job.account) == ("eve", 0, "hpc")
    assert set(job.gpus) == {"GPU-0", "GPU-1", "GPU-2"}


def test_jobs_and_their_times_outlive_a_restart():
    box = Box()
    box.put((Facts("1", "c", user="eve", uid=0), {"GPU-0": [1, 2, 3]}))
    box.step()
    jobs, waiting = box.inbox.kept()
    assert [len(part.unix) for batch in waiting for part in batch.parts] == [2]
    other = Box()
    other.inbox.take_up([*jobs, {"facts": {}}, {"facts": {"id": "x", "what": 1}, "done": {}}])
    assert other.inbox.ledger.jobs["pushed:c:other:1"].facts == Facts("1", "c", user="eve", uid=0)
    ticket = other.put((Facts("1", "c"), {"GPU-0": [1, 2, 3]}))
    assert (ticket.taken, ticket.duplicates) == (2, 1)


def test_a_closed_inbox_takes_nothing_and_wakes_who_waits():
    box = Box()
    box.inbox.close("the desk ends")
    with pytest.raises(InboxClosedError, match="the desk ends"):
        box.put((Facts("1"), {}))
    box.inbox.wake()
    start = time.monotonic()
    box.inbox.wait(20)
    assert time.monotonic() - start < 20


def test_the_source_needs_an_inbox():
    with pytest.raises(UsageError, match="hashwarden serve"):
        find_source("pushed").make(Options())
    source = find_source("pushed").make(Options(inbox=Inbox()))
    assert source.open() == ()
    with pytest.raises(NoData):
        source.read()
