"""The job API: push samples, say that a job is over, read verdicts, decide cases. Pages are those of a node's agent.

Reading takes the role read, pushing push, deciding approve. What asks the agent runs in a thread: it may wait.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from hashwarden.serve.agent.api import View
from hashwarden.serve.api import jobs_pages as pages
from hashwarden.serve.api.jobs_bodies import ARROW, JSON, PARQUET, Told, batch_of, read_json, schema_of
from hashwarden.serve.api.jobs_models import CLUSTER, SCHEDULER, EndIn, SamplesIn
from hashwarden.serve.api.jobs_views import case_routes, json_body, page_routes, says
from hashwarden.serve.api.limits import only_waits
from hashwarden.serve.api.roles import Role, needs
from hashwarden.serve.inbox.batch import InboxClosedError, InboxFullError, Ticket
from hashwarden.serve.inbox.inbox import Inbox
from hashwarden.serve.inbox.jobs import key_of
from hashwarden.serve.scan.text import printable

__all__ = ["jobs_router"]

_MOST_WAIT_S: Final = 30.0
_WAIT_S: Final = 5.0

_Wait = Annotated[float, Query(ge=0, le=_MOST_WAIT_S, description="Seconds to wait for the verdicts; 0: 202 at once")]
_Cluster = Annotated[str, Query(pattern=CLUSTER, description="For tables: as cluster in JSON")]
_Scheduler = Annotated[str, Query(pattern=SCHEDULER, description="For tables: as scheduler in JSON")]
_Start = Annotated[
    float | None,
    Query(allow_inf_nan=False, description="For traces: when the runs began that do not say so, seconds since 1970"),
]

_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": schema_of(SamplesIn)}}
        | {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (ARROW, PARQUET)},
    }
}
_TAKEN: Final = (
    says(200, "All were judged; the verdicts are those after them.", pages.Taken)
    | says(202, "They are taken, and not all are judged yet.", pages.Taken)
    | says(415, "Neither JSON nor a table.")
    | says(429, "There is no room; nothing was taken. Retry-After tells when there may be.")
)
_NO_JOB: Final = says(404, "There is no such job.")


def jobs_router(view: View, inbox: Inbox, rows: int = 65_536) -> APIRouter:
    """Make the routes.

    Parameters
    ----------
    view : View
        What the agent shows.
    inbox : Inbox
        Its inbox.
    rows : int
        Most samples of one request.
    """
    router = APIRouter(tags=["jobs"])
    router.include_router(page_routes(view))
    router.include_router(case_routes(view))
    router.include_router(_pushing(view, inbox, rows))
    return router


def _pushing(view: View, inbox: Inbox, rows: int) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[needs(Role.PUSH)])

    @router.post("/samples", response_class=JSONResponse, responses=_TAKEN, openapi_extra=_BODY)
    async def push(
        request: Request, wait: _Wait = _WAIT_S, cluster: _Cluster = "", scheduler: _Scheduler = "other",
        start_unix_s: _Start = None,
    ) -> JSONResponse:  # fmt: skip
        """Hand in samples of jobs: all of a request are taken, or none.

        As JSON; as an Arrow stream with the columns id, gpu, unix_s, what else is known of jobs, and channels; or as a
        trace (Parquet), in which each run is a job.
        """
        kind, told = request.headers.get("content-type", ""), Told(cluster, scheduler, start_unix_s, rows)
        body = await request.body()
        batch = await run_in_threadpool(batch_of, kind, body, told)
        ticket = await run_in_threadpool(_put, inbox, batch)
        done = await _judged(request, ticket, wait)
        answer = {name: getattr(ticket, name) for name in ("taken", "duplicates", "late", "jumps")}
        answer |= {"waiting": 0, **done} if done is not None else {"waiting": ticket.left, "kept": False}
        return JSONResponse({"verdicts": [], **answer}, 202 if done is None else 200)

    @router.post("/jobs/end", response_class=JSONResponse, openapi_extra=json_body(EndIn),
                 responses=_NO_JOB | says(200, "It is over, or will be.", pages.Finished))  # fmt: skip
    async def end(request: Request, wait: _Wait = _WAIT_S) -> JSONResponse:
        """Say that a job is over: what waits of it is judged first."""
        asked = read_json(EndIn, await request.body())
        key = key_of(asked.cluster, asked.scheduler, asked.id)
        ticket = await run_in_threadpool(inbox.end, key)
        if ticket is None:
            raise HTTPException(404, f"no job is called {printable(key)!r}")
        done = await _judged(request, ticket, wait)
        page = await run_in_threadpool(view.job, key)
        verdicts = {} if page is None else page["verdicts"]
        return JSONResponse({"job": key, "waiting": done is None, "verdicts": verdicts})

    return router


def _put(inbox: Inbox, batch: Any) -> Ticket:  # noqa: ANN401
    try:
        return inbox.put(batch)
    except InboxFullError as error:
        raise HTTPException(429, str(error), {"Retry-After": str(math.ceil(error.retry_s))}) from None
    except InboxClosedError as error:
        raise HTTPException(503, str(error), {"Retry-After": "5"}) from None


async def _judged(request: Request, ticket: Ticket, wait_s: float) -> Mapping[str, Any] | None:
    """What the agent says when all of a request was judged; None if that takes longer."""
    if not wait_s:
        return None
    only_waits(request.scope)
    waited = asyncio.wrap_future(ticket.done)
    done, _ = await asyncio.wait({waited}, timeout=wait_s)
    if not done:
        waited.add_done_callback(lambda late: late.exception())  # nobody asks any more
        return None
    try:
        return waited.result()  # type: ignore[no-any-return]
    except InboxClosedError as error:
        raise HTTPException(503, str(error), {"Retry-After": "5"}) from None
