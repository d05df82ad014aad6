"""gRPC beside HTTP: the same identities, the same rule for addresses, certificates that can change while it runs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, final

from hashwarden.errors import MissingExtraError, UsageError
from hashwarden.serve.api.access import Keeper
from hashwarden.serve.api.config import ServeConfig, TlsSection
from hashwarden.serve.api.engine import Engine
from hashwarden.serve.api.grpc_server import GrpcServer
from hashwarden.serve.api.listeners import is_loopback
from hashwarden.serve.api.refusal import RefusedError
from hashwarden.serve.api.roles import Role

if TYPE_CHECKING:
    import grpc

__all__ = ["GrpcBeside"]

_GRACE_S: Final = 5.0


@final
class GrpcBeside:
    """A gRPC server of the service.

    Parameters
    ----------
    config : ServeConfig
        With `http.grpc`.
    engine : Engine
    keeper : Keeper
        Every call but those of health takes a token with the role read: the kernel's word and certificates do not
        reach the calls.

    Raises
    ------
    UsageError
        If the address cannot be used, or can be reached from elsewhere without TLS.
    """

    def __init__(self, config: ServeConfig, engine: Engine, keeper: Keeper) -> None:
        where, self._keeper, self._tls = config.http.grpc, keeper, config.tls
        secure = config.tls.certificate is not None
        near = where.startswith("unix:") or is_loopback(where.rpartition(":")[0].strip("[]"))
        if not (secure or near or config.http.plaintext):
            raise UsageError(f"http.grpc = {where}, which others can reach, without TLS",
                             "tls.certificate, or a loopback address", "Give --certificate and --key.")  # fmt: skip
        self._fresh = False
        self._server = GrpcServer(engine, where, self._authorise, self._credentials() if secure else None)
        host = where.rpartition(":")[0]
        self.words = where if where.startswith("unix:") else f"grpc{'s' * secure}://{host}:{self._server.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def reload(self) -> None:
        """Take new certificates for the connections to come."""
        self._fresh = True

    def stop(self) -> None:
        """Answer what came, and end."""
        self._server.stop(_GRACE_S)

    def _authorise(self, token: str) -> None:
        identity = self._keeper.bearer(token)
        if identity is None:
            raise RefusedError("a token that is not known, or none", "a token with the role 'read'", "Send one.",
                               status=HTTPStatus.UNAUTHORIZED)  # fmt: skip
        if Role.READ not in identity.roles:
            raise RefusedError(f"{identity.name} may not", "the role 'read'", "Ask for it.",
                               status=HTTPStatus.FORBIDDEN)  # fmt: skip

    def _credentials(self) -> grpc.ServerCredentials:
        try:
            import grpc
        except ImportError:
            raise MissingExtraError.of("grpcio", "api") from None

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            if not self._fresh:
                return None  # the same
            self._fresh = False
            return _certificates(self._tls)

        return grpc.dynamic_ssl_server_credentials(_certificates(self._tls), fetch, self._tls.client_required)


def _certificates(section: TlsSection) -> grpc.ServerCertificateConfiguration:
    import grpc

    assert section.certificate is not None
    chain = section.certificate.read_bytes()
    key = (section.key or section.certificate).read_bytes()
    roots = None if section.client_ca is None else section.client_ca.read_bytes()
    return grpc.ssl_server_certificate_configuration([(key, chain)], roots)
