"""Speaking with a running agent, for the commands that do; how it is done lies in `hashwarden.serve.agent_client`."""

from __future__ import annotations

from hashwarden.serve.agent_client import LARGEST, SOCKET, ask, default_socket

__all__ = ["LARGEST", "SOCKET", "ask", "default_socket"]
