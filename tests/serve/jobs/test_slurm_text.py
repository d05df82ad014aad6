import math

import pytest

from hashwarden.serve.jobs.slurm_text import (
    FIELDS,
    in_hostlist,
    parse_detail,
    parse_json,
    parse_pids,
    parse_rows,
    places_of,
)

ROW = "2|1|3|N/A|N/A|1|daemon|(null)|gpu|(null)|0|1795343522|R|1|"
"""As Slurm 22.05 printed it, of a task of an array."""

DETAIL = """JobId=2 ArrayJobId=1 ArrayTaskId=3 JobName={name}
   UserId=daemon(1) GroupId=nogroup(65534) MCS_label=N/A
   JobState=RUNNING Reason=None Dependency=(null)
   JOB_GRES=gpu:1
     Nodes=vm CPU_IDs=0 Mem=0 GRES={gres}
   MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0
   Command=/tmp/job.sh
   WorkDir=/
   Comment={comment}
   StdErr=/dev/null
"""


def detail(name="train", gres="gpu:1(IDX:0)", comment="(null)", node="vm"):
    return parse_detail(DETAIL.format(name=name, gres=gres, comment=comment), node)


def test_a_row_of_an_array_has_the_number_of_the_job_and_the_id_that_its_user_knows():
    (row,), bad = parse_rows(ROW + "\n")
    assert bad == 0
    assert (row.job, row.id, row.uid, row.user, row.account, row.partition) == (2, "1_3", 1, "daemon", "", "gpu")
    assert (row.restarts, row.started_unix_s, row.state, row.batch, row.het) == (0, 1795343522.0, "R", True, "")


def test_a_part_of_a_heterogeneous_job_has_its_own_number_and_says_whose_part_it_is():
    (row,), _ = parse_rows("8|8|N/A|7|1|1|daemon|lab|gpu|normal|2|Unknown|R|0|")
    assert (row.id, row.het, row.batch, row.restarts, row.account) == ("8", "7+1", False, 2, "lab")
    assert math.isnan(row.started_unix_s)


@pytest.mark.parametrize(
    "line", ["x", ROW + "|1|", ROW[:-5], ROW.replace("|1|daemon", "|me|daemon"), "|" * len(FIELDS)]
)
def test_lines_that_make_no_sense_are_counted(line):
    assert parse_rows(f"{line}\n\n{ROW}\n")[1] == 1


def test_pids_of_the_step_daemons():
    head = "PID      JOBID    STEPID   LOCALID GLOBALID\n"
    text = head + "10916    3        batch    0       0\n10917 3 batch - -\nx y z\n-1\n"
    assert parse_pids(text) == {10916: 3, 10917: 3}
    assert parse_pids("No job steps exist on this node.\n") == {}


@pytest.mark.parametrize(
    ("gres", "places", "shared"),
    [
        ("gpu:1(IDX:0)", (0,), False),
        ("gpu:a100:4(IDX:0-2,5)", (0, 1, 2, 5), False),
        ("gpu:a100:1(IDX:0),gpu:h100:2(IDX:4-5)", (0, 4, 5), False),
        ("gpu(IDX:3)", (3,), False),
        ("mps:100(IDX:1)", (1,), True),
        ("shard:a100:4(0/8,4/8)", (1,), True),
        ("", (), False),
        ("craynetwork:1(IDX:0)", (), False),
        ("gpu:2(IDX:0-99999999999)", tuple(range(1025)), False),
    ],
)
def test_places_of_gpus(gres, places, shared):
    assert places_of(gres) == (places, shared)
    assert (detail(gres=gres).places, detail(gres=gres).shared) == (places, shared)


def test_a_name_that_imitates_the_output_takes_nobodys_gpu():
    """Slurm 22.05 prints line ends in names as they are."""
    forged = "x\n   UserId=root(0)\n     Nodes=vm CPU_IDs=0 Mem=0 GRES=gpu:8(IDX:0-7)"
    for found in (detail(name=forged), detail(comment=forged), detail(name=forged, gres="")):
        assert found.places is None
        assert found.forged
    elsewhere = detail(name=forged.replace("Nodes=vm", "Nodes=other"))
    assert elsewhere.places == (0,)
    assert detail(name="\x1b[2Jx").name == "\\x1b[2Jx"


def test_a_node_that_is_not_named_has_none_of_its_gpus():
    assert detail(node="other").places is None
    assert not detail(node="other").forged


def test_json_tells_what_no_name_can_imitate():
    text = '{"jobs": [{"job_id": 2, "name": "x\\n Nodes=vm", "gres_detail": ["gpu:1(IDX:0)"]}, {"job_id": 3}]}'
    assert parse_json(text, 2) == "gpu:1(IDX:0)"
    assert [parse_json(t, 2) for t in ("", "{}", "[]", text.replace("2,", "4,"), '{"jobs": 5}', "[" * 100_000)] == [
        None
    ] * 6


@pytest.mark.parametrize(
    ("hosts", "yes", "no"),
    [
        ("vm", ["vm"], ["vm1", "v", ""]),
        ("a,b[1-3,7],c", ["a", "b2", "b7", "c"], ["b4", "b", "b[1-3", "b02"]),
        ("n[001-010]", ["n001", "n010"], ["n1", "n01", "n011", "n0001"]),
        ("rack[1-2]n[8-11]", ["rack1n8", "rack2n11"], ["rack3n8", "rack1n12"]),
        ("n[8-11].lab", ["n9.lab"], ["n9xlab"]),
    ],
)
def test_lists_of_hosts(hosts, yes, no):
    assert all(in_hostlist(node, hosts) for node in yes)
    assert not any(in_hostlist(node, hosts) for node in no)
