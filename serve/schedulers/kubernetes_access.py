"""Where the API server is, and how to prove who one is: the pod's service account, or a kubeconfig file.

The token of a service account is good for an hour or so and its file is written anew before: it is read again and
again, never kept. A kubeconfig may ask for a program to be run or certificates not to be checked: this does neither.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import urlsplit

from hashwarden.errors import MissingExtraError, UsageError

__all__ = ["SERVICE_ACCOUNT", "Access", "find_access", "from_kubeconfig", "in_cluster", "look_for_access"]

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LONGEST_FILE: Final = 1 << 20
_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}


def _no_token() -> str:
    return ""


@final
@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the API server.

    Attributes
    ----------
    server : str
        ``https://HOST:PORT``, without a slash at the end; ``http`` to this machine only.
    token : callable
        Reads the token anew; an empty one means that none is sent. OSError if it cannot be read.
    tls : callable
        Makes the settings of TLS anew, for the file of the authority may change; None for plain HTTP. OSError or
        UsageError if a file cannot be read.
    """

    server: str
    token: Callable[[], str] = field(default=_no_token, repr=False)
    tls: Callable[[], ssl.SSLContext] | None = field(default=None, repr=False)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LONGEST_FILE).decode("ascii", "replace").strip()


def in_cluster(environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Access | None:
    """Take the service account of the pod that this runs in; None if this runs in none."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        return None
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Access(server, lambda: _read(folder / "token"), lambda: _context(str(folder / "ca.crt"), None))


def _context(cafile: str | None, cadata: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 asks for key identifiers that the authorities of many clusters do not write; signatures, names and
    # dates are checked all the same.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _bad(path: Path, got: str, expected: str, remedy: str) -> UsageError:
    return UsageError(got, expected, remedy, where=str(path))


def _yaml(path: Path) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError.of("PyYAML", "kubernetes") from error
    try:
        with path.open("rb") as file:
            document = yaml.safe_load(file.read(_LONGEST_FILE))
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise _bad(
            path, f"unreadable: {type(error).__name__}", "a kubeconfig file", "Try: kubectl config view"
        ) from error
    if not isinstance(document, dict):
        raise _bad(path, "no mapping", "a kubeconfig file", "Try: kubectl config view")
    return document


def _named(document: Mapping[str, Any], kind: str, name: object, path: Path) -> Mapping[str, Any]:
    """Entry of this name in one of the three lists of a kubeconfig."""
    entries = document.get(f"{kind}s")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(kind), dict):
            found: Mapping[str, Any] = entry[kind]
            return found
    raise _bad(path, f"no {kind} {name!r}", f"an entry in {kind}s", "Choose another context, or mend the file.")


def from_kubeconfig(path: Path) -> Access:
    """Read the current context of a kubeconfig file.

    Raises
    ------
    UsageError
        If it cannot be read, or asks for what this does not do: a program or a plug-in for credentials, passwords,
        unchecked certificates, plain HTTP to another machine.
    MissingExtraError
        If PyYAML is not installed.
    """
    document = _yaml(path)
    context = _named(document, "context", document.get("current-context"), path)
    cluster = _named(document, "cluster", context.get("cluster"), path)
    user = _named(document, "user", context.get("user"), path) if context.get("user") else {}
    _refuse(cluster, user, path)
    server = str(cluster.get("server", "")).rstrip("/")
    address = urlsplit(server)
    if address.scheme == "http" and address.hostname in _LOOPBACK:
        return Access(server, _token(user, path))
    if address.scheme != "https" or not address.hostname:
        raise _bad(path, f"server {server!r}", "https://…", "Plain HTTP is for this machine only (kubectl proxy).")
    _tls(cluster, user, path)  # what is wrong with the certificates is told now, not at the first call
    return Access(server, _token(user, path), lambda: _tls(cluster, user, path))


def _refuse(cluster: Mapping[str, Any], user: Mapping[str, Any], path: Path) -> None:
    if cluster.get("insecure-skip-tls-verify"):
        raise _bad(path, "insecure-skip-tls-verify", "checked certificates", "Name the authority in the file.")
    for key in ("exec", "auth-provider", "username", "password"):
        if user.get(key):
            raise _bad(path, f"credentials by {key!r}", "a token or a client certificate", "Use a service account.")


def _token(user: Mapping[str, Any], path: Path) -> Callable[[], str]:
    if file := user.get("tokenFile"):
        return lambda: _read(path.parent / str(file))
    token = str(user.get("token") or "")
    return lambda: token


def _bytes(entry: Mapping[str, Any], key: str, path: Path) -> bytes | None:
    """What ``KEY-data`` or the file ``KEY`` holds; None if neither is there."""
    try:
        if data := entry.get(f"{key}-data"):
            return base64.b64decode(str(data), validate=True)
        if file := entry.get(key):
            with (path.parent / str(file)).open("rb") as opened:
                return opened.read(_LONGEST_FILE)
    except (OSError, binascii.Error) as error:
        raise _bad(path, f"{key}: {type(error).__name__}", "a certificate or key", "Mend the file.") from error
    return None


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], path: Path) -> ssl.SSLContext:
    authority = _bytes(cluster, "certificate-authority", path)
    certificate, key = _bytes(user, "client-certificate", path), _bytes(user, "client-key", path)
    try:
        context = _context(None, authority.decode("ascii") if authority else None)
        if certificate and key:
            # The ssl module takes a key from a file only: one that nobody else may read, gone at once.
            with tempfile.NamedTemporaryFile() as file:
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise _bad(path, f"certificates: {type(error).__name__}", "PEM files", "Mend the file.") from error
    return context


def look_for_access(
    kubeconfig: Path | None, environment: Mapping[str, str] | None = None, folder: Path = SERVICE_ACCOUNT
) -> Access | None:
    """Find the API server: the file named, else the pod's service account, else ``KUBECONFIG``, else ~/.kube/config.

    Returns
    -------
    Access or None
        None if there is none of these.

    Raises
    ------
    UsageError
        If the file is not one that is understood.
    """
    environment = os.environ if environment is None else environment
    if kubeconfig is not None:
        return from_kubeconfig(kubeconfig)
    if (access := in_cluster(environment, folder)) is not None:
        return access
    first = environment.get("KUBECONFIG", "").split(":", 1)[0]
    usual = Path(first) if first else Path(environment.get("HOME", "/root")) / ".kube" / "config"
    return from_kubeconfig(usual) if usual.exists() else None


def find_access(
    kubeconfig: Path | None, environment: Mapping[str, str] | None = None, folder: Path = SERVICE_ACCOUNT
) -> Access:
    """As `look_for_access`.

    Raises
    ------
    UsageError
        Also if there is none.
    """
    found = look_for_access(kubeconfig, environment, folder)
    if found is None:
        raise UsageError("no API server", "a service account or a kubeconfig", "Run it in a pod, or name a kubeconfig.")
    return found
