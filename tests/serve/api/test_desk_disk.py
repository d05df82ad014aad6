"""A desk whose disk is full: it judges on, says that nothing is kept, and keeps all again when there is room."""

import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from desk_rig import a_service, ago, demo, job, push
from serve_rig import until


def _fill(place: Path) -> Path:
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def test_it_judges_on_says_that_nothing_is_kept_and_keeps_it_when_there_is_room(small_disk, tmp_path, monkeypatch):
    disk = small_disk("12m", "desk")
    monkeypatch.setattr("hashwarden.serve.agent.agent.EVIDENCE_EVERY_S", 0.5)
    run, start, sent = demo()[2], ago(100), 0

    def more(count):
        nonlocal sent
        sent += count
        return push(rig, [job(run, range(sent - count, sent), start, gpu="GPU-disk")])

    with a_service(tmp_path) as (rig, _):
        status, said = more(10)
        assert (status, said["kept"]) == (200, True)
        ballast = _fill(disk)
        until(lambda: not more(1)[1]["kept"])  # the last page of a file may have room for some
        status, said = more(50)
        assert (status, said["taken"], said["kept"], said["waiting"]) == (200, 50, False, 0)
        assert said["verdicts"][0]["state"] == "confirmed", "it judges all the same"
        until(lambda: any(blind["kind"] == "storage" for blind in rig.ask("/v1/status")[1]["blind"]))
        ballast.unlink()
        until(lambda: more(1)[1]["kept"])
        until(lambda: not any(blind["kind"] == "storage" for blind in rig.ask("/v1/status")[1]["blind"]))
    with a_service(tmp_path) as (rig, _):
        everything = [job(run, range(sent), start, gpu="GPU-disk")]
        status, said = push(rig, everything)
        assert (status, said["taken"], said["duplicates"]) == (200, 0, sent), "nothing of it is lost"
        assert said["verdicts"][0]["state"] == "confirmed"
