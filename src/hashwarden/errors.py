"""The one exception tree of hashwarden.

Every error says what was got, what was expected and what to do, and carries the exit code that
the command line ends with when nothing else was found::

    HashwardenError             1
    ├── UsageError              2   a flag or a value that cannot be meant
    ├── MissingExtraError       3   an optional package is not installed
    ├── ModelError              4   the model file does not fit this version, or is damaged
    ├── DataError               5   a table or a training set that breaks its schema
    ├── NoDeviceError           6   no GPU, or none that can be used as asked
    ├── MemoryShortError        7   less memory is free than the work takes
    ├── CheckError              8   a computed result differs from its oracle
    ├── PrivilegeError          9   the driver or the system refuses this to an unprivileged user
    └── TargetError            10   one scanned object could not be judged; the others go on
        ├── MissingTargetError 11   no such file, folder or process
        ├── EmptyTargetError   12   the object holds no bytes
        ├── TruncatedError     13   the object ends before its own headers say so
        ├── NoGpuCodeError     14   readable, but no GPU machine code in it
        ├── EncryptedError     15   an archive member needs a password
        ├── PermissionError_   16   the operating system refused to open it
        ├── ProcessGoneError   17   the process ended while it was read
        ├── LimitError         18   nesting, expansion, size or time limit reached
        ├── MalformedError     19   the object contradicts its own format
        ├── WorkerError        20   the parsing worker died on the object
        └── UnsupportedError   21   a known format or architecture that is not read
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "CheckError",
    "DataError",
    "EmptyTargetError",
    "EncryptedError",
    "HashwardenError",
    "LimitError",
    "MalformedError",
    "MemoryShortError",
    "MissingExtraError",
    "MissingTargetError",
    "ModelError",
    "NoDeviceError",
    "NoGpuCodeError",
    "PermissionError_",
    "PrivilegeError",
    "ProcessGoneError",
    "TargetError",
    "TruncatedError",
    "UnsupportedError",
    "UsageError",
    "WorkerError",
    "target_error",
]


class HashwardenError(Exception):
    """Base of all errors that hashwarden raises on purpose.

    Parameters
    ----------
    got : str
        What was found, with its value.
    expected : str
        What would have been right.
    remedy : str
        What the reader can do about it.
    where : str, optional
        The object it is about: a path, or a path inside an archive (``a.whl!lib/b.so``).
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, got: str, expected: str, remedy: str, *, where: str = "") -> None:
        self.got, self.expected, self.remedy, self.where = got, expected, remedy, where
        super().__init__(got, expected, remedy)

    def __str__(self) -> str:
        head = f"{self.where}: " if self.where else ""
        return f"{head}{self.got}; expected {self.expected}. {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.got, self.expected, self.remedy, self.where))


def _rebuild(kind: type[HashwardenError], got: str, expected: str, remedy: str, where: str) -> HashwardenError:
    return kind(got, expected, remedy, where=where)


class UsageError(HashwardenError):
    """A flag or a value that cannot be meant."""

    exit_code = 2


class MissingExtraError(HashwardenError):
    """An optional package is needed and not installed."""

    exit_code = 3

    @classmethod
    def of(cls, package: str, extra: str) -> MissingExtraError:
        """Name the missing package and the extra that brings it."""
        return cls(
            f"the package {package!r} is not installed",
            f"the extra {extra!r}",
            f"Install it: pip install 'hashwarden[{extra}]'",
        )


class ModelError(HashwardenError):
    """A model file that does not fit this version, or is damaged."""

    exit_code = 4


class DataError(HashwardenError):
    """A table or a training set that breaks its schema."""

    exit_code = 5


class NoDeviceError(HashwardenError):
    """There is no GPU, or none that can be used as asked."""

    exit_code = 6


class MemoryShortError(HashwardenError):
    """Less memory is free than the work takes; nothing stays allocated."""

    exit_code = 7


class CheckError(HashwardenError):
    """A computed result differs from its oracle."""

    exit_code = 8


class PrivilegeError(HashwardenError):
    """The driver or the operating system refuses this to an unprivileged user."""

    exit_code = 9


class TargetError(HashwardenError):
    """One scanned object could not be judged; the others go on."""

    exit_code = 10


class MissingTargetError(TargetError):
    """No such file, folder or process."""

    exit_code = 11


class EmptyTargetError(TargetError):
    """The object holds no bytes."""

    exit_code = 12


class TruncatedError(TargetError):
    """The object ends before its own headers say so."""

    exit_code = 13


class NoGpuCodeError(TargetError):
    """The object was read and holds no GPU machine code."""

    exit_code = 14


class EncryptedError(TargetError):
    """An archive member needs a password."""

    exit_code = 15


class PermissionError_(TargetError):  # noqa: N801, N818  the plain name is Python's
    """The operating system refused to open the object."""

    exit_code = 16


class ProcessGoneError(TargetError):
    """The process ended while it was read."""

    exit_code = 17


class LimitError(TargetError):
    """A limit on nesting, expansion, size or time was reached."""

    exit_code = 18


class MalformedError(TargetError):
    """The object contradicts its own format."""

    exit_code = 19


class WorkerError(TargetError):
    """The parsing worker died on the object."""

    exit_code = 20


class UnsupportedError(TargetError):
    """A known format or architecture that hashwarden does not read."""

    exit_code = 21


def target_error(name: str, got: str, expected: str, remedy: str, where: str = "") -> TargetError:
    """Build the target error whose class is called ``name`` (as a worker reports it).

    An unknown name gives a plain `TargetError`: what a worker says is never trusted to be well formed.
    """
    kinds = {kind.__name__: kind for kind in TargetError.__subclasses__()}
    return kinds.get(name, TargetError)(got, expected, remedy, where=where)
