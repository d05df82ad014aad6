"""Who asks, and what they may do: the words that every route of the service needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, final

from fastapi import Depends, HTTPException, Request

__all__ = ["IDENTITY", "Identity", "Role", "identity_of", "needs", "widened"]

IDENTITY: Final = "hashwarden.identity"
"""Where the middleware of `hashwarden.serve.api.access` leaves who asks, in the scope of a request."""


class Role(StrEnum):
    """What somebody may do."""

    READ = "read"
    """See metadata, have samples scored, read verdicts and cases."""
    PUSH = "push"
    """Hand in samples of jobs."""
    APPROVE = "approve"
    """Decide cases, which includes to read them."""
    ADMIN = "admin"
    """All."""


_MEANS: Final = {Role.APPROVE: (Role.READ,), Role.ADMIN: tuple(Role)}


@final
@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who was recognised.

    Attributes
    ----------
    name : str
        For logs, limits and the audit log: ``alice`` as the kernel says, ``token:slurm``, ``DNS:sched.example.org``.
    roles : frozenset of Role
        With those that others include.
    """

    name: str
    roles: frozenset[Role]


def widened(roles: Iterable[str]) -> frozenset[Role]:
    """The roles, with what they include."""
    found = {Role(role) for role in roles}
    return frozenset(found.union(*(_MEANS.get(role, ()) for role in found)))


def identity_of(request: Request) -> Identity:
    """Who asks; nobody is let through to a route without having been recognised.

    Raises
    ------
    HTTPException
        401, where the application runs without its middleware.
    """
    found = request.scope.get(IDENTITY)
    if not isinstance(found, Identity):
        raise HTTPException(401, "who asks is not known")
    return found


def needs(role: Role) -> Any:  # noqa: ANN401  what Depends gives is for FastAPI alone
    """What a route or a router depends on that not everybody may ask: ``dependencies=[needs(Role.PUSH)]``."""

    async def check(request: Request) -> None:  # async: FastAPI would give a plain function to another thread
        identity = identity_of(request)
        if role not in identity.roles:
            raise HTTPException(403, f"{identity.name} may not: this takes the role {role.value!r}")

    return Depends(check)
