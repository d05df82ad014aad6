"""The job API over a Unix socket: what is taken, what is refused with which words, who may do what."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from desk_rig import DEMO, NAMES, a_service, ago, demo, job, push
from serve_rig import until

from hashwarden.serve.api.roles import Role
from hashwarden.serve.api.tokens import new_token
from hashwarden.serve.audit.verify import verify_log
from hashwarden.serve.inbox.batch import Limits

ARROW = "application/vnd.apache.arrow.stream"
TRACE = "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A desk for tests that do not mind what others push."""
    with a_service(tmp_path_factory.mktemp("desk"), rows=5000) as found:
        yield found


@pytest.fixture
def rig(service):
    return service[0]


def one(id_, start, row=100, **said):
    """One sample of one job."""
    run = demo()[0]
    return job(run, [row], start - float(run.times[row]), gpu=f"GPU-{id_}", **said) | {"id": id_}


def test_a_backlog_in_one_request_is_judged_whole(rig):
    run = demo()[2]
    status, said = push(rig, [job(run, range(60), ago(61), gpu="GPU-60")], cluster="east", scheduler="slurm")
    assert (status, said["taken"], said["waiting"], said["kept"]) == (200, 60, 0, True)
    (verdict,) = said["verdicts"]
    assert verdict["job"] == f"pushed:east:slurm:{run.name}"
    assert (verdict["gpu"], verdict["state"], verdict["family"]) == ("east/GPU-60", "confirmed", "progpow")
    where = urlencode({"key": verdict["job"], "gpu": verdict["gpu"], "names": "sm_active_ratio"})
    status, page = rig.ask(f"/v1/job/channels?{where}")
    assert status == 200
    assert page["channels"]["sm_active_ratio"] == pytest.approx(
        run.values[:60, NAMES.index("sm_active_ratio")].tolist(), rel=1e-4
    )
    assert page["interval"]["to_unix_s"] <= page["unix_s"][-1] + 1, "on the client's clock"
    assert page["interval"]["from_unix_s"] >= page["unix_s"][0] - 1


def test_what_a_dropped_connection_left_in_doubt_can_be_sent_again(rig):
    body = json.dumps({"jobs": [one("dropped", ago(1))]})
    link = rig.link()
    link.request("POST", "/v1/samples", body, {"Content-Type": "application/json"})
    until(lambda: any(row["id"] == "dropped" for row in rig.ask("/v1/jobs")[1]["jobs"]))
    link.close()  # the answer is never read
    status, said = rig.ask("/v1/samples", "POST", body, Content_Type="application/json")
    assert (status, said["taken"], said["duplicates"]) == (200, 0, 1)
    assert said["verdicts"], "and the answer is the same"


def test_who_goes_at_once_may_or_may_not_have_been_heard_and_counts_once(rig):
    start = ago(60)
    for count in range(1, 9):
        body = json.dumps({"jobs": [one("hurried", start + count)]})
        link = rig.link()
        link.request("POST", "/v1/samples", body, {"Content-Type": "application/json"})
        link.close()
        status, said = rig.ask("/v1/samples", "POST", body, Content_Type="application/json")
        assert (status, said["taken"] + said["duplicates"], said["late"]) == (200, 1, 0)
        where = urlencode({"key": said["verdicts"][0]["job"], "gpu": said["verdicts"][0]["gpu"]})
        assert len(rig.ask(f"/v1/job/channels?{where}")[1]["unix_s"]) == count


def test_gpus_that_are_pushed_go_by_their_names_for_nobody_numbered_them(rig):
    push(rig, [one("named", ago(1))], cluster="north")
    (gpu,) = [row for row in rig.ask("/v1/gpus")[1]["gpus"] if row["gpu"] == "north/GPU-named"]
    assert (gpu["index"], gpu["jobs"]) == (None, ["pushed:north:other:named"])


def test_nobody_has_to_wait(rig):
    status, said = push(rig, [one("hasty", ago(1))], wait=0)
    assert (status, said["taken"], said["kept"], said["verdicts"]) == (202, 1, False, [])


def test_an_unknown_channel_is_told_with_the_nearest(rig):
    bad = one("typo", ago(1))
    bad["samples"][0]["channels"] = {"sm_activ_ratio": 1.0}
    status, said = push(rig, [bad, one("fine", ago(1))])
    assert status == 400
    assert "Did you mean 'sm_active_ratio'?" in said["error"]
    assert not {"typo", "fine"} & {row["id"] for row in rig.ask("/v1/jobs")[1]["jobs"]}, "all or nothing"


@pytest.mark.parametrize(("change", "words"), [
    ({"id": ""}, "at least 1"), ({"id": "x" * 257}, "at most 256"), ({"uid": -2}, "greater than or equal"),
    ({"what": 1}, "not permitted"), ({"user": 7}, "string"), ({"gpus": ["GPU 1"]}, "pattern"),
    ({"samples": [{"gpu": "g@h", "unix_s": 1.0, "channels": {}}]}, "pattern"),
    ({"samples": [{"gpu": "g", "unix_s": "now", "channels": {}}]}, "number"),
    ({"samples": [{"gpu": "g", "unix_s": 1.0, "channels": {"sm_active_ratio": True}}]}, "number"),
    ({"samples": [{"gpu": "g", "unix_s": 12.5, "channels": {}}]}, "30 days"),
    ({"samples": [{"gpu": "g", "unix_s": 1.8e12, "channels": {}}]}, "seconds since 1970"),
])  # fmt: skip
def test_what_cannot_be_meant_is_400_and_says_where(rig, change, words):
    status, said = push(rig, [one("bad", ago(1)) | change])
    assert status == 400
    assert words in said["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"jobs": []}',
                                  b'{"jobs": [{"id": "\\ud800"}]}'])  # fmt: skip
def test_what_is_no_json_is_400(rig, body):
    assert rig.ask("/v1/samples", "POST", body, Content_Type="application/json")[0] == 400


def test_other_kinds_of_body_are_415_and_too_many_samples_413(rig):
    status, said = rig.ask("/v1/samples", "POST", b"x", Content_Type="text/csv")
    assert status == 415
    assert ARROW in said["error"]
    assert rig.ask("/v1/samples", "POST", b"x")[0] == 415
    many = one("many", ago(1))
    many["samples"] = [{"gpu": "g", "unix_s": ago(1), "channels": {}}] * 5001
    assert push(rig, [many])[0] == 413


def test_the_same_job_twice_in_a_request_is_refused(rig):
    assert push(rig, [one("twice", ago(1)), one("twice", ago(0))])[0] == 400


def table(rows, start, options=None, **columns):
    run = demo()[2]
    found = {"id": ["a"] * len(rows), "gpu": pa.array(["GPU-a"] * len(rows)).dictionary_encode(),
             "unix_s": start + run.times[rows], "user": ["eve"] * len(rows)}  # fmt: skip
    found |= {name: run.values[rows, place] for place, name in enumerate(NAMES)} | columns
    made = pa.table({name: column for name, column in found.items() if column is not None})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema, options=options) as writer:
        writer.write_table(made, max_chunksize=20)
    return sink.getvalue().to_pybytes()


def test_an_arrow_stream_says_the_same_as_json(rig):
    rows = np.arange(60)[::-1].copy()  # in any order
    body = table(rows, ago(61))
    status, said = rig.ask("/v1/samples?cluster=arrow&wait=20", "POST", body, Content_Type=ARROW)
    assert (status, said["taken"]) == (200, 60)
    (verdict,) = said["verdicts"]
    assert (verdict["job"], verdict["state"]) == ("pushed:arrow:other:a", "confirmed")
    page = rig.ask(f"/v1/job?key={quote(verdict['job'])}")[1]
    assert (page["user"], page["gpus"]) == ("eve", ["arrow/GPU-a"])


def test_an_arrow_stream_of_something_else_is_refused(rig):
    rows, start = np.arange(3), ago(5)
    cases = {
        "Did you mean": table(rows, start, sm_activ_ratio=np.ones(3)),
        "no column unix_s": table(rows, start, unix_s=None),
        "compressed": table(rows, start, pa.ipc.IpcWriteOptions(compression="zstd")),
        "compressed buffers": table(rows, start, pa.ipc.IpcWriteOptions(compression="lz4")),
        "changes within a job": table(rows, start, user=["eve", "eve", "adam"]),
        "in sm_active_ratio": table(rows, start, sm_active_ratio=["1", "2", "3"]),
        "null or infinite": table(rows, start, unix_s=[start, None, start]),
        "pattern": table(rows, start, gpu=["a@b"] * 3), "over 256": table(rows, start, id=["x" * 300] * 3),
    }  # fmt: skip
    for words, body in cases.items():
        status, said = rig.ask("/v1/samples", "POST", body, Content_Type=ARROW)
        assert (status, words in said["error"]) == (400, True), (words, said)
    many = table(np.zeros(5001, int), start, unix_s=start + 1e-6 * np.arange(5001))
    assert rig.ask("/v1/samples", "POST", many, Content_Type=ARROW)[0] == 413


def test_damaged_tables_are_refused_or_read_and_never_worse(rig):
    good = table(np.arange(3), ago(5), id=["damaged"] * 3)
    random = np.random.default_rng(5)
    stream = [good[:n] for n in range(0, len(good), 499)]
    for _ in range(150):
        copy = bytearray(good)
        for place in random.integers(0, len(good), random.integers(1, 6)):
            copy[place] = random.integers(0, 256)
        stream.append(bytes(copy))
    for body in stream:
        assert rig.ask("/v1/samples?wait=0", "POST", body, Content_Type=ARROW)[0] in (200, 202, 400, 413, 429)
    trace = DEMO.read_bytes()
    for body in (b"PAR1", trace[:5000], trace[:-9] + b"\xff" * 9, bytes(1000)):
        assert rig.ask("/v1/samples?start_unix_s=1&wait=0", "POST", body, Content_Type=TRACE)[0] == 400
    assert rig.ask("/v1/status")[0] == 200


def test_a_trace_is_taken_as_it_is(rig, tmp_path):
    from hashwarden.model.trace import Run
    from hashwarden.model.trace_write import write_runs

    runs = [Run(r.name, r.times[:20], r.values[:20], r.label, r.family, r.strategy, r.info) for r in demo()[:2]]
    write_runs(tmp_path / "t.parquet", runs)
    body = (tmp_path / "t.parquet").read_bytes()
    status, said = rig.ask("/v1/samples", "POST", body, Content_Type=TRACE)
    assert (status, "start_unix_s" in said["error"]) == (400, True), "synthesised: nothing says when it began"
    status, said = rig.ask(f"/v1/samples?start_unix_s={ago(30)}&cluster=t&wait=20", "POST", body, Content_Type=TRACE)
    assert (status, said["taken"], len(said["verdicts"])) == (200, 40, 2)
    status, said = rig.ask(f"/v1/samples?start_unix_s={ago(30)}", "POST", DEMO.read_bytes(), Content_Type=TRACE)
    assert status == 413
    assert pq.ParquetFile(io.BytesIO(body)).metadata.num_rows == 40


def test_when_there_is_no_room_nothing_is_taken_and_the_time_to_come_again_is_told(tmp_path):
    with a_service(tmp_path, Limits(samples=10), start=False) as (rig, desk):
        run = demo()[0]
        assert push(rig, [job(run, range(8), ago(20))], wait=0)[0] == 202
        link = rig.link()
        body = json.dumps({"jobs": [job(run, range(8, 12), ago(20)), one("other", ago(1))]})
        link.request("POST", "/v1/samples?wait=0", body, {"Content-Type": "application/json"})
        answer = link.getresponse()
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
        link.close()
        desk.start()
        until(lambda: not desk.inbox.waiting)
        status, said = rig.ask("/v1/samples", "POST", body, Content_Type="application/json")
        assert (status, said["taken"], said["duplicates"]) == (200, 5, 0), "none of it had been taken"


def test_hostile_names_do_no_harm(rig):
    name = "\x1b]0;owned\x07<script>alert(1)</script>\u202e../../etc/passwd"
    status, said = push(rig, [one("hostile", ago(1), user=name, name=name[::-1]) | {"id": name}], cluster="h")
    assert status == 200
    key = said["verdicts"][0]["job"]
    status, page = rig.ask(f"/v1/job?{urlencode({'key': key})}")
    assert status == 200
    for text in (key, page["id"], page["user"], page["name"]):
        assert text.isprintable()
    assert rig.ask(f"/v1/job?{urlencode({'key': name})}")[0] == 404


def test_a_job_that_is_said_to_be_over_is_among_those_that_ended(rig):
    push(rig, [one("over", ago(1), user="olga")])
    end = json.dumps({"id": "over"})
    status, said = rig.ask("/v1/jobs/end", "POST", end, Content_Type="application/json")
    assert (status, said["waiting"], list(said["verdicts"])) == (200, False, ["GPU-over"])
    assert [row["id"] for row in rig.ask("/v1/ended?user=olga")[1]["jobs"]] == ["over"]
    assert [row["id"] for row in rig.ask("/v1/ended?gpu=GPU-over")[1]["jobs"]] == ["over"]
    assert rig.ask("/v1/jobs/end", "POST", end, Content_Type="application/json")[0] == 404
    assert rig.ask("/v1/jobs/end", "POST", "{}", Content_Type="application/json")[0] == 400


POLICY = """
mode = "enforce"
[[rules]]
name = "miners"
first_warning_minutes = 0.001
cancel_minutes = 0.002
action = "cancel"
act_if_warning_refused = true
"""


def test_a_case_is_opened_approved_and_written_down(tmp_path):
    policy, tokens = tmp_path / "policy.toml", tmp_path / "tokens.json"
    policy.write_text(f'approvers = ["token:approve"]\n{POLICY}')
    push_, read, approve = (new_token(tokens, str(role), [role]) for role in (Role.PUSH, Role.READ, Role.APPROVE))
    stranger = new_token(tokens, "stranger", [Role.APPROVE])
    with a_service(tmp_path, access={"tokens": tokens}, policy=policy, home="") as (rig, _):

        def ask(token, path, method="GET", body=None):
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            return rig.ask(path, method, body, **headers)

        run = demo()[2]
        body = json.dumps({"scheduler": "slurm", "jobs": [job(run, range(120), ago(122), user="mallory", uid=1001)]})
        assert ask(read, "/v1/samples", "POST", body)[0] == 403
        assert ask(push_, "/v1/samples?wait=20", "POST", body)[0] == 200
        assert ask(push_, "/v1/cases")[0] == 403
        until(lambda: ask(read, "/v1/cases")[1]["cases"])
        (case,) = ask(read, "/v1/cases")[1]["cases"]
        assert case["job"]["user"] == "mallory"
        row = next(row for row in ask(read, "/v1/jobs")[1]["jobs"] if row["case"])
        assert (row["case"], row["kind"]) == (case["id"], "slurm")
        where, why = f"/v1/cases/{case['id']}", json.dumps({"reason": "seen \x1b[31mit"})
        assert ask(read, f"{where}/approve", "POST", why)[0] == 403
        status, answer = ask(stranger, f"{where}/approve", "POST", why)
        assert (status, "approvers" in answer["error"]) == (403, True)
        assert ask(read, where)[1]["approval"] is None
        assert [step["name"] for step in ask(read, where)[1]["coming"]][-1] == "act"
        assert ask(approve, f"{where}/approve", "POST", "{}")[0] == 400
        assert ask(approve, "/v1/cases/HW-none/approve", "POST", why)[0] == 404
        status, decided = ask(approve, f"{where}/approve", "POST", why)
        assert (status, decided["approval"]["by"]) == (200, "token:approve")
        assert ask(read, where)[1]["approval"]["reason"] == r"seen \x1b[31mit"
        status, _ = ask(approve, f"{where}/reject", "POST", why)
        assert status in (200, 409)
    records = []
    assert verify_log(tmp_path / "desk" / "audit", seen=records.append).ok
    approvals = [record.body() for record in records if record.kind == "approval"]
    assert approvals[0]["by"] == "token:approve"


def test_slow_and_broken_clients_leave_nothing_behind(rig):
    body = json.dumps({"jobs": [one("half", ago(1))]})
    link = rig.raw()
    link.sendall(f"POST /v1/samples HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n{body[:100]}".encode())  # fmt: skip
    link.close()
    assert rig.ask("/v1/status")[0] == 200
    assert "half" not in {row["id"] for row in rig.ask("/v1/jobs")[1]["jobs"]}


def test_every_reference_of_the_document_leads_somewhere(rig):
    document = rig.ask("/openapi.json")[1]
    text = json.dumps(document)
    assert "$defs" not in text
    for part in text.split('"$ref": "#/')[1:]:
        place = document
        for name in part.partition('"')[0].split("/"):
            place = place[name]
    assert document["paths"]["/v1/samples"]["post"]["requestBody"]["content"].keys() == {
        "application/json",
        ARROW,
        TRACE,
    }


def test_what_an_agent_tells_prometheus_is_told_here(rig):
    push(rig, [one("metrics", ago(1))])
    status, text = rig.ask("/v1/metrics")
    assert status == 200
    assert 'hashwarden_source_events_total{event="samples",source="pushed"}' in text
