"""Where the service answers: Unix sockets and TCP, plain or with TLS whose certificates can change while it runs."""

from __future__ import annotations

import asyncio
import grp
import ipaddress
import os
import socket
import ssl
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from hashwarden.errors import UsageError
from hashwarden.serve.api.config import ServeConfig, TlsSection

__all__ = ["Listener", "default_socket", "is_loopback", "listeners", "tls_of"]

_BACKLOG: Final = 2048


@final
class Listener:
    """One place where connections are taken.

    Parameters
    ----------
    link : socket
        Bound.
    words : str
        The place, for people: a path, or a URL.
    secure : bool
        Whether it speaks TLS.
    """

    def __init__(self, link: socket.socket, words: str, *, secure: bool = False) -> None:
        self.link, self.words, self.secure = link, words, secure
        self.local = link.family == socket.AF_UNIX
        self._server: asyncio.Server | None = None
        self._made: tuple[int, int] | None = None
        if self.local:
            found = Path(link.getsockname()).stat()
            self._made = found.st_dev, found.st_ino

    async def open(self, protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None, wait_s: float) -> None:
        """Take connections, from now on with this TLS; those that are open go on as they are.

        The socket stays, so that nobody who knocks meanwhile is turned away.
        """
        loop, before = asyncio.get_running_loop(), self._server
        if before is not None and not self.secure:
            return
        link = self.link.dup()  # a server closes the one that it has
        if self.local:
            self._server = await loop.create_unix_server(protocol, sock=link, backlog=_BACKLOG)
        elif not self.secure:
            self._server = await loop.create_server(protocol, sock=link, backlog=_BACKLOG)
        else:
            self._server = await loop.create_server(
                protocol, sock=link, backlog=_BACKLOG, ssl=tls,
                ssl_handshake_timeout=wait_s, ssl_shutdown_timeout=wait_s,
            )  # fmt: skip
        if before is not None:
            before.close()

    def close(self) -> None:
        """Take no more."""
        if self._server is not None:
            self._server.close()
        if self.local:
            with suppress(OSError):
                path = Path(self.link.getsockname())
                found = path.stat()
                if (found.st_dev, found.st_ino) == self._made:  # not that of one who came after
                    path.unlink()
        self.link.close()


def listeners(config: ServeConfig) -> list[Listener]:
    """Bind all places of a configuration.

    Raises
    ------
    UsageError
        If there is none, one is in use, or one can be reached from elsewhere without TLS.
    """
    made: list[Listener] = []
    try:
        if config.http.socket:
            path = default_socket() if config.http.socket == "auto" else Path(config.http.socket)
            made.append(Listener(_unix(path, config.access.users), str(path)))
        made += [_tcp(where, config) for where in config.http.listen]
    except BaseException:
        for listener in made:
            listener.close()
        raise
    if not made:
        raise UsageError("nowhere to answer", "a socket or an address", "Give --socket PATH or --listen HOST:PORT.")
    return made


def default_socket() -> Path:
    """``serve.sock`` in the folder that systemd or the session made; root's is /run/hashwarden."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given) / "serve.sock"
    if os.geteuid() == 0:
        return Path("/run/hashwarden/serve.sock")
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    if not session:
        raise UsageError("no folder for the socket", "a path", "Example: --socket /tmp/$USER/serve.sock")
    return Path(session) / "hashwarden" / "serve.sock"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls_of(section: TlsSection) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the library's own choice of ciphers; None if there is no certificate.

    Raises
    ------
    UsageError
        If a file cannot be read, or key and certificate do not fit.
    """
    if section.certificate is None:
        if section.client_ca is not None or section.client_required:
            raise UsageError("tls.client_ca without tls.certificate", "both", "Name a certificate.")
        return None
    if section.client_required and section.client_ca is None:
        raise UsageError("tls.client_required without tls.client_ca", "both", "Name the authority of the clients.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    where = section.certificate
    try:
        context.load_cert_chain(section.certificate, section.key, password=_no_password)
        if section.client_ca is not None:
            where = section.client_ca
            context.load_verify_locations(section.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED if section.client_required else ssl.CERT_OPTIONAL
    except (OSError, ValueError) as error:  # ssl's own errors are of the first kind
        words = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise UsageError(f"it cannot be used ({words})", "PEM: a chain and its key", "Correct [tls].",
                         where=str(where)) from None  # fmt: skip
    return context


def _no_password() -> str:
    raise ValueError("a key with a password")  # else OpenSSL would ask the terminal


def _tcp(where: str, config: ServeConfig) -> Listener:
    host, _, port = where.rpartition(":")
    if not host or not port.isdigit() or not int(port) < 65536:
        raise UsageError(f"the address {where!r}", "HOST:PORT", "Correct http.listen, or leave it empty.")
    host, secure = host.strip("[]"), config.tls.certificate is not None
    if not (secure or is_loopback(host) or config.http.plaintext):
        raise UsageError(
            f"{where}, which others can reach, without TLS", "tls.certificate, or a loopback address",
            "Give --certificate and --key. Behind a proxy that speaks TLS: http.plaintext = true.",
        )  # fmt: skip
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        link = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(str(error), "an address that is free", "Change http.listen.", where=where) from None
    shown = f"[{host}]" if ":" in host else host
    return Listener(link, f"http{'s' * secure}://{shown}:{link.getsockname()[1]}", secure=secure)


def _unix(path: Path, users: Iterable[str]) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_way(path)
        mode, group = _file_access(list(users))
        before = os.umask(0o177)
        try:
            link.bind(str(path))
        finally:
            os.umask(before)
        os.chown(path, -1, group)
        path.chmod(mode)
        link.listen(_BACKLOG)
    except OSError as error:
        link.close()
        raise UsageError(str(error), "a path for a socket", "Give another with --socket.", where=str(path)) from None
    except BaseException:
        link.close()
        raise
    return link


def _make_way(path: Path) -> None:
    """Remove the socket of one that was killed; not that of one that lives, nor anything else."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise UsageError("it is no socket", "a socket, or nothing", "Remove it.", where=str(path))
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise UsageError("somebody answers there", "a socket that nobody uses", "Stop that one.", where=str(path))


def _file_access(users: list[str]) -> tuple[int, int]:
    """Mode and group of the file: as few as are known can connect; what they may do is decided by who they are."""
    groups = [name[1:] for name in users if name.startswith("@")]
    if set(users) <= {"root"}:
        return 0o600, -1
    if len(groups) == 1 and set(users) <= {"root", f"@{groups[0]}"}:
        try:
            return 0o660, grp.getgrnam(groups[0]).gr_gid
        except KeyError:
            raise UsageError(f"the group {groups[0]!r}", "a group of this machine", "Correct access.users.") from None
    return 0o666, -1
