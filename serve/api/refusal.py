"""What the service refuses: one error with the words for the client and the HTTP status that fits."""

from __future__ import annotations

from http import HTTPStatus
from typing import final

from hashwarden.errors import UsageError

__all__ = ["RefusedError"]


@final
class RefusedError(UsageError):
    """A request that is not answered.

    Parameters
    ----------
    got, expected, remedy, where : str
        As for every `hashwarden.errors.HashwardenError`; shown to the client.
    status : HTTPStatus
        400 or above. gRPC's code is made from it.
    """

    def __init__(
        self, got: str, expected: str, remedy: str, *, where: str = "", status: HTTPStatus = HTTPStatus.BAD_REQUEST
    ) -> None:
        super().__init__(got, expected, remedy, where=where)
        self.status = status
