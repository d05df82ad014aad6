"""Whom the kernel or TLS names: the user at the other end of a Unix socket, the names in a client's certificate."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, final

from hashwarden.serve.api.roles import Identity, Role, widened

__all__ = ["PEER", "Peer", "Users", "certified", "peer_of"]

PEER: Final = "hashwarden.peer"
"""Where the server leaves a `Peer` in the extensions of a request's scope; absent under other servers."""

_KEPT_S: Final = 30.0
"""A user who is put into a group has its roles after so long."""
_MOST: Final = 4096

_NOBODY: Final[frozenset[Role]] = frozenset()


@final
@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection.

    Attributes
    ----------
    local : bool
        Whether it is a Unix socket.
    uid, gid : int
        As the kernel says; -1 where it does not.
    names : tuple of str
        Of a client's certificate that was verified: ``DNS:…``, ``URI:…``, or ``CN:…`` if there are no others.
    """

    local: bool = False
    uid: int = -1
    gid: int = -1
    names: tuple[str, ...] = ()


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Who is at the other end of an asyncio connection."""
    link = transport.get_extra_info("socket")
    if link is not None and link.family == socket.AF_UNIX:
        raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, gid = struct.unpack("3i", raw)
        return Peer(True, uid, gid)
    certificate = transport.get_extra_info("peercert")
    return Peer(names=_names(certificate) if certificate else ())


def _names(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """The form is that of `ssl.SSLSocket.getpeercert`."""
    found = tuple(f"{kind}:{name}" for kind, name in certificate.get("subjectAltName", ()) if kind in ("DNS", "URI"))
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return found or tuple(f"CN:{name}" for name in common[:1])


def certified(names: Sequence[str], known: Mapping[str, Sequence[str]]) -> Identity | None:
    """Who a certificate names, if one of its names is known; with the roles of that one name."""
    name = next((name for name in names if name in known), None)
    return None if name is None else Identity(name, widened(known[name]))


@final
class Users:
    """Roles of users of this machine.

    Parameters
    ----------
    roles : mapping of str to sequence of str
        Users, ``@group``, ``*`` for anybody. Root is admin, and so is the user who runs this: he could as well read
        its memory.
    """

    def __init__(self, roles: Mapping[str, Sequence[str]]) -> None:
        self._roles = {name: widened(given) for name, given in roles.items()}
        self._known: dict[tuple[int, int], tuple[float, Identity | None]] = {}

    async def identity(self, peer: Peer) -> Identity | None:
        """Who this is; None if there is nothing that he may do."""
        key, now = (peer.uid, peer.gid), time.monotonic()
        kept = self._known.get(key)
        if kept is not None and now - kept[0] < _KEPT_S:
            return kept[1]
        found = await asyncio.to_thread(self._find, peer)  # a directory service may take its time
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = now, found
        return found

    def _find(self, peer: Peer) -> Identity | None:
        if peer.uid < 0:
            return None
        name = _name_of(peer.uid)
        if peer.uid in (0, os.geteuid()):
            return Identity(name, widened([Role.ADMIN]))
        called = [name, "*", *(f"@{group}" for group in _groups_of(name, peer.gid))]
        roles = _NOBODY.union(*(self._roles.get(each, _NOBODY) for each in called))
        return Identity(name, roles) if any(each in self._roles for each in called) else None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _groups_of(name: str, gid: int) -> set[str]:
    found = set()
    for number in {gid, *os.getgrouplist(name, gid)}:
        with suppress(KeyError):
            found.add(grp.getgrgid(number).gr_name)
    return found
