"""Whether this process may read the counters of a GPU, found out before anything is tried, and who holds them."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final

from hashwarden.errors import NoDeviceError, PrivilegeError
from hashwarden.kernels.streams.collector import SamplerBusyError

__all__ = ["DRIVER_PARAMETERS", "STATUS", "DeviceLock", "check_privilege", "lock_folder"]

DRIVER_PARAMETERS: Final = Path("/proc/driver/nvidia/params")
STATUS: Final = Path("/proc/self/status")

_SYS_ADMIN: Final = 1 << 21


def check_privilege(parameters: Path = DRIVER_PARAMETERS, status: Path = STATUS) -> None:
    """Refuse where the driver keeps counters to administrators and this process is none.

    Parameters
    ----------
    parameters : Path
        The driver's parameters; its line ``RmProfilingAdminOnly`` says whom it lets read counters.
    status : Path
        The status of this process; its line ``CapEff`` says whether it has CAP_SYS_ADMIN.

    Raises
    ------
    NoDeviceError
        If NVIDIA's driver is not loaded.
    PrivilegeError
        If the driver would refuse.
    """
    try:
        lines = parameters.read_text().splitlines()
    except OSError as error:
        raise NoDeviceError(
            f"{parameters} cannot be read ({error.strerror})", "a machine with NVIDIA's driver loaded", "Run on one."
        ) from error
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    admin_only = found.get("RmProfilingAdminOnly", "1").strip() != "0"
    if admin_only and not _is_admin(status):
        raise PrivilegeError(
            f"effective user {os.geteuid()} without CAP_SYS_ADMIN, and the driver says RmProfilingAdminOnly: 1",
            "root with CAP_SYS_ADMIN, or a driver that lets all users read counters",
            "Run as root (in a container: --cap-add=SYS_ADMIN), or load the driver's module with "
            "NVreg_RestrictProfilingToAdminUsers=0.",
        )


def _is_admin(status: Path) -> bool:
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return os.geteuid() == 0
    effective = next((line.split(":", 1)[1] for line in lines if line.startswith("CapEff:")), None)
    return os.geteuid() == 0 if effective is None else bool(int(effective, 16) & _SYS_ADMIN)


def lock_folder() -> Path:
    """Folder of the locks: root's own, which nobody else can write to; for other users one of theirs."""
    if os.geteuid() == 0:
        return Path("/run/hashwarden")
    own = os.environ.get("XDG_RUNTIME_DIR")
    return Path(own) / "hashwarden" if own else Path(tempfile.gettempdir()) / f"hashwarden-{os.geteuid()}"


class DeviceLock:
    """One sampler for a GPU on this machine; the kernel lets go of it when the process ends, however it ends.

    Parameters
    ----------
    device : int
        Index of the GPU.
    folder : Path
        Where the lock's file lies; made if needed, for this user alone.

    Raises
    ------
    SamplerBusyError
        On entering, if another one holds it.
    PrivilegeError
        On entering, if the folder is another user's or cannot be written to.
    """

    def __init__(self, device: int, folder: Path) -> None:
        self._path, self._device = folder / f"pm-sampling-{device}.lock", device
        self._file = -1

    def __enter__(self) -> DeviceLock:
        folder = self._path.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise PermissionError(f"{folder} is no folder of user {os.geteuid()}")
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise PrivilegeError(
                f"the lock {self._path} cannot be made ({error})",
                "a folder of this user's own",
                "Name another folder for locks.",
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 20, 0).decode(errors="replace").strip() or "unknown"
            self._close()
            raise SamplerBusyError(
                f"GPU {self._device} is sampled by process {holder} already",
                "one sampler for a GPU",
                "Take its blocks from that sampler, or try again when it has stopped.",
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
