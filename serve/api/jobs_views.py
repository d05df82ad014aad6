"""What the job API shows and has decided: the pages of a node's agent, and its cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from hashwarden.errors import HashwardenError, UsageError
from hashwarden.serve.agent.api import View
from hashwarden.serve.api import jobs_pages as pages
from hashwarden.serve.api.answers import Problem
from hashwarden.serve.api.jobs_bodies import JSON, read_json, schema_of
from hashwarden.serve.api.jobs_models import ReasonIn
from hashwarden.serve.api.roles import Role, identity_of, needs
from hashwarden.serve.policy.approvals import ForbiddenError
from hashwarden.serve.policy.case import Case
from hashwarden.serve.scan.text import printable

__all__ = ["case_routes", "json_body", "page_routes", "says"]

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_CASE: Final = r"^[A-Za-z0-9._-]{1,64}$"

_Key = Annotated[str, Query(min_length=1, max_length=1024, description="The job's key")]
_Gpu = Annotated[str, Query(max_length=256)]
_CaseId = Annotated[str, Path(pattern=_CASE)]

Answers = dict[int | str, dict[str, Any]]


def says(status: int, words: str, model: type[BaseModel] = Problem) -> Answers:
    """What an answer is, for the OpenAPI document."""
    return {status: {"model": model, "description": words}}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """What a body is, likewise."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema_of(model)}}}}


_NO_JOB: Final = says(404, "There is no such job.")
_NO_CASE: Final = says(404, "There is no such case.")
_CANNOT: Final = (
    _NO_CASE
    | says(200, "The case, as it is now.", Case)
    | says(403, "Not by you: the role, or the policy.")
    | says(409, "The case cannot be decided so.")
)


def page_routes(view: View) -> APIRouter:
    """Pages that take the role read."""
    router = APIRouter(prefix="/v1", dependencies=[needs(Role.READ)])

    def page(path: str, model: type[BaseModel], ask: Callable[[], Any], words: str) -> None:
        async def answer() -> JSONResponse:
            return JSONResponse(await run_in_threadpool(ask))

        answer.__doc__ = words
        router.get(path, response_class=JSONResponse, responses=says(200, words, model),
                   name=path[1:])(answer)  # fmt: skip

    page("/status", pages.StatusPage, view.status, "Everything in short.")
    page("/gpus", pages.GpusPage, lambda: {"gpus": list(view.gpus())}, "All GPUs.")
    page("/jobs", pages.JobsPage, lambda: {"jobs": list(view.jobs())}, "All jobs, with their verdicts.")

    @router.get("/ended", response_class=JSONResponse, responses=says(200, "The last to end last.", pages.EndedPage))
    async def ended(gpu: _Gpu = "", user: _Gpu = "") -> JSONResponse:
        """Jobs that ended within a day: on this GPU, of this user, if one is named."""
        return JSONResponse({"jobs": list(await run_in_threadpool(view.ended_jobs, gpu, user))})

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """For Prometheus: what an agent tells, of all jobs of the desk."""
        return Response(await run_in_threadpool(view.metrics), media_type=_TEXT)

    _one_job(router, view)
    return router


def _one_job(router: APIRouter, view: View) -> None:
    @router.get("/job", response_class=JSONResponse, responses=_NO_JOB | says(200, "The job.", pages.JobPage))
    async def job(key: _Key) -> JSONResponse:
        """One job, whole; also one that ended lately."""
        return _found(await run_in_threadpool(view.job, key), key)

    @router.get("/job/channels", response_class=JSONResponse,
                responses=_NO_JOB | says(200, "Its samples.", pages.ChannelsPage))  # fmt: skip
    async def channels(key: _Key, gpu: _Gpu = "", names: Annotated[str, Query(max_length=8192)] = "") -> JSONResponse:
        """The raw samples of a job on a GPU in the last minutes, of all channels or of those that are named."""
        chosen = tuple(name for name in names.split(",") if name)
        return _found(await run_in_threadpool(view.channels, key, gpu, chosen), key)

    @router.get("/job/kernels", response_class=JSONResponse,
                responses=_NO_JOB | says(200, "Its kernels.", pages.KernelsPage))  # fmt: skip
    async def kernels(key: _Key) -> JSONResponse:
        """What a job launched, as far as its machine code is known."""
        return _found(await run_in_threadpool(view.kernels, key), key)


def case_routes(view: View) -> APIRouter:
    """Cases; to decide one takes the role approve."""
    router = APIRouter(prefix="/v1/cases")

    @router.get("", dependencies=[needs(Role.READ)], response_class=JSONResponse,
                responses=says(200, "The cases.", pages.CasesPage))  # fmt: skip
    async def cases() -> JSONResponse:
        """Cases that are open, and the newest of those that are closed."""
        return JSONResponse({"cases": list(await run_in_threadpool(view.cases))})

    @router.get("/{case}", dependencies=[needs(Role.READ)], response_class=JSONResponse,
                responses=_NO_CASE | says(200, "The case.", pages.CasePage))  # fmt: skip
    async def case_page(case: _CaseId) -> JSONResponse:
        """One case, however old."""
        found = await run_in_threadpool(view.case, case)
        if found is None:
            raise HTTPException(404, f"no case is called {case}")
        return JSONResponse(found)

    def decide(word: str) -> None:
        async def decided(request: Request, case: _CaseId) -> JSONResponse:
            reason = read_json(ReasonIn, await request.body()).reason
            by = identity_of(request).name
            return JSONResponse(await run_in_threadpool(_decided, view, case, word, by, reason))

        decided.__doc__ = f"{word.capitalize()} what the case asks for; who did and why goes into the audit log."
        router.post(f"/{{case}}/{word}", dependencies=[needs(Role.APPROVE)], response_class=JSONResponse,
                    responses=_CANNOT, openapi_extra=json_body(ReasonIn), name=word)(decided)  # fmt: skip

    decide("approve")
    decide("reject")
    return router


def _found(page: Mapping[str, Any] | None, key: str) -> JSONResponse:
    if page is None:
        raise HTTPException(404, f"no job is called {printable(key[:200])!r}")
    return JSONResponse(dict(page))


def _decided(view: View, case: str, word: str, by: str, reason: str) -> dict[str, Any]:
    if view.case(case) is None:
        raise HTTPException(404, f"no case is called {case}")
    try:
        return dict(view.decide(case, word, by, printable(reason.strip())))
    except ForbiddenError as error:
        raise HTTPException(403, str(error)) from None
    except UsageError as error:
        raise HTTPException(409, str(error)) from None
    except HashwardenError as error:
        raise HTTPException(503, str(error), {"Retry-After": "5"}) from None
