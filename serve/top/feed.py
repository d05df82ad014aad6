"""What several agents or services say, read at once; one that does not answer is told, and keeps its last words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final, final
from urllib.parse import quote

from hashwarden.errors import HashwardenError
from hashwarden.serve.agent_client import Peer, answered, ask
from hashwarden.serve.top.rows import mapping

__all__ = ["PAGES", "TIMEOUT_S", "Feed", "Node"]

PAGES: Final = ("status", "gpus", "jobs", "cases")
TIMEOUT_S: Final = 5.0
_AT_ONCE: Final = 8


@final
@dataclass(frozen=True, slots=True)
class Node:
    """What one of them said last.

    Attributes
    ----------
    peer : Peer
    pages : mapping of str to mapping
        By name of `PAGES`; empty if it never answered.
    ended : mapping
        ``/v1/ended``, if it was asked for.
    read_s : float
        When, in the clock of `Feed`; -inf for never.
    error : HashwardenError or None
        Why there was no answer at the last try.
    hangs : bool
        It answers, and says itself that it does not tick.
    """

    peer: Peer
    pages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ended: Mapping[str, Any] = field(default_factory=dict)
    read_s: float = float("-inf")
    error: HashwardenError | None = None
    hangs: bool = False

    @property
    def name(self) -> str:
        """The node's name as it says, else where it is asked."""
        return str(mapping(self.pages.get("status")).get("node") or self.peer.where)


@final
class Feed:
    """Reads.

    Parameters
    ----------
    peers : sequence of Peer
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, peers: Sequence[Peer], clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._nodes = {peer.where: Node(peer) for peer in peers}

    @property
    def nodes(self) -> list[Node]:
        """As they were read last."""
        return list(self._nodes.values())

    def read(self, *, ended: bool = False) -> list[Node]:
        """Ask all of them; none raises."""
        nodes = self.nodes
        if len(nodes) == 1:
            found = [self._one(nodes[0], ended=ended)]
        else:
            with ThreadPoolExecutor(min(_AT_ONCE, len(nodes))) as pool:
                found = list(pool.map(lambda node: self._one(node, ended=ended), nodes))
        self._nodes = {node.peer.where: node for node in found}
        return found

    def _one(self, node: Node, *, ended: bool) -> Node:
        try:
            hangs = _hangs(node.peer)
            pages = {name: _page(node.peer, name) for name in PAGES}
            over = _page(node.peer, "ended") if ended else node.ended
        except HashwardenError as error:
            return replace(node, error=error)
        return replace(node, pages=pages, ended=over, read_s=self.clock(), error=None, hangs=hangs)

    def job(self, node: str, key: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """One job, and its kernels; empty where the other side has no such page.

        Raises
        ------
        HashwardenError
            If there is no such job, or no answer.
        """
        peer, query = self._nodes[node].peer, f"key={quote(key, safe='')}"
        status, kernels = answered(peer, "GET", f"/v1/job/kernels?{query}", timeout_s=TIMEOUT_S)
        return ask(peer, "GET", f"/v1/job?{query}", timeout_s=TIMEOUT_S), kernels if status == HTTPStatus.OK else {}

    def decide(self, node: str, case: str, word: str, reason: str) -> Mapping[str, Any]:
        """Approve or reject.

        Raises
        ------
        HashwardenError
            If it cannot be, may not be, or there is no answer.
        """
        page = f"/v1/cases/{quote(case, safe='')}/{word}"
        return ask(self._nodes[node].peer, "POST", page, {"reason": reason}, timeout_s=TIMEOUT_S)


def _hangs(peer: Peer) -> bool:
    status, found = answered(peer, "GET", "/healthz", timeout_s=TIMEOUT_S)
    return status == HTTPStatus.SERVICE_UNAVAILABLE and found.get("alive") is False


def _page(peer: Peer, name: str) -> Mapping[str, Any]:
    """A page; one that only newer agents have is empty."""
    status, found = answered(peer, "GET", f"/v1/{name}", timeout_s=TIMEOUT_S)
    if status == HTTPStatus.NOT_FOUND and name in ("gpus", "ended"):
        return {}
    return found if status == HTTPStatus.OK else mapping(ask(peer, "GET", f"/v1/{name}", timeout_s=TIMEOUT_S))
