"""The lines of an answer and its body leave together, and nothing of an answer is lost or late."""

from __future__ import annotations

import asyncio

from hashwarden.serve.api.wire import Joined


class Recorder:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> str:
        return name


def written(*steps: str | bytes | None) -> tuple[list[bytes], bool]:
    """What comes of writes, a close, and (None) turns of the loop."""

    async def run() -> Recorder:
        under = Recorder()
        joined = Joined(under, asyncio.get_running_loop())  # type: ignore[arg-type]
        for step in steps:
            if step is None:
                await asyncio.sleep(0)
            elif isinstance(step, bytes):
                joined.write(step)
            else:
                (under if step == "lost" else joined).close()
        await asyncio.sleep(0)
        assert joined.get_extra_info("peername") == "peername"
        return under

    found = asyncio.run(run())
    return found.written, found.closed


def test_lines_and_body_are_one_write():
    assert written(b"lines", b"body") == ([b"linesbody"], False)
    assert written(b"lines", b"") == ([b"lines"], False)


def test_what_follows_is_written_as_it_comes():
    assert written(b"lines", b"one", b"two", None, b"three") == ([b"linesone", b"two", b"three"], False)


def test_lines_whose_body_is_late_go_by_themselves():
    assert written(b"lines", None, b"body") == ([b"lines", b"body"], False)
    assert written(b"lines") == ([b"lines"], False)


def test_nothing_is_lost_at_the_end_and_nothing_is_written_after_it():
    assert written(b"lines", b"body", "close") == ([b"linesbody"], True)
    assert written(b"lines", "close") == ([b"lines"], True)
    assert written(b"lines", "lost") == ([], True)
