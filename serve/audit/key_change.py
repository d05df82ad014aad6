"""From one key to the next: the new one shows that it is there, and the old one signs the chain that says so."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from hashwarden.serve.audit.clean import canonical
from hashwarden.serve.audit.keys import PublicKey, Signer, pae

__all__ = ["endorsed", "new_key"]

_MEDIA_TYPE: Final = "application/vnd.hashwarden.audit-key+json"


def endorsed(log: str, old: Signer, new: Signer) -> dict[str, Any]:
    """The body of the record of a change; a checkpoint by the old key must follow it at once."""
    proof = new.sign(_message(log, old.public.id, new.public.id))
    return {
        "event": "key", "old": old.public.id, "new": new.public.id, "public_key": new.public.text, "endorsed": True,
        "holder_proof": base64.b64encode(proof).decode("ascii"),
    }  # fmt: skip


def new_key(body: Mapping[str, Any], log: str) -> PublicKey | None:
    """The key that a record of a change names, if its holder has signed; None if anything is wrong with it."""
    try:
        proof = base64.b64decode(str(body.get("holder_proof")), validate=True)
    except (ValueError, binascii.Error):
        return None
    key = PublicKey.parse(body.get("public_key"))
    if key is None:
        return None
    fits = key.id == body.get("new") and key.verifies(_message(log, str(body.get("old")), key.id), proof)
    return key if fits else None


def _message(log: str, old: str, new: str) -> bytes:
    return pae(_MEDIA_TYPE, canonical({"log": log, "old": old, "new": new}))
