"""What the tables of sources, providers and schedulers have in common."""

from __future__ import annotations

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.jobs.registry import PROVIDERS, find_provider
from hashwarden.serve.registry import chosen
from hashwarden.serve.schedulers.registry import SCHEDULERS, find_scheduler
from hashwarden.serve.sources.registry import SOURCES, find_source


@pytest.mark.parametrize(
    ("table", "find", "what"),
    [(SOURCES, find_source, "source"), (PROVIDERS, find_provider, "provider of jobs"),
     (SCHEDULERS, find_scheduler, "scheduler")],
)  # fmt: skip
def test_what_there_is_is_found_and_what_there_is_not_is_told(table, find, what):
    assert [find(one.name) for one in table] == list(table)
    with pytest.raises(UsageError, match=f"no {what} is called 'x'; expected one of {table[0].name}, ") as told:
        find("x")
    assert table[-1].name in str(told.value)


def test_the_order_is_that_of_the_table_and_nothing_is_there_twice():
    assert [one.name for one in chosen(PROVIDERS, ("sessions", "slurm", "slurm"), "provider")] == ["slurm", "sessions"]
    assert chosen(PROVIDERS, (), "provider") == [one for one in PROVIDERS if one.default]
    with pytest.raises(UsageError, match="no provider is called 'x'"):
        chosen(PROVIDERS, ("slurm", "x"), "provider")
