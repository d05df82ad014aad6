"""Ed25519 keys: made at the first start, kept so that only their owner reads them, told by a hash of the public half.

Files are what OpenSSL writes and reads: PKCS #8 and SubjectPublicKeyInfo in PEM. The name of a key is the SHA-256 of
its public half in DER (``openssl pkey -pubin -in key.pub -outform DER | sha256sum``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from hashwarden.errors import UsageError
from hashwarden.model.storage import refusal, replacing, synced
from hashwarden.serve.journal import StorageError

if TYPE_CHECKING:  # cryptography takes 40 ms to import, and many programs that import this module check no key
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["PublicKey", "Signer", "load_or_make", "load_public", "load_signer", "pae", "public_path"]

_MOST: Final = 65_536


@final
@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half that everybody may have.

    Attributes
    ----------
    id : str
        SHA-256 of its DER, hexadecimal.
    text : str
        The same DER in base64: a PEM file without its first and last line.
    """

    id: str
    text: str
    _key: Ed25519PublicKey = field(repr=False, compare=False)

    @classmethod
    def of(cls, key: Ed25519PublicKey) -> PublicKey:
        """From the library's key."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(hashlib.sha256(der).hexdigest(), base64.b64encode(der).decode("ascii"), key)

    @classmethod
    def parse(cls, text: object) -> PublicKey | None:
        """From its text; None if it is no Ed25519 key."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        try:
            key = load_der_public_key(base64.b64decode(str(text), validate=True))
        except (ValueError, binascii.Error, UnsupportedAlgorithm):
            return None
        return cls.of(key) if isinstance(key, Ed25519PublicKey) else None

    @property
    def pem(self) -> str:
        """As OpenSSL writes it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key signed the message."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@final
class Signer:
    """Signs with a private key that it holds in memory.

    Parameters
    ----------
    key : Ed25519PrivateKey
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey.of(key.public_key())

    @classmethod
    def generate(cls) -> Signer:
        """A new key, nowhere stored."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)

    def private_pem(self) -> bytes:
        """The key itself, for a file that only its owner reads."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pae(kind: str, payload: bytes) -> bytes:
    """What is signed for a payload of a media type: the pre-authentication encoding of DSSE, version 1.

    Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    """
    word = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(word), word, len(payload), payload)


def public_path(path: Path) -> Path:
    """Where the public half of a key file lies: ``key.pem`` has ``key.pub``."""
    return path.with_suffix(".pub")


def load_or_make(path: Path) -> Signer:
    """The key of this file; at the first start one is made, and its public half written beside it.

    Raises
    ------
    UsageError
        If the file holds something else, or others than its owner may read it.
    StorageError
        If it cannot be written.
    """
    if not path.exists():
        _make(path)
    signer = load_signer(path)
    public = public_path(path)
    if not public.exists():
        with suppress(OSError), replacing(public) as file:  # a copy for people: the log holds it too
            file.write(signer.public.pem.encode("ascii"))
    return signer


def _make(path: Path) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(Signer.generate().private_pem())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another program was first: its key counts
            os.link(part, path)
        synced(path.parent)
    except OSError as error:
        raise StorageError(
            refusal(error, "the key"), "room for a key", "Name another file.", where=str(path)
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


def load_signer(path: Path) -> Signer:
    """The private key of a file.

    Raises
    ------
    UsageError
        If it cannot be read, is no Ed25519 key without a passphrase, or may be read by others than its owner.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path, private=True)
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path)
    return Signer(key)


def load_public(path: Path) -> PublicKey:
    """The public key of a file.

    Raises
    ------
    UsageError
        If it cannot be read or is no Ed25519 key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(path, private=False))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path)
    return PublicKey.of(key)


def _read(path: Path, *, private: bool) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(_MOST)
    except OSError as error:
        raise UsageError(
            f"the key cannot be read ({error.strerror})", "a PEM file", "Check its name.", where=str(path)
        ) from error
    if private and mode & 0o077:
        remedy = f"chmod 600 {path}, and think about who has read it."
        raise UsageError(f"a private key of mode {mode:04o}", "one that only its owner reads", remedy, where=str(path))
    return data


def _no_key(path: Path) -> UsageError:
    remedy = "Make one: openssl genpkey -algorithm ed25519 -out key.pem"
    return UsageError("no Ed25519 key in PEM, or one with a passphrase", "such a key", remedy, where=str(path))
